/**
 * Puts Redis' file back where it reads it at its start. With `appendonly yes` it reads its log of writes instead, which then begins
 * with that file (redis.io, "Redis persistence": since 7.0 a folder with a base file and a manifest, before that one file).
 */
import { chownSync, existsSync, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ColdkeepError } from "../../errors.ts";
import type { DataFact } from "../../format/data-facts.ts";
import { place, refuseThere } from "./load-files.ts";
import { compareCounts, type CountDifference, type LoadOrder, type LoadReport } from "./load-report.ts";
import type { ServerAddress } from "./postgresql-client.ts";
import { RedisClient } from "./redis-client.ts";

const DEFAULT_RDB = "dump.rdb";
const DEFAULT_LOG = "appendonly.aof";
const CHANGED_MODE = 0o640;
const FOLDER_MODE = 0o750;

/** The log that a server keeps. */
export type RedisLog = { file: string; /** Below its directory; null before 7.0, where the log is one file. */ folder: string | null };

/** The log of a running server; null where it keeps none. Throws E_DISK where it does not answer. */
export async function redisLog(target: ServerAddress, signal: AbortSignal): Promise<RedisLog | null> {
  const client = await RedisClient.open(target, signal);
  const settings = await client.settings(["appendonly", "appendfilename", "appenddirname"], signal);
  if (settings.get("appendonly") !== "yes") return null;
  const folder = settings.get("appenddirname");
  return { file: basename(settings.get("appendfilename") || DEFAULT_LOG), folder: folder === undefined || folder === "" ? null : basename(folder) };
}

function moveAside(path: string): void {
  if (existsSync(path)) renameSync(path, `${path}.replaced-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}`);
}

function rdbOf({ fact, into }: LoadOrder, name: string): string {
  return join(into, fact.dataDirectory, name === "" ? DEFAULT_RDB : basename(name));
}

/** Begins the log of a stopped server with what `loadRedis` put there. A log that is there is moved aside. */
export function beginLog(order: LoadOrder, { file, folder }: RedisLog): void {
  const directory = join(order.into, order.fact.dataDirectory);
  const owner = statSync(directory);
  const [dump] = order.fact.dumps;
  if (dump === undefined) return;
  const rdb = rdbOf(order, dump.name);
  if (folder === null) {
    moveAside(join(directory, file));
    place(rdb, join(directory, file), owner, CHANGED_MODE);
    return;
  }
  const home = join(directory, folder);
  moveAside(home);
  mkdirSync(home, { mode: FOLDER_MODE });
  const base = `${file}.1.base.rdb`;
  place(rdb, join(home, base), owner, CHANGED_MODE);
  const manifest = join(home, `${file}.manifest`);
  writeFileSync(manifest, `file ${base} seq 1 type b\n`, { mode: CHANGED_MODE });
  if (process.geteuid?.() === 0) for (const path of [home, manifest]) chownSync(path, owner.uid, owner.gid);
}

/** As `loadDatabase`: the file in its directory, while Redis is stopped. */
export function loadRedis(order: LoadOrder): LoadReport {
  const { fact, root, into, replace } = order;
  const report: LoadReport = { loaded: [], differences: [], remarks: [] };
  const directory = join(into, fact.dataDirectory);
  if (fact.dataDirectory === "" || !existsSync(directory)) throw new ColdkeepError("E_REFUSED", `there is no directory ${directory} for Redis' file`, { hint: "Install Redis first, or put the file where `dir` of its configuration says." });
  for (const dump of fact.dumps) {
    const to = rdbOf(order, dump.name);
    refuseThere(to, replace);
    place(join(root, dump.path), to, statSync(directory), CHANGED_MODE);
    report.loaded.push(dump.name);
  }
  return report;
}

/** Compares the keys of a running Redis with what the archive says. Throws E_DISK where it does not answer. */
export async function countRedis(fact: DataFact, target: ServerAddress, signal: AbortSignal): Promise<CountDifference[]> {
  const client = await RedisClient.open(target, signal);
  const keyspace = await client.info("keyspace", signal);
  const found = Object.fromEntries([...keyspace].map(([name, value]) => [name, Number(/^keys=(\d+)/.exec(value)?.[1] ?? 0)]));
  return fact.dumps.flatMap((dump) => compareCounts(dump, found));
}
