/** The health checks of a configuration, on this machine. */
import type { LoadedConfig } from "../config/load.ts";
import { ColdkeepError } from "../errors.ts";
import { type HealthResult, runHealthChecks } from "../machine/health/run.ts";
import { didYouMean } from "../policy/closest.ts";

export type { HealthResult };

export type HealthOrder = {
  loaded: LoadedConfig;
  /** Names of checks; empty: all. */
  only: readonly string[];
  again: boolean;
  onResult: (result: HealthResult) => void;
  signal: AbortSignal;
};

/** Throws E_NOT_FOUND where there is nothing to check, E_USAGE for a name that no check has. */
export async function checkHealth({ loaded, only, again, onResult, signal }: HealthOrder): Promise<HealthResult[]> {
  const { config: { health }, path } = loaded;
  if (health.length === 0) throw new ColdkeepError("E_NOT_FOUND", `${path} names no health check`, { hint: "Add a `health` list; docs/guide/health.md shows how." });
  const names = health.map(({ name }) => name);
  const stranger = only.find((name) => !names.includes(name));
  if (stranger !== undefined) throw new ColdkeepError("E_USAGE", `there is no health check "${stranger}"`, { hint: `There are ${names.join(", ")}.${didYouMean(stranger, names)}` });
  return runHealthChecks(health.filter(({ name }) => only.length === 0 || only.includes(name)), { signal, again, onResult });
}
