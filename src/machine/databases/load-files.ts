/** Puts SQLite files and Redis' file back where their programs look for them. */
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Owners } from "../../disk/owners.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { DataFact } from "../../format/data-facts.ts";
import { compareCounts, type CountDifference, type LoadOrder, type LoadReport } from "./load-report.ts";
import type { ServerAddress } from "./postgresql-client.ts";
import { RedisClient } from "./redis-client.ts";
import { countRows, SIDE_FILES } from "./sqlite.ts";

const DEFAULT_RDB = "dump.rdb";
const CHANGED_MODE = 0o640;

function refuseThere(path: string, replace: boolean): void {
  if (replace || !existsSync(path)) return;
  throw new ColdkeepError("E_REFUSED", `${path} is there already`, { hint: "Move it away." });
}

/** Copies a dump beside its place, and moves it there whole. */
function place(from: string, to: string, owner: { uid: number; gid: number } | null, mode: number): void {
  const fresh = `${to}.coldkeep-new`;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, fresh);
  chmodSync(fresh, mode);
  if (owner !== null && process.geteuid?.() === 0) chownSync(fresh, owner.uid, owner.gid);
  renameSync(fresh, to);
}

/** The numbers of `user:group`; null where this machine does not know them. */
function ownerOf(text: string): { uid: number; gid: number } | null {
  const [user = "", group = ""] = text.split(":");
  const owners = new Owners();
  const [uid, gid] = [owners.uidOf(user) ?? (/^\d+$/.test(user) ? Number(user) : undefined), owners.gidOf(group) ?? (/^\d+$/.test(group) ? Number(group) : undefined)];
  return uid === undefined || gid === undefined ? null : { uid, gid };
}

function countFile(path: string): Record<string, number> {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const verdict = database.prepare("PRAGMA integrity_check(1)").get()?.["integrity_check"];
    if (verdict !== "ok") throw new ColdkeepError("E_DISK", `${path} is damaged: ${String(verdict)}`);
    return countRows(database);
  } catch (error) {
    throw error instanceof ColdkeepError ? error : new ColdkeepError("E_DISK", `${path} cannot be opened: ${messageOf(error)}`, { cause: error });
  } finally {
    database.close();
  }
}

/** As `loadDatabase`: files at their paths, with owner and mode; checked before they are moved there. */
export function loadSqlite({ fact, root, into, replace, onBegin }: LoadOrder): LoadReport {
  const report: LoadReport = { loaded: [], differences: [], remarks: [] };
  for (const dump of fact.dumps) refuseThere(join(into, dump.name), replace);
  onBegin?.();
  for (const dump of fact.dumps) {
    const [from, to] = [join(root, dump.path), join(into, dump.name)];
    const found = countFile(from);
    const owner = ownerOf(dump.owner);
    if (owner === null) report.remarks.push(`${dump.name}: there is no ${dump.owner} on this machine, and it belongs to whoever loads it`);
    // What belongs to another state of the file would be taken for a part of this one.
    for (const end of SIDE_FILES) rmSync(`${to}${end}`, { force: true });
    place(from, to, owner, Number.parseInt(dump.mode === "" ? "0600" : dump.mode, 8));
    for (const end of SIDE_FILES) rmSync(`${from}${end}`, { force: true });
    report.loaded.push(dump.name);
    report.differences.push(...compareCounts(dump, found));
  }
  return report;
}

/** As `loadDatabase`: the file in its directory, while Redis is stopped. */
export function loadRedis({ fact, root, into, replace }: LoadOrder): LoadReport {
  const report: LoadReport = { loaded: [], differences: [], remarks: [] };
  const directory = join(into, fact.dataDirectory);
  if (fact.dataDirectory === "" || !existsSync(directory)) throw new ColdkeepError("E_REFUSED", `there is no directory ${directory} for Redis' file`, { hint: "Install Redis first, or put the file where `dir` of its configuration says." });
  for (const dump of fact.dumps) {
    const to = join(directory, dump.name === "" ? DEFAULT_RDB : basename(dump.name));
    refuseThere(to, replace);
    place(join(root, dump.path), to, statSync(directory), CHANGED_MODE);
    report.loaded.push(dump.name);
  }
  report.remarks.push("Redis reads the file at its start, but not with `appendonly yes`: start it once with `appendonly no`, then CONFIG SET appendonly yes");
  return report;
}

/** Compares the keys of a running Redis with what the archive says. Throws E_DISK where it does not answer. */
export async function countRedis(fact: DataFact, target: ServerAddress, signal: AbortSignal): Promise<CountDifference[]> {
  const client = await RedisClient.open(target, signal);
  const keyspace = await client.info("keyspace", signal);
  const found = Object.fromEntries([...keyspace].map(([name, value]) => [name, Number(/^keys=(\d+)/.exec(value)?.[1] ?? 0)]));
  return fact.dumps.flatMap((dump) => compareCounts(dump, found));
}
