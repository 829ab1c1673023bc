/**
 * Known content: where the bytes of a digest lie. A cache in SQLite: each row carries its own check, a row that fails it is
 * forgotten, and a database that cannot be read is begun anew.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { ContentFilter } from "./content-filter.ts";
import { StateDatabase, stateFault } from "./database.ts";
import { DIGEST_BYTES, PIECE_BYTES, type PiecePlace, readPlace } from "./piece-records.ts";

/** Where one piece of content lies. */
export type ContentPlace = PiecePlace & { volume: string };

/** A piece is its record (piece-records.ts) in two columns, with a check over it and its volume. */
const SCHEMA = `
  DROP TABLE IF EXISTS content;
  CREATE TABLE IF NOT EXISTS volume (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS piece (sha256 BLOB PRIMARY KEY, volume INTEGER NOT NULL, place BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);`;

const FIND = "SELECT volume.id, place, crc FROM piece JOIN volume ON number = piece.volume WHERE sha256 = ?";
const PLACES = "SELECT volume.id, place FROM piece JOIN volume ON number = piece.volume";
const INSERT = "INSERT OR REPLACE INTO piece VALUES (?, ?, ?, ?)";
/** Up to so many pieces, reading the table takes less than reading a saved filter. */
const FILTER_SAVED_FROM = 20_000;
const HAS_MANY = `SELECT 1 FROM piece LIMIT 1 OFFSET ${FILTER_SAVED_FROM}`;
const SET_FACT = "INSERT OR REPLACE INTO fact VALUES (?, ?)";

export class ContentIndex {
  readonly #directory: string;
  readonly #database: StateDatabase;
  #added = false;

  /** Throws E_DISK. */
  constructor(stateDir: string) {
    this.#directory = stateDir;
    this.#database = new StateDatabase(join(stateDir, "content.db"), SCHEMA);
  }

  /** The place of a digest, if it is known and its row is sound. */
  find(sha256: string): ContentPlace | undefined {
    const digest = Buffer.from(sha256, "hex");
    const row = this.#database.run(() => this.#database.statement(FIND).get(digest));
    const { id, place, crc } = row ?? {};
    if (typeof id !== "string" || !(place instanceof Uint8Array)) return undefined;
    const record = Buffer.concat([digest, place]);
    return record.length === PIECE_BYTES && check(record, id) === crc ? { volume: id, ...readPlace(record, 0) } : undefined;
  }

  /** Adds the content of one volume, known from now on, as records. One transaction. Throws E_DISK. */
  add(volume: string, batches: Iterable<Buffer>): void {
    this.#database.transaction(() => {
      this.#forgetFilter();
      const number = this.#volumeNumber(volume);
      const insert = this.#database.statement(INSERT);
      for (const records of batches) {
        for (let at = 0; at < records.length; at += PIECE_BYTES) {
          const record = records.subarray(at, at + PIECE_BYTES);
          insert.run(record.subarray(0, DIGEST_BYTES), number, record.subarray(DIGEST_BYTES), check(record, volume));
        }
      }
    });
    this.#added = true;
  }

  /** How much known content lies in each volume, bytes before compression. */
  contentBytes(): Map<string, number> {
    return this.#database.run(() => {
      const bytes = new Map<string, number>();
      for (const { id, place } of this.#database.statement(PLACES).iterate()) {
        if (typeof id !== "string" || !(place instanceof Uint8Array) || place.length !== PIECE_BYTES - DIGEST_BYTES) continue;
        // Without the digest that stands before the place in a record.
        const { length } = readPlace(Buffer.from(place.buffer, place.byteOffset, place.length), -DIGEST_BYTES);
        bytes.set(id, (bytes.get(id) ?? 0) + length);
      }
      return bytes;
    });
  }

  /** Forgets everything, for `state rebuild`. */
  clear(): void {
    this.#database.transaction(() => {
      for (const table of ["piece", "volume", "fact"]) this.#database.statement(`DELETE FROM ${table}`).run();
    });
  }

  /**
   * Whether everything the archives hold is known here: not in a new or lost database, nor where learning was cut short.
   */
  get isLearnt(): boolean {
    return this.#fact("pieces learnt") !== undefined;
  }

  /** Everything the archives hold was added. */
  noteLearnt(): void {
    this.#database.run(() => this.#database.statement(SET_FACT).run("pieces learnt", "yes"));
  }

  /** Fills the filter with every known digest, from its saved form where that is current. */
  loadFilter(filter: ContentFilter): void {
    const saved = this.#savedFilter();
    if (saved !== undefined && saved.length === filter.bytes().length) {
      filter.bytes().set(saved);
      return;
    }
    this.#database.run(() => {
      for (const row of this.#database.statement("SELECT sha256 FROM piece").iterate()) {
        const sha256 = row["sha256"];
        if (sha256 instanceof Uint8Array) filter.add(Buffer.from(sha256).toString("hex"));
      }
    });
  }

  /** Saves the filter beside a large database, so that the next night need not read the whole table. Throws E_DISK. */
  saveFilter(filter: ContentFilter): void {
    if (!this.#added || !this.#database.run(() => this.#database.statement(HAS_MANY).get())) return;
    const path = this.#filterPath();
    const bytes = filter.bytes();
    try {
      writeFileSync(`${path}.new`, bytes, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch (error) {
      throw stateFault(path, error);
    }
    this.#database.run(() => this.#database.statement(SET_FACT).run("filter", String(crc32(bytes))));
  }

  close(): void {
    this.#database.close();
  }

  #filterPath(): string {
    return join(this.#directory, "content.filter");
  }

  /** From the first change on until the filter is saved again, the saved one is stale. */
  #forgetFilter(): void {
    if (!this.#added) this.#database.statement("DELETE FROM fact WHERE name = 'filter'").run();
  }

  #fact(name: string): unknown {
    return this.#database.run(() => this.#database.statement("SELECT value FROM fact WHERE name = ?").get(name)?.["value"]);
  }

  #savedFilter(): Buffer | undefined {
    const check = this.#fact("filter");
    if (check === undefined) return undefined;
    try {
      const bytes = readFileSync(this.#filterPath());
      return String(crc32(bytes)) === check ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  #volumeNumber(id: string): number {
    this.#database.statement("INSERT OR IGNORE INTO volume (id) VALUES (?)").run(id);
    return Number(this.#database.statement("SELECT number FROM volume WHERE id = ?").get(id)?.["number"]);
  }
}

function check(record: Buffer, volume: string): number {
  return crc32(record, crc32(volume));
}
