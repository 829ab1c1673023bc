/**
 * What this host remembers between runs: the objects it stored and in which regions, the archive it was about to commit, and
 * its runs. A cache: everything here can be learnt again from the regions.
 */
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { ListedObject } from "../format/manifest.ts";
import { openStateDatabase } from "./database.ts";

/** A stored object, with the fingerprints of the recipients it is encrypted to (its `set` means nothing outside a manifest). */
export type KnownObject = ListedObject & { recipients: string[] };

/** The archive that was about to be committed: noted before its first manifest is put. */
export type Intent = { id: string; sha256: string };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS object (id TEXT PRIMARY KEY, line TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS receipt (region TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (region, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`;

export class RunState {
  readonly #database: DatabaseSync;

  constructor(stateDir: string) {
    this.#database = openStateDatabase(join(stateDir, "runs.db"), SCHEMA);
  }

  /** Notes stored objects, and where one was confirmed. */
  noteObjects(objects: readonly KnownObject[]): void {
    const insert = this.#database.prepare("INSERT OR REPLACE INTO object VALUES (?, ?, ?)");
    this.#database.exec("BEGIN");
    for (const object of objects) {
      const line = JSON.stringify(object);
      insert.run(object.id, line, crc32(line));
    }
    this.#database.exec("COMMIT");
  }

  /** Every stored object this host remembers; damaged rows are left out. */
  objects(): Map<string, KnownObject> {
    const found = new Map<string, KnownObject>();
    for (const row of this.#database.prepare("SELECT line, crc FROM object").iterate()) {
      const line = String(row["line"]);
      if (crc32(line) !== row["crc"]) continue;
      // The check above proves that this is the text `noteObjects` wrote.
      const object = JSON.parse(line) as KnownObject;
      found.set(object.id, object);
    }
    return found;
  }

  /** Forgets objects that nothing lists any more. */
  forgetObjects(ids: Iterable<string>): void {
    const remove = this.#database.prepare("DELETE FROM object WHERE id = ?");
    this.#database.exec("BEGIN");
    for (const id of ids) remove.run(id);
    this.#database.exec("COMMIT");
  }

  noteReceipt(region: string, id: string): void {
    this.#database.prepare("INSERT OR IGNORE INTO receipt VALUES (?, ?)").run(region, id);
  }

  /** Ids confirmed in a region by an earlier put: what to go by while the region does not answer. */
  receipts(region: string): Set<string> {
    const rows = this.#database.prepare("SELECT id FROM receipt WHERE region = ?").all(region);
    return new Set(rows.map((row) => String(row["id"])));
  }

  /** Before the first manifest of an archive is put. */
  noteIntent(intent: Intent): void {
    this.#setFact("intent", JSON.stringify(intent));
  }

  clearIntent(): void {
    this.#database.exec("DELETE FROM fact WHERE name = 'intent'");
  }

  /** The archive an earlier run was about to commit and never heard of again. */
  intent(): Intent | undefined {
    return this.#jsonFact("intent");
  }

  /** The newest archive this host committed. */
  noteLatest(latest: { id: string; sha256: string; sequence: number }): void {
    this.#setFact("latest", JSON.stringify(latest));
  }

  latest(): { id: string; sha256: string; sequence: number } | undefined {
    return this.#jsonFact("latest");
  }

  clear(): void {
    this.#database.exec("DELETE FROM object; DELETE FROM receipt; DELETE FROM fact");
  }

  close(): void {
    this.#database.close();
  }

  #setFact(name: string, value: string): void {
    this.#database.prepare("INSERT OR REPLACE INTO fact VALUES (?, ?)").run(name, `${crc32(value)} ${value}`);
  }

  #jsonFact<T>(name: string): T | undefined {
    const row = this.#database.prepare("SELECT value FROM fact WHERE name = ?").get(name);
    const match = /^(\d+) (.*)$/s.exec(String(row?.["value"] ?? ""));
    if (match?.[2] === undefined || crc32(match[2]) !== Number(match[1])) return undefined;
    // The check above proves that this is the text `#setFact` wrote.
    return JSON.parse(match[2]) as T;
  }
}
