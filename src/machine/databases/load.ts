/** Puts dumps back into a server, and counts what came of them. */
import { setTimeout as sleep } from "node:timers/promises";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { DataFact } from "../../format/data-facts.ts";
import { loadSqlite } from "./load-files.ts";
import { loadMysql } from "./load-mysql.ts";
import { loadPostgresql } from "./load-postgresql.ts";
import type { LoadOrder, LoadReport } from "./load-report.ts";
import { loadRedis } from "./load-redis.ts";
import { MysqlClient } from "./mysql-client.ts";
import { PostgresqlClient, type ServerAddress } from "./postgresql-client.ts";
import { RedisClient } from "./redis-client.ts";

const WAIT_STEP_MS = 500;

/** Asks a server until it answers. Throws E_DISK with its last answer when it does not within `limitMs`, the signal's reason. */
export async function waitForServer(engine: DataFact["engine"], target: ServerAddress, limitMs: number, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    try {
      return await askOnce(engine, target, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() < endMs && !(error instanceof ColdkeepError && error.code === "E_NOT_FOUND")) await sleep(WAIT_STEP_MS, undefined, { signal });
      else throw new ColdkeepError("E_DISK", `${engine} does not answer: ${messageOf(error)}`, { hint: "Start it, see its log, and go on.", cause: error });
    }
  }
}

async function askOnce(engine: DataFact["engine"], target: ServerAddress, signal: AbortSignal): Promise<void> {
  if (engine === "postgresql") await (await PostgresqlClient.open(target, signal)).askServer("SELECT 1;\n", signal);
  else if (engine === "mysql") await (await MysqlClient.open(target, signal)).ask("SELECT 1;\n", signal);
  else if (engine === "redis") await (await RedisClient.open(target, signal)).info("server", signal);
}

/**
 * Loads the dumps of one database server, or puts its files back. Redis has to be stopped, and its counts are compared by
 * `countRedis` once it runs. Throws E_REFUSED before it changes anything where something is there already or an extension is
 * missing, E_DISK with the tool's last lines when a dump does not load, E_NOT_FOUND, E_CONFIG, the signal's reason.
 */
export async function loadDatabase(order: LoadOrder): Promise<LoadReport> {
  switch (order.fact.engine) {
    case "postgresql":
      return loadPostgresql(order);
    case "mysql":
      return loadMysql(order);
    case "sqlite":
      return loadSqlite(order);
    case "redis":
      return loadRedis(order);
    case "command":
      return { loaded: [], differences: [], remarks: [`the output of the command ${order.fact.name} lies in ${order.root}: nothing loads it by itself`] };
  }
}
