/** Ends archives by a rule and frees what they alone needed, host by host. */
import type { Signer } from "../codec/signer.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { RetentionRule } from "../policy/retention.ts";
import type { Emit } from "./events.ts";
import type { OpenVault } from "./open-vault.ts";
import { applyPlan, asFault, type Pruned } from "./prune/apply.ts";
import { planHost, type PrunePlan } from "./prune/plan.ts";
import { viewHost } from "./prune/view.ts";

export type PruneOrder = {
  vault: OpenVault;
  hosts: readonly string[];
  rule: RetentionRule;
  /** Regions that must hold an archive for it to count as complete. */
  copies: number;
  /** Who signs; null for a plan only. */
  signer: Signer | null;
  emit: Emit;
  signal: AbortSignal;
};

export type HostPrune = {
  plan: PrunePlan;
  /** Null where nothing was done: only a plan was wanted, or there is an obstacle. */
  done: Pruned | null;
  error: { code: string; message: string; hint: string | undefined } | null;
  exitStatus: ExitStatus;
};

/** One host after the other; what fails for one leaves the others alone. Throws E_INTERRUPTED. */
export async function pruneHosts(order: PruneOrder): Promise<HostPrune[]> {
  const results: HostPrune[] = [];
  for (const host of order.hosts) results.push(await pruneHost(order, host));
  return results;
}

async function pruneHost({ vault, rule, copies, signer, emit, signal }: PruneOrder, host: string): Promise<HostPrune> {
  emit({ kind: "progress", text: `looking at ${host} in every region` });
  const view = await viewHost(vault, host, signal);
  const plan = planHost(view, rule, copies);
  const [obstacle] = plan.obstacles.toSorted((a, b) => Number(b.code !== "E_REGION") - Number(a.code !== "E_REGION"));
  if (obstacle !== undefined) return { plan, done: null, error: { ...obstacle }, exitStatus: obstacle.code === "E_REGION" ? EXIT.failed : EXIT.refused };
  if (signer === null) return { plan, done: null, error: null, exitStatus: EXIT.done };
  try {
    return { plan, done: await applyPlan({ vault, view, plan, signer, emit, signal }), error: null, exitStatus: EXIT.done };
  } catch (error) {
    signal.throwIfAborted();
    return { plan, done: null, error: asFault(error), exitStatus: error instanceof ColdkeepError ? error.exitStatus : EXIT.failed };
  }
}
