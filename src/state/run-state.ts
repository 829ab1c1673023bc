/**
 * What this host remembers between runs: the objects it stored and in which regions, the archive it was about to commit, and
 * its runs. A cache: everything here can be learnt again from the regions.
 */
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { ListedObject } from "../format/manifest.ts";
import type { LowVolume } from "../policy/reclaim.ts";
import { StateDatabase } from "./database.ts";

/** A stored object, with the fingerprints of the recipients it is encrypted to (its `set` means nothing outside a manifest). */
export type KnownObject = ListedObject & {
  recipients: string[];
  /** Id of the newest archive (or checkpoint) that is known to list it. */
  archive?: string;
};

/** The archive that was about to be committed: noted before its first manifest is put. */
export type Intent = { id: string; sha256: string };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS object (id TEXT PRIMARY KEY, line TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS receipt (region TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (region, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS locked (region TEXT NOT NULL, id TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (region, id)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`;

/** The newest archive this host committed. */
export type Latest = { id: string; sha256: string; sequence: number };

/** Volumes that are kept for little, as last measured. */
export type LowVolumes = { measuredAtMs: number; volumes: LowVolume[] };

/** How a region's store was found to behave: null is not known. */
export type RegionProbe = { createOnly: boolean | null; /** This machine's clock less the store's. */ clockOffMs: number | null; probedAtMs: number };

type Fact = Intent | Latest | LowVolumes | RegionProbe;

/** Every method throws E_DISK where the state cannot be read or kept. */
export class RunState {
  readonly #database: StateDatabase;

  constructor(stateDir: string) {
    this.#database = new StateDatabase(join(stateDir, "runs.db"), SCHEMA);
  }

  noteObjects(objects: readonly KnownObject[]): void {
    this.#database.transaction(() => {
      const insert = this.#database.statement("INSERT OR REPLACE INTO object VALUES (?, ?, ?)");
      for (const object of objects) {
        const line = JSON.stringify(object);
        insert.run(object.id, line, crc32(line));
      }
    });
  }

  /** Every stored object this host remembers; damaged rows are left out. */
  objects(): Map<string, KnownObject> {
    return this.#database.run(() => {
      const found = new Map<string, KnownObject>();
      for (const row of this.#database.statement("SELECT line, crc FROM object").iterate()) {
        const line = String(row["line"]);
        if (crc32(line) !== row["crc"]) continue;
        // The check above proves that this is the text `noteObjects` wrote.
        const object = JSON.parse(line) as KnownObject;
        found.set(object.id, object);
      }
      return found;
    });
  }

  /** Forgets objects that no region holds any more. */
  forgetObjects(ids: Iterable<string>): void {
    this.#database.transaction(() => {
      for (const id of ids) {
        this.#database.statement("DELETE FROM object WHERE id = ?").run(id);
        this.#database.statement("DELETE FROM receipt WHERE id = ?").run(id);
        this.#database.statement("DELETE FROM locked WHERE id = ?").run(id);
      }
    });
  }

  noteReceipt(region: string, id: string): void {
    this.#database.run(() => this.#database.statement("INSERT OR IGNORE INTO receipt VALUES (?, ?)").run(region, id));
  }

  /** Ids confirmed in a region by an earlier put: what to go by while the region does not answer. */
  receipts(region: string): Set<string> {
    const rows = this.#database.run(() => this.#database.statement("SELECT id FROM receipt WHERE region = ?").all(region));
    return new Set(rows.map((row) => String(row["id"])));
  }

  /** `untilMs`: when the lock of an object in a region ends, ms since 1970; 0 where it has none. */
  noteLock(region: string, id: string, untilMs: number): void {
    this.#database.run(() => this.#database.statement("INSERT OR REPLACE INTO locked VALUES (?, ?, ?)").run(region, id, untilMs));
  }

  /** When the locks of objects in a region end, as last seen, by id. Rows carry no check: whoever relies on one knows how far off it can be. */
  locks(region: string): Map<string, number> {
    const rows = this.#database.run(() => this.#database.statement("SELECT id, until_ms FROM locked WHERE region = ?").all(region));
    return new Map(rows.map((row) => [String(row["id"]), Number(row["until_ms"])]));
  }

  /** Before the first manifest of an archive is put. */
  noteIntent(intent: Intent): void {
    this.#setFact("intent", intent);
  }

  clearIntent(): void {
    this.#database.run(() => this.#database.statement("DELETE FROM fact WHERE name = 'intent'").run());
  }

  /** The archive an earlier run was about to commit and never heard of again. */
  intent(): Intent | undefined {
    return this.#fact("intent");
  }

  noteLatest(latest: Latest): void {
    this.#setFact("latest", latest);
  }

  latest(): Latest | undefined {
    return this.#fact("latest");
  }

  noteLowVolumes(low: LowVolumes): void {
    this.#setFact("low volumes", low);
  }

  lowVolumes(): LowVolumes | undefined {
    return this.#fact("low volumes");
  }

  noteProbe(region: string, probe: RegionProbe): void {
    this.#setFact(`probe ${region}`, probe);
  }

  probe(region: string): RegionProbe | undefined {
    return this.#fact(`probe ${region}`);
  }

  clear(): void {
    this.#database.transaction(() => {
      for (const table of ["object", "receipt", "locked", "fact"]) this.#database.statement(`DELETE FROM ${table}`).run();
    });
  }

  close(): void {
    this.#database.close();
  }

  #setFact(name: string, fact: Fact): void {
    const value = JSON.stringify(fact);
    this.#database.run(() => this.#database.statement("INSERT OR REPLACE INTO fact VALUES (?, ?)").run(name, `${crc32(value)} ${value}`));
  }

  #fact<T extends Fact>(name: string): T | undefined {
    const row = this.#database.run(() => this.#database.statement("SELECT value FROM fact WHERE name = ?").get(name));
    const match = /^(\d+) (.*)$/s.exec(String(row?.["value"] ?? ""));
    if (match?.[2] === undefined || crc32(match[2]) !== Number(match[1])) return undefined;
    // The check above proves that this is the text `#setFact` wrote.
    return JSON.parse(match[2]) as T;
  }
}
