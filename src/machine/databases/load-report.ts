/** What loading dumps needs, and what it says of them. */
import type { DataFact, Dump } from "../../format/data-facts.ts";
import type { ServerAddress } from "./postgresql-client.ts";

export type LoadOrder = {
  fact: DataFact;
  /** Where the archive's `/.coldkeep` was restored to: the directory that holds `.coldkeep`. */
  root: string;
  /** Where to load it. */
  target: ServerAddress;
  /** Whether databases that hold something already are replaced. */
  replace: boolean;
  /** How long each dump may take, ms. */
  timeoutMs: number;
  /** Of SQLite and Redis: the directory that stands for `/`. */
  into: string;
  /** Called once nothing stands in the way, before the first change: from then on what is there may be half of a load. */
  onBegin?: () => void;
  signal: AbortSignal;
};

/** Rows of a table, or keys of a Redis database, that are not as many as the archive says. */
export type CountDifference = { database: string; table: string; wanted: number; found: number };

export type LoadReport = {
  /** Databases or files that were loaded. */
  loaded: string[];
  differences: CountDifference[];
  /** What a person should know: accounts that could not be made, what no counts are known of. */
  remarks: string[];
};

/** Compares counts: a table that is not named holds nothing. */
export function compareCounts({ name, rows }: Pick<Dump, "name" | "rows">, found: Readonly<Record<string, number>>): CountDifference[] {
  const tables = new Set([...Object.keys(rows), ...Object.keys(found)]);
  return [...tables].map((table) => ({ database: name, table, wanted: rows[table] ?? 0, found: found[table] ?? 0 })).filter(({ wanted, found: now }) => wanted !== now);
}
