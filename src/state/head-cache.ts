/**
 * The first two lines of manifests, kept so that a survey of hundreds of archives need not fetch each again. They are signed, and
 * whoever reads them checks the signature as if they came from a region; where a region's listing shows another size or time
 * than when a head was read there, it is not used.
 */
import { join } from "node:path";
import { crc32 } from "node:zlib";
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

/** Rows kept; those of the oldest ids, which sort first, go first. */
const ROWS_MAX = 20_000;

/** Every method throws E_DISK where the cache cannot be read or kept. */
export class HeadCache {
  readonly #database: StateDatabase;
  readonly #found: { listed: ListedHead; bytes: Buffer }[] = [];

  /** `stateDir` must be there. */
  constructor(stateDir: string) {
    this.#database = new StateDatabase(join(stateDir, "heads.db"), SCHEMA);
  }

  /** The head of an object that is still listed as it was when its head was read. */
  find({ location, key, sizeBytes, modifiedMs }: ListedHead): Buffer | undefined {
    const sql = "SELECT bytes, crc FROM head WHERE location = ? AND key = ? AND size = ? AND modified = ?";
    const { bytes, crc } = this.#database.run(() => this.#database.statement(sql).get(location, key, sizeBytes, Math.floor(modifiedMs))) ?? {};
    return bytes instanceof Uint8Array && crc32(bytes) === crc ? Buffer.from(bytes) : undefined;
  }

  /** Notes a head that was read and whose signature is right; written by `save`. */
  note(listed: ListedHead, bytes: Buffer): void {
    this.#found.push({ listed, bytes });
  }

  /** Writes what was noted, in one transaction. */
  save(): void {
    if (this.#found.length === 0) return;
    this.#database.transaction(() => {
      const insert = this.#database.statement("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?)");
      for (const { listed, bytes } of this.#found) insert.run(listed.location, listed.key, listed.sizeBytes, Math.floor(listed.modifiedMs), bytes, crc32(bytes));
      this.#database.statement(`DELETE FROM head WHERE (location, key) IN (SELECT location, key FROM head ORDER BY key DESC LIMIT -1 OFFSET ${ROWS_MAX})`).run();
    });
    this.#found.length = 0;
  }

  close(): void {
    this.#database.close();
  }
}
