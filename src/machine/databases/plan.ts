/** Everything that is to be dumped on this machine, asked before the walk begins. */
import type { DatabaseConfig, DataConfig, OnError } from "../../config/data-schema.ts";
import { comparePaths } from "../../format/path-order.ts";
import { planCommand } from "./command.ts";
import { planPostgresql } from "./postgresql.ts";
import { type DataSource, dumpFolder } from "./source.ts";

/** A database that could not be asked. */
export type PlanFault = { label: string; path: string; onError: OnError; error: unknown };

export type DataPlan = { sources: DataSource[]; faults: PlanFault[] };

/** What one database is asked for. Throws what its tools say. */
export function planDatabase(config: DatabaseConfig, signal: AbortSignal): Promise<DataSource> {
  switch (config.type) {
    case "postgresql":
      return planPostgresql(config, signal);
    default:
      throw new Error("unreachable");
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
export async function planData({ databases, commands }: Pick<DataConfig, "databases" | "commands">, signal: AbortSignal): Promise<DataPlan> {
  const found = await Promise.all(databases.map((config) => planned(config, () => planDatabase(config, signal), signal)));
  const sources = [...found.flatMap((each) => ("dumps" in each ? [each] : [])), ...commands.map(planCommand)];
  const byPath = (a: { path: string }, b: { path: string }): number => comparePaths(a.path, b.path);
  return { sources: sources.map((source) => ({ ...source, dumps: source.dumps.toSorted(byPath) })), faults: found.flatMap((each) => ("error" in each ? [each] : [])) };
}
