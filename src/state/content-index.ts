/**
 * Known content: where the bytes of a digest lie. A cache in SQLite: each row carries its own check, a row that fails it is
 * forgotten, and a database that cannot be read is begun anew.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { ContentFilter } from "./content-filter.ts";
import { openStateDatabase } from "./database.ts";

/** Where one piece of content lies. */
export type ContentPlace = { volume: string; frame: readonly [number, number]; offset: number; length: number };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS volume (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS content (
    sha256 BLOB PRIMARY KEY, volume INTEGER NOT NULL, position INTEGER NOT NULL, frame INTEGER NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);`;

type Row = { id: string; position: number; frame: number; offset: number; length: number; crc: number };

export class ContentIndex {
  readonly #directory: string;
  readonly #database: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #volumeNumbers = new Map<string, number>();
  #added = false;

  constructor(stateDir: string) {
    this.#directory = stateDir;
    this.#database = openStateDatabase(join(stateDir, "content.db"), SCHEMA);
    this.#find = this.#database.prepare(
      "SELECT volume.id, position, frame, offset, length, crc FROM content JOIN volume ON number = content.volume WHERE sha256 = ?",
    );
    this.#insert = this.#database.prepare("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?, ?, ?)");
  }

  /** The place of a digest, if it is known and its row is sound. */
  find(sha256: string): ContentPlace | undefined {
    const row = this.#row(sha256);
    if (row === undefined) return undefined;
    // The columns are typed by the statement above; the check below covers their values.
    const { id, position, frame, offset, length, crc } = row as Row;
    const place: ContentPlace = { volume: id, frame: [position, frame], offset, length };
    return rowCheck(sha256, place) === crc ? place : undefined;
  }

  #row(sha256: string): unknown {
    try {
      return this.#find.get(Buffer.from(sha256, "hex"));
    } catch {
      return undefined; // a damaged page: as good as not known
    }
  }

  /** Adds the content of one volume, known from now on. One transaction. */
  add(volume: string, pieces: Iterable<readonly [sha256: string, place: ContentPlace]>): void {
    this.#markChanged();
    this.#database.exec("BEGIN");
    const number = this.#volumeNumber(volume);
    for (const [sha256, place] of pieces) {
      const [position, frame] = place.frame;
      this.#insert.run(Buffer.from(sha256, "hex"), number, position, frame, place.offset, place.length, rowCheck(sha256, place));
    }
    this.#database.exec("COMMIT");
  }

  /** Forgets everything, for `state rebuild`. */
  clear(): void {
    this.#markChanged();
    this.#database.exec("DELETE FROM content; DELETE FROM volume");
    this.#volumeNumbers.clear();
  }

  /** Whether nothing is known: a first run, or lost state. */
  isEmpty(): boolean {
    return this.#database.prepare("SELECT 1 FROM volume LIMIT 1").get() === undefined;
  }

  /** Fills the filter with every known digest, from its saved form where that is current. */
  loadFilter(filter: ContentFilter): void {
    const saved = this.#savedFilter();
    if (saved !== undefined && saved.length === filter.bytes().length) {
      filter.bytes().set(saved);
      return;
    }
    for (const row of this.#database.prepare("SELECT sha256 FROM content").iterate()) {
      const sha256 = row["sha256"];
      if (sha256 instanceof Uint8Array) filter.add(Buffer.from(sha256).toString("hex"));
    }
  }

  /** Saves the filter beside the database, so that the next night need not read the whole table. */
  saveFilter(filter: ContentFilter): void {
    if (!this.#added) return;
    const path = this.#filterPath();
    const bytes = filter.bytes();
    writeFileSync(`${path}.new`, bytes, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    this.#database.prepare("INSERT OR REPLACE INTO fact VALUES ('filter', ?)").run(String(crc32(bytes)));
  }

  close(): void {
    this.#database.close();
  }

  #filterPath(): string {
    return join(this.#directory, "content.filter");
  }

  /** From the first change on until the filter is saved again, the saved one is stale. */
  #markChanged(): void {
    if (this.#added) return;
    this.#added = true;
    this.#database.exec("DELETE FROM fact WHERE name = 'filter'");
  }

  #savedFilter(): Buffer | undefined {
    const fact = this.#database.prepare("SELECT value FROM fact WHERE name = 'filter'").get();
    if (fact === undefined) return undefined;
    try {
      const bytes = readFileSync(this.#filterPath());
      return String(crc32(bytes)) === fact["value"] ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  #volumeNumber(id: string): number {
    const known = this.#volumeNumbers.get(id);
    if (known !== undefined) return known;
    this.#database.prepare("INSERT OR IGNORE INTO volume (id) VALUES (?)").run(id);
    const number = Number(this.#database.prepare("SELECT number FROM volume WHERE id = ?").get(id)?.["number"]);
    this.#volumeNumbers.set(id, number);
    return number;
  }
}

function rowCheck(sha256: string, place: ContentPlace): number {
  return crc32(`${sha256} ${place.volume} ${place.frame[0]} ${place.frame[1]} ${place.offset} ${place.length}`);
}
