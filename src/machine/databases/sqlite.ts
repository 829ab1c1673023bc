/** Copies of SQLite files that are consistent while somebody writes to them. */
import { createReadStream, globSync, lstatSync, mkdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import type { SqliteConfig } from "../../config/data-schema.ts";
import { Owners } from "../../disk/owners.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { formatMode } from "../../format/entry.ts";
import { MIB } from "../../units.ts";
import { type DataSource, dumpFileName, dumpFolder, type DumpFacts, type DumpSink } from "./source.ts";

/** How long a writer may keep its lock before the copy gives up, ms. */
const BUSY_MS = 30_000;
/** Files in the older journal mode lock writers out while they are read: up to this size that is short enough to do in one go. */
const ONE_STEP_BYTES_MAX = 64 * MIB;
const ALL_PAGES = 0x7fff_ffff;
const PAGES_A_STEP = 2048;
/** What lies beside a database while somebody works on it. */
export const SIDE_FILES = ["-wal", "-shm", "-journal"];

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Rows of every table of an open database. */
export function countRows(database: DatabaseSync): Record<string, number> {
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL %' ORDER BY name").all();
  return Object.fromEntries(tables.map(({ name }) => [String(name), Number(database.prepare(`SELECT count(*) AS n FROM ${quoted(String(name))}`).get()?.["n"] ?? 0)]));
}

/** Copies a database as one moment saw it. Throws E_DISK. */
async function copyTo(path: string, copy: string, timeoutMs: number): Promise<void> {
  const source = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  let timer: NodeJS.Timeout | undefined;
  try {
    const mode = source.prepare("PRAGMA journal_mode").get()?.["journal_mode"];
    const rate = mode === "wal" || lstatSync(path).size <= ONE_STEP_BYTES_MAX ? ALL_PAGES : PAGES_A_STEP;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new ColdkeepError("E_DISK", `no copy was done within ${timeoutMs / 1000} s`)), timeoutMs);
    });
    await Promise.race([backup(source, copy, { rate }), late]);
  } finally {
    clearTimeout(timer);
    source.close();
  }
}

async function writeCopy(path: string, copy: string, timeoutMs: number, sink: DumpSink): Promise<DumpFacts> {
  try {
    await copyTo(path, copy, timeoutMs);
    const database = new DatabaseSync(copy, { readOnly: true });
    try {
      const { mode, uid, gid } = lstatSync(path);
      const owners = new Owners();
      const facts = { rows: countRows(database), owner: `${owners.userName(uid) ?? uid}:${owners.groupName(gid) ?? gid}`, mode: formatMode(mode & 0o7777) };
      for await (const bytes of createReadStream(copy, { highWaterMark: MIB }) as AsyncIterable<Buffer>) await sink(bytes);
      return facts;
    } finally {
      database.close();
    }
  } catch (error) {
    if (error instanceof ColdkeepError || !(error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR")) throw error;
    throw new ColdkeepError("E_DISK", `${path} cannot be copied: ${messageOf(error)}`, { cause: error });
  } finally {
    for (const end of ["", ...SIDE_FILES]) rmSync(`${copy}${end}`, { force: true });
  }
}

/** Finds the files; `spoolDir` is for their copies. Throws E_NOT_FOUND when there is none. */
export function planSqlite({ name, path: pattern, onError, timeoutMs, keepFiles }: SqliteConfig, spoolDir: string): DataSource {
  const found = globSync(pattern).filter((path) => !SIDE_FILES.some((end) => path.endsWith(end)) && lstatSync(path).isFile()).map((path) => realpathSync(path)).toSorted();
  if (found.length === 0) throw new ColdkeepError("E_NOT_FOUND", `there is no file ${pattern}`, { hint: "Correct `path` of this database in the configuration." });
  const fact = { engine: "sqlite" as const, name, version: process.versions["sqlite"] ?? "", dataDirectory: "", address: "", unit: "" };
  const dumps = found.map((path): DataSource["dumps"][number] => ({
    path: `${dumpFolder(fact)}/file-${dumpFileName(path)}`,
    what: "file",
    name: path,
    write: async (sink, signal) => {
      signal.throwIfAborted();
      mkdirSync(spoolDir, { recursive: true, mode: 0o700 });
      return writeCopy(path, join(spoolDir, `${process.pid}.sqlite`), timeoutMs, sink);
    },
  }));
  const leftOut = keepFiles ? [] : found.flatMap((path) => ["", ...SIDE_FILES].map((end) => `${path}${end}`));
  return { label: `sqlite ${name}`, onError, fact, dumps, leftOut, settings: [], notes: [] };
}
