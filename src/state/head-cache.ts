/**
 * The first two lines of manifests, kept so that a survey of hundreds of archives need not fetch each again. They are signed, and
 * whoever reads them checks the signature as if they came from a region; where a region's listing shows another size or time
 * than when a head was read there, it is not used.
 */
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { ID_LENGTH } from "../format/id.ts";
import { StateDatabase } from "./database.ts";

/** An object as a region lists it. */
export type ListedHead = {
  /** Where the region is: two regions never share one. */
  location: string;
  key: string;
  sizeBytes: number;
  /** By the store's clock, ms since the epoch. */
  modifiedMs: number;
};

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS head (
    location TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, bytes BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (location, key)
  ) WITHOUT ROWID;`;

/** Rows kept, of about a KiB; those of the oldest archives go first. */
const ROWS_MAX = 50_000;
/** `<id>.manifest`: an id begins with its time. */
const NAME_LENGTH = ID_LENGTH + ".manifest".length;

/** Never throws: what cannot be read or kept is fetched again. */
export class HeadCache implements Disposable {
  readonly #database: StateDatabase | undefined;
  readonly #found: { listed: ListedHead; bytes: Buffer }[] = [];
  readonly #rowsMax: number;

  constructor(stateDir: string, rowsMax = ROWS_MAX) {
    this.#rowsMax = rowsMax;
    this.#database = attempt(() => new StateDatabase(join(stateDir, "heads.db"), SCHEMA));
  }

  /** The head of an object that is still listed as it was when its head was read. */
  find({ location, key, sizeBytes, modifiedMs }: ListedHead): Buffer | undefined {
    const sql = "SELECT bytes, crc FROM head WHERE location = ? AND key = ? AND size = ? AND modified = ?";
    const database = this.#database;
    const { bytes, crc } = attempt(() => database?.run(() => database.statement(sql).get(location, key, sizeBytes, Math.floor(modifiedMs)))) ?? {};
    return bytes instanceof Uint8Array && crc32(bytes) === crc ? Buffer.from(bytes) : undefined;
  }

  /** Notes a head that was read and whose signature is right; written by `save`. */
  note(listed: ListedHead, bytes: Buffer): void {
    this.#found.push({ listed, bytes });
  }

  /** Writes what was noted, in one transaction. */
  save(): void {
    const [database, found] = [this.#database, this.#found.splice(0)];
    if (found.length === 0 || database === undefined) return;
    attempt(() =>
      database.transaction(() => {
        const insert = database.statement("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?)");
        for (const { listed, bytes } of found) insert.run(listed.location, listed.key, listed.sizeBytes, Math.floor(listed.modifiedMs), bytes, crc32(bytes));
        database.statement(`DELETE FROM head WHERE (location, key) IN (SELECT location, key FROM head ORDER BY substr(key, -${NAME_LENGTH}) DESC LIMIT -1 OFFSET ?)`).run(this.#rowsMax);
      }),
    );
  }

  [Symbol.dispose](): void {
    attempt(() => this.#database?.close());
  }
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
