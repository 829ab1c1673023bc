/** What the root of a catalog says of dumps: entries below `/.coldkeep/` and how to load them (format §8.6). */
import { z } from "zod";

export const DUMP_ENGINES = ["postgresql", "mysql", "sqlite", "redis", "command"] as const;
export type DumpEngine = (typeof DUMP_ENGINES)[number];

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const Dump = z.object({
  /** Path of its entry, below `/.coldkeep/`. */
  path: z.string(),
  /** `globals`: roles and tablespaces; `database`: one database; `file`: a SQLite file; `rdb`: Redis; `output`: of a command. */
  what: z.enum(["globals", "database", "file", "rdb", "output"]),
  /** Name of the database, path of the SQLite file, or name of the command. */
  name: z.string(),
  bytes: count,
  /** Rows of each table (`schema.table`) as the dump itself sees them; keys of each Redis database (`db0`). */
  rows: z.record(z.string(), count).default({}),
  /** Of a database; of a SQLite file `user:group`. */
  owner: z.string().default(""),
  /** Permission bits of a SQLite file, four octal digits. */
  mode: z.string().default(""),
  encoding: z.string().default(""),
  locale: z.string().default(""),
  extensions: z.array(z.string()).default([]),
});

const DataFact = z.object({
  engine: z.enum(DUMP_ENGINES),
  /** Its name in the configuration. */
  name: z.string(),
  /** The server's version, like `15.6`; of SQLite, the library's. */
  version: z.string().default(""),
  /** Where its own files lie, which are left out of the archive's files. */
  dataDirectory: z.string().default(""),
  /** Its port, or path of its socket; empty for files and commands. */
  address: z.string().default(""),
  /** The unit that runs it. */
  unit: z.string().default(""),
  dumps: z.array(Dump),
});

export type Dump = z.infer<typeof Dump>;
export type DataFact = z.infer<typeof DataFact>;

/** The facts of a catalog's root that this version understands. */
export function readDataFacts(values: readonly unknown[]): DataFact[] {
  return values.flatMap((value) => {
    const parsed = DataFact.safeParse(value);
    return parsed.success ? [parsed.data] : [];
  });
}
