/** Health checks: all at once, a declared load last and alone, each tried until it is well or its time is over. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HealthCheck } from "../../config/health-schema.ts";
import { ColdkeepError } from "../../errors.ts";
import { formatDuration } from "../../units.ts";
import { probeCommand } from "./command.ts";
import { probeHttp } from "./http.ts";
import { probeLoad } from "./load.ts";
import { type Finding, ill, type ProbeOrder } from "./probe.ts";
import { probeSql } from "./sql.ts";
import { probeTcp } from "./tcp.ts";
import { probeUnit } from "./unit.ts";

/** Between tries: first at once, then with patience. */
const PAUSES_MS = [250, 500, 1000, 2000];
/** What a tool gets to end by itself once its own time-out is over. */
const GRACE_MS = 6000;

export type HealthResult = {
  name: string;
  kind: HealthCheck["kind"];
  ok: boolean;
  /** Null when all is well. */
  why: string | null;
  /** From its first try to its end. */
  ms: number;
  tries: number;
  /** Figures and words, by the kind of check. */
  measured: Record<string, number | string>;
};

export type HealthGround = {
  signal: AbortSignal;
  /** Whether a check that fails is tried again for its `withinMs`: services that were just started need a while. */
  again: boolean;
  /** Told of each when it ends. */
  onResult?: (result: HealthResult) => void;
};

function probe(check: HealthCheck, order: ProbeOrder): Promise<Finding> {
  switch (check.kind) {
    case "http":
      return probeHttp(check, order);
    case "tcp":
      return probeTcp(check, order);
    case "unit":
      return probeUnit(check, order);
    case "command":
      return probeCommand(check, order);
    case "sql":
      return probeSql(check, order);
    case "load":
      return probeLoad(check, order);
  }
}

/** One try. Ends in time whatever is asked does: some things cannot be ended. */
async function attempt(check: HealthCheck, signal: AbortSignal): Promise<Finding> {
  const { timeoutMs } = check;
  const limitMs = check.kind === "load" ? check.durationMs + timeoutMs + GRACE_MS : timeoutMs;
  const limit = AbortSignal.timeout(limitMs);
  const ended = new AbortController();
  const late = sleep(limitMs, ill(`no answer within ${formatDuration(limitMs)}`), { signal: ended.signal });
  late.catch(() => undefined);
  try {
    return await Promise.race([probe(check, { timeoutMs, signal: AbortSignal.any([signal, limit]) }), late]);
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) return ill(`no answer within ${formatDuration(limitMs)}`);
    if (error instanceof ColdkeepError) return ill(error.message);
    throw error;
  } finally {
    ended.abort();
  }
}

async function runCheck(check: HealthCheck, { signal, again, onResult }: HealthGround): Promise<HealthResult> {
  const { name, kind, withinMs } = check;
  const startedMs = performance.now();
  for (let tries = 1; ; tries++) {
    const finding = await attempt(check, signal);
    signal.throwIfAborted();
    const ms = Math.round(performance.now() - startedMs);
    if (finding.ok || !again || ms >= withinMs) {
      const result = { name, kind, ...finding, ms, tries };
      onResult?.(result);
      return result;
    }
    await sleep(Math.min(PAUSES_MS[tries - 1] ?? 2000, withinMs - ms), undefined, { signal });
  }
}

/**
 * Runs checks of this machine, in the order of the list in what is returned. A declared load comes after all others, one at a
 * time, and only its own failures are tried again. Throws the signal's reason; what is wrong with a check is its result.
 */
export async function runHealthChecks(checks: readonly HealthCheck[], ground: HealthGround): Promise<HealthResult[]> {
  const results = new Map<string, HealthResult>();
  const isLoad = ({ kind }: HealthCheck): boolean => kind === "load";
  await Promise.all(checks.filter((check) => !isLoad(check)).map(async (check) => results.set(check.name, await runCheck(check, ground))));
  for (const check of checks.filter(isLoad)) results.set(check.name, await runCheck(check, ground));
  return checks.flatMap(({ name }) => results.get(name) ?? []);
}
