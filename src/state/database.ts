/** The databases of the state: caches, so one that is damaged is begun anew, whenever the damage shows. */
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";

/** SQLITE_CORRUPT and SQLITE_NOTADB (sqlite.org/rescode.html): the file is no sound database. */
const DAMAGED: ReadonlySet<unknown> = new Set([11, 26]);

/** How long another process may hold a database: runs that need no lock share the history. */
const BUSY_MS = 2000;

function isDamage(error: unknown): boolean {
  // A number that no program of ours wrote.
  if (systemCode(error) === "ERR_OUT_OF_RANGE") return true;
  // The low byte of an extended code is the code it extends.
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" && DAMAGED.has(error.errcode & 0xff);
}

/** An error for state that cannot be kept, for whatever a file call or SQLite threw. */
export function stateFault(path: string, cause: unknown): ColdkeepError {
  if (cause instanceof ColdkeepError) return cause;
  return new ColdkeepError("E_DISK", `cannot keep the state in ${path}: ${messageOf(cause)}`, {
    hint: "Make room on that disk or repair it, and run again; what is stored in the regions is intact.",
    cause,
  });
}

export class StateDatabase {
  readonly #path: string;
  readonly #schema: string;
  #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** Opens or makes the database at `path`, and its folder. Throws E_DISK. */
  constructor(path: string, schema: string) {
    this.#path = path;
    this.#schema = schema;
    try {
      this.#database = this.#open();
    } catch (error) {
      if (!isDamage(error)) throw stateFault(path, error);
      this.#database = this.#openAnew();
    }
  }

  /** A statement, compiled once. Only valid within the `run` or `transaction` that asks for it. */
  statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Does `work`; where the database proves damaged, once more on an empty one. Throws E_DISK. */
  run<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isDamage(error)) throw stateFault(this.#path, error);
    }
    this.close();
    this.#database = this.#openAnew();
    try {
      return work();
    } catch (error) {
      throw stateFault(this.#path, error);
    }
  }

  /** `run` in one transaction. Throws E_DISK. */
  transaction(work: () => void): void {
    this.run(() => {
      const database = this.#database;
      database.exec("BEGIN");
      try {
        work();
        database.exec("COMMIT");
      } catch (error) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw error;
      }
    });
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #openAnew(): DatabaseSync {
    try {
      for (const ending of ["", "-wal", "-shm"]) rmSync(this.#path + ending, { force: true });
      return this.#open();
    } catch (error) {
      throw stateFault(this.#path, error);
    }
  }

  #open(): DatabaseSync {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(this.#path, { timeout: BUSY_MS });
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
      database.exec(this.#schema);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  }
}
