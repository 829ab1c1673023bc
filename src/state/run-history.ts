/**
 * The runs of this host: what was begun, how it ended, what it came to. A cache: losing it loses figures, never data.
 * A row is written when a run begins and once more when it ends, so that one that was killed shows as unfinished.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { EXIT, type ExitStatus } from "../errors.ts";
import { RECORDED_VERBS, type RecordedVerb } from "../policy/run-outcome.ts";
import { StateDatabase } from "./database.ts";

/** Figures of a run; those a verb does not have are not there. */
export type RunCounts = {
  entries?: number;
  /** Length of all that was archived, restored or stands in the archive. */
  sourceBytes?: number;
  /** Bytes read from sources (backup) or regions (verify). */
  bytesRead?: number;
  /** Bytes sent to each region (backup) or written to disk (restore). */
  bytesStored?: number;
  /** By a prune, in all regions together. */
  bytesFreed?: number;
  /** What the archive needs in each region. */
  archiveBytes?: number;
  problems?: number;
};

/** What a run came to. */
export type RunSummary = {
  archive: string | null;
  /** Region → `complete`, `behind`, `sound`, `damaged` or `unreachable`. */
  regions: Readonly<Record<string, string>>;
  counts: RunCounts;
};

/** A run as it is begun. */
export type BegunRun = {
  /** A UUID. */
  runId: string;
  verb: RecordedVerb;
  /** Of `verify`. */
  level: string | null;
  /** Of `verify`: the part of the objects that is looked at, if not all. */
  samplePercent: number | null;
  startedAtMs: number;
};

/** How a run ended. */
export type RunEnd = {
  finishedAtMs: number;
  exitStatus: ExitStatus;
  error: { code: string; message: string } | null;
  /** Null where it failed before it came to anything. */
  summary: RunSummary | null;
};

/** `end` is null for a run that is still going on (`isRunning`) or that was killed. */
export type RecordedRun = BegunRun & { end: RunEnd | null; isRunning: boolean };

/** What to look for; without a part of it, any. */
export type RunFilter = {
  verb?: RecordedVerb;
  level?: string;
  /** Only runs that ended with one of these. Without it: all but those that found the host held by another (exit 6). */
  exits?: readonly ExitStatus[] | "any";
};

type Line = { run: BegunRun; end: RunEnd | null; process: string };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS run (
    id TEXT PRIMARY KEY, verb TEXT NOT NULL, level TEXT, started INTEGER NOT NULL, status INTEGER, line TEXT NOT NULL, crc INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS run_started ON run (started);`;

const KEPT_MS = 2 * 366 * 86_400_000;
const KEPT_ROWS = 5000;

/** Every method throws E_DISK where the history cannot be read or kept. */
export class RunHistory {
  readonly #database: StateDatabase;
  readonly #keptRows: number;

  constructor(stateDir: string, keptRows = KEPT_ROWS) {
    this.#database = new StateDatabase(join(stateDir, "history.db"), SCHEMA);
    this.#keptRows = keptRows;
  }

  /** Notes that this process has begun a run, and forgets what is older than two years or beyond 5,000 rows. */
  begin(run: BegunRun): void {
    this.#put({ run, end: null, process: processMark("self") ?? "" });
    this.#forgetOld(run.startedAtMs);
  }

  finish(run: BegunRun, end: RunEnd): void {
    this.#put({ run, end, process: "" });
  }

  /** The newest run that fits, be it finished or not. */
  last(filter: RunFilter = {}): RecordedRun | undefined {
    return this.#select(filter, 0, 1)[0];
  }

  /** The newest runs that fit, the newest first, `count` at the most. */
  newest(filter: RunFilter, count: number): RecordedRun[] {
    return this.#select(filter, 0, count);
  }

  /** The newest run without any fault. */
  lastSuccess(verb: RecordedVerb, level?: string): RecordedRun | undefined {
    return this.last({ verb, ...(level !== undefined && { level }), exits: [EXIT.done] });
  }

  /** Every run begun since then, the newest first, those that found the host held included. */
  since(startedAtMs: number, filter: RunFilter = {}): RecordedRun[] {
    return this.#select({ ...filter, exits: filter.exits ?? "any" }, startedAtMs, this.#keptRows * 2);
  }

  /** The verbs that were ever run, with their levels. */
  kinds(): { verb: RecordedVerb; level: string | null }[] {
    const rows = this.#database.run(() => this.#database.statement("SELECT DISTINCT verb, level FROM run ORDER BY verb, level").all());
    return rows.flatMap((row) => {
      const verb = RECORDED_VERBS.find((each) => each === row["verb"]);
      return verb === undefined ? [] : [{ verb, level: row["level"] === null ? null : String(row["level"]) }];
    });
  }

  close(): void {
    this.#database.close();
  }

  #put(entry: Line): void {
    const line = JSON.stringify(entry);
    const { runId, verb, level, startedAtMs } = entry.run;
    this.#database.run(() => this.#database.statement("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?)").run(runId, verb, level, startedAtMs, entry.end?.exitStatus ?? null, line, crc32(line)));
  }

  #select({ verb, level, exits }: RunFilter, startedAtMs: number, limit: number): RecordedRun[] {
    const wanted = ["started >= ?"];
    const values: (string | number)[] = [startedAtMs];
    const where = (condition: string, ...given: (string | number)[]): void => {
      wanted.push(condition);
      values.push(...given);
    };
    if (verb !== undefined) where("verb = ?", verb);
    if (level !== undefined) where("level = ?", level);
    if (exits === undefined) where("status IS NOT ?", EXIT.locked);
    else if (exits !== "any") where(`status IN (${exits.map(() => "?").join(", ")})`, ...exits);
    const sql = `SELECT line, crc FROM run WHERE ${wanted.join(" AND ")} ORDER BY started DESC, id DESC`;
    return this.#database.run(() => {
      const found: RecordedRun[] = [];
      for (const row of this.#database.statement(sql).iterate(...values)) {
        if (found.length === limit) break;
        const run = readLine(String(row["line"]), row["crc"]);
        if (run !== undefined) found.push(run);
      }
      return found;
    });
  }

  /** The last success of each kind stays, however many others came after it: it is what "never verified" is told from. */
  #forgetOld(nowMs: number): void {
    const kept = "SELECT id FROM (SELECT id, max(started) FROM run WHERE status = 0 GROUP BY verb, level)";
    const beyond = "SELECT id FROM run ORDER BY started DESC LIMIT -1 OFFSET ?";
    this.#database.run(() => {
      this.#database.statement(`DELETE FROM run WHERE (started < ? OR id IN (${beyond})) AND id NOT IN (${kept})`).run(nowMs - KEPT_MS, this.#keptRows);
    });
  }
}

function readLine(line: string, crc: unknown): RecordedRun | undefined {
  if (crc32(line) !== crc) return undefined;
  // The check above proves that this is the text `#put` wrote.
  const { run, end, process } = JSON.parse(line) as Line;
  return { ...run, end, isRunning: end === null && isAlive(process) };
}

/** Boot, process id and when the process began, which together name one process for ever; undefined where there is none. */
function processMark(pid: string): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in brackets may hold anything; the 22nd field is the start time (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return `${boot} ${stat.slice(0, stat.indexOf(" "))} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

function isAlive(mark: string): boolean {
  const pid = mark.split(" ")[1];
  return pid !== undefined && /^\d+$/.test(pid) && processMark(pid) === mark;
}
