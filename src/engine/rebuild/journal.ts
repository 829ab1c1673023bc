/** What a rebuild leaves on disk until it is done and after: its plan, which steps are done, what it replaced, its report. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileDurable } from "../../disk/atomic-write.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { RebuildPlan, StepName, StepNotes } from "./plan-types.ts";

/** One folder a machine: there is one rebuild at a time. */
export const REBUILD_DIR = "/var/lib/coldkeep/rebuild";
/** What was replaced lies here, at the root of each file system. */
export const ASIDE_FOLDER = ".coldkeep-replaced";

type Line =
  | { event: "begun"; at: string }
  | { event: "step"; step: StepName; at: string }
  | ({ event: "done"; step: StepName; at: string; ms: number } & StepNotes)
  | { event: "part"; part: string; at: string }
  | { event: "finished"; at: string };

export type StepDone = { step: StepName; ms: number } & StepNotes;

export class RebuildJournal {
  readonly plan: RebuildPlan;
  readonly done = new Map<StepName, StepDone>();
  /** Parts of steps that are done, like single databases; and those that were begun. */
  readonly parts = new Set<string>();
  isFinished = false;
  isResumed: boolean;
  /** When the command that began it was started, ISO time: an RTO counts from there. */
  begunAt: string;

  private constructor(plan: RebuildPlan, lines: readonly Line[]) {
    this.plan = plan;
    this.isResumed = lines.length > 0;
    this.begunAt = new Date().toISOString();
    for (const line of lines) this.#take(line);
  }

  #take(line: Line): void {
    if (line.event === "begun") this.begunAt = line.at;
    else if (line.event === "done") this.done.set(line.step, { step: line.step, ms: line.ms, notes: line.notes, lacks: line.lacks });
    else if (line.event === "part") this.parts.add(line.part);
    else if (line.event === "finished") this.isFinished = true;
  }

  static path(name: string): string {
    return join(REBUILD_DIR, name);
  }

  /** The journal of a rebuild that was begun on this machine; null where there is none. Throws E_DISK for one that cannot be read. */
  static find(): RebuildJournal | null {
    if (!existsSync(RebuildJournal.path("plan.json"))) return null;
    try {
      // Its folder is root's alone: what stands there this program wrote.
      const plan = JSON.parse(readFileSync(RebuildJournal.path("plan.json"), "utf8")) as RebuildPlan;
      return new RebuildJournal(plan, readLines());
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `the journal of an earlier rebuild in ${REBUILD_DIR} cannot be read: ${messageOf(cause)}`, { hint: `Move ${REBUILD_DIR} away to begin anew.`, cause });
    }
  }

  /** Begins one, of a command that was started at `startedAtMs`; what an earlier one left is replaced. Throws E_DISK. */
  static begin(plan: RebuildPlan, startedAtMs: number): RebuildJournal {
    try {
      rmSync(REBUILD_DIR, { recursive: true, force: true });
      mkdirSync(REBUILD_DIR, { recursive: true, mode: 0o700 });
      writeFileDurable(RebuildJournal.path("plan.json"), Buffer.from(JSON.stringify(plan)), 0o600);
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `cannot write the journal in ${REBUILD_DIR}: ${messageOf(cause)}`, { cause });
    }
    const journal = new RebuildJournal(plan, []);
    journal.#write({ event: "begun", at: new Date(startedAtMs).toISOString() });
    return journal;
  }

  #write(line: Line): void {
    try {
      appendFileSync(RebuildJournal.path("journal.ndjson"), `${JSON.stringify(line)}\n`, { mode: 0o600, flush: true });
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `cannot write the journal in ${REBUILD_DIR}: ${messageOf(cause)}`, { hint: "Free some space, then go on with --resume.", cause });
    }
    this.#take(line);
  }

  noteStep(step: StepName): void {
    this.#write({ event: "step", step, at: new Date().toISOString() });
  }

  noteDone(step: StepName, ms: number, { notes, lacks }: StepNotes): void {
    this.#write({ event: "done", step, ms, notes, lacks, at: new Date().toISOString() });
  }

  notePart(part: string): void {
    this.#write({ event: "part", part, at: new Date().toISOString() });
  }

  /** Keeps the report beside the journal. */
  finish(report: unknown): void {
    writeFileSync(RebuildJournal.path("report.json"), `${JSON.stringify(report, null, 2)}\n`, { mode: 0o600 });
    this.#write({ event: "finished", at: new Date().toISOString() });
  }
}

/** A kill may have cut the last line short. */
function readLines(): Line[] {
  const path = RebuildJournal.path("journal.ndjson");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  if (whole !== text) writeFileSync(path, whole, { mode: 0o600 });
  return whole.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Line);
}
