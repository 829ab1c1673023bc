/** Everything that is to be dumped on this machine, asked before the walk begins. */
import type { DatabaseConfig, DataConfig, OnError } from "../../config/data-schema.ts";
import { comparePaths } from "../../format/path-order.ts";
import { planCommand } from "./command.ts";
import { planMysql } from "./mysql.ts";
import { planPostgresql } from "./postgresql.ts";
import { planRedis } from "./redis.ts";
import { type DataSource, dumpFolder } from "./source.ts";
import { planSqlite } from "./sqlite.ts";

/** A database that could not be asked. */
export type PlanFault = { label: string; path: string; onError: OnError; error: unknown };

export type DataPlan = { sources: DataSource[]; faults: PlanFault[] };

/** What one database is asked for; `spoolDir` is for copies of SQLite files. Throws what its tools say. */
export async function planDatabase(config: DatabaseConfig, spoolDir: string, signal: AbortSignal): Promise<DataSource> {
  switch (config.type) {
    case "postgresql":
      return planPostgresql(config, signal);
    case "mysql":
      return planMysql(config, signal);
    case "redis":
      return planRedis(config, signal);
    case "sqlite":
      return planSqlite(config, spoolDir);
  }
}

async function planned({ type, name, onError }: DatabaseConfig, plan: () => Promise<DataSource>, signal: AbortSignal): Promise<DataSource | PlanFault> {
  try {
    return await plan();
  } catch (error) {
    signal.throwIfAborted();
    return { label: `${type} ${name}`, path: dumpFolder({ engine: type, name }), onError, error };
  }
}

/** All sources of dumps, their dumps in the order of their paths. Throws the signal's reason. */
export async function planData({ databases, commands }: Pick<DataConfig, "databases" | "commands">, spoolDir: string, signal: AbortSignal): Promise<DataPlan> {
  const found = await Promise.all(databases.map((config) => planned(config, () => planDatabase(config, spoolDir, signal), signal)));
  const sources = [...found.flatMap((each) => ("dumps" in each ? [each] : [])), ...commands.map(planCommand)];
  const byPath = (a: { path: string }, b: { path: string }): number => comparePaths(a.path, b.path);
  return { sources: sources.map((source) => ({ ...source, dumps: source.dumps.toSorted(byPath) })), faults: found.flatMap((each) => ("error" in each ? [each] : [])) };
}
