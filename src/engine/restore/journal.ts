/** What a restore leaves beside what it writes, until it is done: enough to go on after it was killed. */
import { appendFileSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ColdkeepError, messageOf } from "../../errors.ts";

const FOLDER = ".coldkeep-restore";

/** What must be the same for a restore to be gone on with. */
export type RestoreIdentity = { vault: string; host: string; archive: string; paths: string[] };

export class RestoreJournal {
  readonly directory: string;
  readonly planDir: string;
  /** Volumes an earlier try has written whole. */
  readonly done: ReadonlySet<string>;
  readonly isResumed: boolean;

  private constructor(directory: string, isResumed: boolean) {
    this.directory = directory;
    this.planDir = join(directory, "plan");
    this.isResumed = isResumed;
    this.done = new Set(isResumed ? readLines(join(directory, "done")) : []);
    rmSync(this.planDir, { recursive: true, force: true });
    mkdirSync(this.planDir, { mode: 0o700 });
  }

  /** Whether `target` holds the journal of the same restore, begun earlier. */
  static isBegun(target: string, identity: RestoreIdentity): boolean {
    const path = join(target, FOLDER, "restore.json");
    try {
      return lstatSync(join(target, FOLDER)).isDirectory() && readFileSync(path, "utf8") === JSON.stringify(identity);
    } catch {
      return false;
    }
  }

  /** Begins a journal, or takes up the one of the same restore. Throws E_DISK. */
  static open(target: string, identity: RestoreIdentity): RestoreJournal {
    const directory = join(target, FOLDER);
    const isResumed = RestoreJournal.isBegun(target, identity);
    try {
      if (!isResumed) {
        rmSync(directory, { recursive: true, force: true });
        mkdirSync(directory, { mode: 0o700 });
        writeFileSync(join(directory, "restore.json"), JSON.stringify(identity), { mode: 0o600 });
      }
      return new RestoreJournal(directory, isResumed);
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `cannot write the restore's journal in ${directory}: ${messageOf(cause)}`, { cause });
    }
  }

  noteDone(volume: string): void {
    appendFileSync(join(this.directory, "done"), `${volume}\n`, { mode: 0o600 });
  }

  /** The restore is done. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function readLines(path: string): string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter((line) => line !== "") : [];
}
