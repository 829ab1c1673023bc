/**
 * One run a host at a time: an exclusive transaction held on a small database. The kernel frees it when the process dies,
 * however it dies, so there is nothing stale to clean up.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ColdkeepError, messageOf } from "../errors.ts";

export class HostLock {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Takes the lock in `stateDir` (made when missing). Throws E_LOCKED when another run holds it, E_DISK when it cannot be kept. */
  static take(stateDir: string): HostLock {
    // In a folder of its own, where nothing else opens files: closing any descriptor of the database gives its lock up (fcntl(2)).
    const folder = join(stateDir, "lock");
    const path = join(folder, "host.db");
    let database: DatabaseSync | undefined;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      database = new DatabaseSync(path, { timeout: 0 });
      database.exec("PRAGMA journal_mode = DELETE");
      database.exec("BEGIN EXCLUSIVE");
    } catch (cause) {
      database?.close();
      if (/locked|busy/i.test(messageOf(cause))) {
        throw new ColdkeepError("E_LOCKED", `another run holds the state in ${stateDir}`, {
          hint: "Wait for it to end; nothing has to be unlocked by hand.",
          cause,
        });
      }
      throw new ColdkeepError("E_DISK", `cannot take the lock ${path}: ${messageOf(cause)}`, { cause });
    }
    return new HostLock(database);
  }

  release(): void {
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
