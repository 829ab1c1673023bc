/**
 * Known content: where the bytes of a digest lie. A cache in SQLite: each row carries its own check, a row that fails it is
 * forgotten, and a database that cannot be read is begun anew.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { ContentFilter } from "./content-filter.ts";
import { StateDatabase, stateFault } from "./database.ts";

/** Where one piece of content lies. */
export type ContentPlace = { volume: string; frame: readonly [number, number]; offset: number; length: number };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS volume (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS content (
    sha256 BLOB PRIMARY KEY, volume INTEGER NOT NULL, position INTEGER NOT NULL, frame INTEGER NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);`;

const FIND = "SELECT volume.id, position, frame, offset, length, crc FROM content JOIN volume ON number = content.volume WHERE sha256 = ?";
const INSERT = "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?, ?, ?)";
const SET_FACT = "INSERT OR REPLACE INTO fact VALUES (?, ?)";

type Row = { id: string; position: number; frame: number; offset: number; length: number; crc: number };

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
    const row: unknown = this.#database.run(() => this.#database.statement(FIND).get(Buffer.from(sha256, "hex")));
    if (row === undefined) return undefined;
    // The columns are typed by the statement above; the check below covers their values.
    const { id, position, frame, offset, length, crc } = row as Row;
    const place: ContentPlace = { volume: id, frame: [position, frame], offset, length };
    return rowCheck(sha256, place) === crc ? place : undefined;
  }

  /** Adds the content of one volume, known from now on. One transaction. Throws E_DISK. */
  add(volume: string, pieces: Iterable<readonly [sha256: string, place: ContentPlace]>): void {
    this.#database.transaction(() => {
      this.#forgetFilter();
      const number = this.#volumeNumber(volume);
      const insert = this.#database.statement(INSERT);
      for (const [sha256, place] of pieces) {
        const [position, frame] = place.frame;
        insert.run(Buffer.from(sha256, "hex"), number, position, frame, place.offset, place.length, rowCheck(sha256, place));
      }
    });
    this.#added = true;
  }

  /** Forgets everything, for `state rebuild`. */
  clear(): void {
    this.#database.transaction(() => {
      for (const table of ["content", "volume", "fact"]) this.#database.statement(`DELETE FROM ${table}`).run();
    });
  }

  /**
   * Whether everything the archives hold is known here: not in a new or lost database, nor where learning was cut short.
   */
  get isLearnt(): boolean {
    return this.#fact("learnt") !== undefined;
  }

  /** Everything the archives hold was added. */
  noteLearnt(): void {
    this.#database.run(() => this.#database.statement(SET_FACT).run("learnt", "yes"));
  }

  /** Fills the filter with every known digest, from its saved form where that is current. */
  loadFilter(filter: ContentFilter): void {
    const saved = this.#savedFilter();
    if (saved !== undefined && saved.length === filter.bytes().length) {
      filter.bytes().set(saved);
      return;
    }
    this.#database.run(() => {
      for (const row of this.#database.statement("SELECT sha256 FROM content").iterate()) {
        const sha256 = row["sha256"];
        if (sha256 instanceof Uint8Array) filter.add(Buffer.from(sha256).toString("hex"));
      }
    });
  }

  /** Saves the filter beside the database, so that the next night need not read the whole table. Throws E_DISK. */
  saveFilter(filter: ContentFilter): void {
    if (!this.#added) return;
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

function rowCheck(sha256: string, place: ContentPlace): number {
  return crc32(`${sha256} ${place.volume} ${place.frame[0]} ${place.frame[1]} ${place.offset} ${place.length}`);
}
