/** What a restore leaves beside what it writes, until it is done: enough to go on after it was killed. */
import { appendFileSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../codec/digest.ts";
import { temporaryName } from "../../disk/restore-target.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";

export const JOURNAL_FOLDER = ".coldkeep-restore";
/** The place in the target that no entry may take. */
export const JOURNAL_PATH = `/${JOURNAL_FOLDER}`;

/** What must be the same for a restore to be gone on with. */
export type RestoreIdentity = { vault: string; host: string; archive: string; paths: string[] };

const IDENTITY = "restore.json";

/** Where the identity lies while the journal goes: its removal, one call, is the end of the restore. */
function lastTrace(target: string, identity: string): string {
  return join(target, temporaryName(sha256Hex(identity)));
}

function holdsText(path: string, text: string): boolean {
  try {
    return lstatSync(path).isFile() && readFileSync(path, "utf8") === text;
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  try {
    return lstatSync(path).isDirectory();
  } catch {
    return false;
  }
}

export class RestoreJournal {
  readonly directory: string;
  readonly planDir: string;
  /** Work lists an earlier try has written whole. */
  readonly done: ReadonlySet<string>;
  readonly isResumed: boolean;

  readonly #lastTrace: string;

  private constructor(directory: string, trace: string, isResumed: boolean) {
    this.directory = directory;
    this.planDir = join(directory, "plan");
    this.#lastTrace = trace;
    this.isResumed = isResumed;
    this.done = new Set(isResumed ? this.#trusted() : []);
    this.clearPlan();
  }

  /** Whether `target` holds the journal of the same restore, begun earlier. */
  static isBegun(target: string, identity: RestoreIdentity): boolean {
    const text = JSON.stringify(identity);
    const directory = join(target, JOURNAL_FOLDER);
    return (isDirectory(directory) && holdsText(join(directory, IDENTITY), text)) || holdsText(lastTrace(target, text), text);
  }

  /** Begins a journal, or takes up the one of the same restore. Throws E_DISK. */
  static open(target: string, identity: RestoreIdentity): RestoreJournal {
    const directory = join(target, JOURNAL_FOLDER);
    const text = JSON.stringify(identity);
    const trace = lastTrace(target, text);
    const isResumed = RestoreJournal.isBegun(target, identity);
    try {
      if (!isResumed || !isDirectory(directory)) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(directory, { mode: 0o700 });
      }
      if (holdsText(trace, text)) renameSync(trace, join(directory, IDENTITY));
      if (!isResumed) writeFileSync(join(directory, IDENTITY), text, { mode: 0o600 });
      return new RestoreJournal(directory, trace, isResumed);
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `cannot write the restore's journal in ${directory}: ${messageOf(cause)}`, { cause });
    }
  }

  #path(name: string): string {
    return join(this.directory, name);
  }

  /**
   * What was noted as written still counts, unless the machine was started anew since (what was written may never have reached
   * the disk), or large files were being given their names (their unfinished forms are gone). Then all is proven again.
   */
  #trusted(): string[] {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    const isTrusted = existsSync(this.#path("boot")) && readFileSync(this.#path("boot"), "utf8") === boot && !existsSync(this.#path("finishing"));
    if (isTrusted) return this.#doneLines();
    for (const name of ["boot", "done", "finishing"]) rmSync(this.#path(name), { force: true });
    return [];
  }

  /** A full disk may have cut the last line short, to what may be another list's name: it is dropped. */
  #doneLines(): string[] {
    const path = this.#path("done");
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole !== text) writeFileSync(path, whole);
    return whole.split("\n").filter((line) => line !== "");
  }

  /** Begins an empty plan. Throws system errors. */
  clearPlan(): void {
    rmSync(this.planDir, { recursive: true, force: true });
    mkdirSync(this.planDir, { mode: 0o700 });
  }

  /** Throws E_DISK. */
  noteDone(list: string): void {
    this.#write(() => {
      if (!existsSync(this.#path("boot"))) this.#noteBoot();
      appendFileSync(this.#path("done"), `${list}\n`, { mode: 0o600 });
    });
  }

  #noteBoot(): void {
    writeFileSync(this.#path("boot"), readFileSync("/proc/sys/kernel/random/boot_id"), { mode: 0o600 });
  }

  /** All work lists are done; names, links and directories follow. Throws E_DISK. */
  noteFinishing(): void {
    this.#write(() => writeFileSync(this.#path("finishing"), "", { mode: 0o600 }));
  }

  #write(act: () => void): void {
    this.#act("write", act, "Free some space in the target.");
  }

  #act(verb: string, act: () => void, hint?: string): void {
    try {
      act();
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `cannot ${verb} the restore's journal in ${this.directory}: ${messageOf(cause)}`, { hint, cause });
    }
  }

  /**
   * The restore is done. Until the last of it is gone, the same restore goes on with what is there: a target that was written is
   * never taken for one of somebody else's. Throws E_DISK.
   */
  end(): void {
    this.#act("remove", () => {
      for (const name of readdirSync(this.directory)) if (name !== IDENTITY) rmSync(this.#path(name), { recursive: true });
      renameSync(this.#path(IDENTITY), this.#lastTrace);
      rmdirSync(this.directory);
      unlinkSync(this.#lastTrace);
    });
  }

  /** Nothing came of it. Throws E_DISK. */
  discard(): void {
    this.#act("remove", () => rmSync(this.directory, { recursive: true, force: true }));
  }
}
