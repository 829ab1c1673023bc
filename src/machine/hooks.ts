/** Programs of a person's own that run before and after a run, and when one failed. */
import type { HookConfig, HookMoment } from "../config/data-schema.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { runToolWell } from "./run-tool.ts";

/** What a hook is told, as COLDKEEP_* variables of its environment. */
export type HookFacts = Readonly<Record<`COLDKEEP_${string}`, string>>;

export type HookOrder = {
  hooks: readonly HookConfig[];
  moment: Exclude<HookMoment, "error">;
  /** Told to every hook. */
  facts: HookFacts;
  /** Told of hooks whose failure is only worth a warning. */
  warn(message: string): void;
  /** Ends hooks before the run, and keeps others from beginning; those after it run to their end. */
  signal: AbortSignal;
};

/** What became of a run, for the hooks after it. */
export type HookOutcome = "done" | "partial" | "failed";

function nameOf({ when, moment, argv }: HookConfig): string {
  return `the hook ${when} ${moment} (${argv[0]})`;
}

/** Runs one. Throws E_DISK with its last lines, E_NOT_FOUND, the signal's reason. */
async function runHook(hook: HookConfig, { warn }: Pick<HookOrder, "warn">, facts: HookFacts, signal?: AbortSignal): Promise<void> {
  try {
    await runToolWell({ argv: hook.argv, timeoutMs: hook.timeoutMs, env: facts, cwd: "/", signal });
  } catch (error) {
    signal?.throwIfAborted();
    const message = `${nameOf(hook)} failed: ${messageOf(error)}`;
    if (hook.onError === "fail") throw new ColdkeepError("E_DISK", message, { hint: "See what it says when it is run by hand; with `onError: warn` the run goes on all the same.", cause: error });
    warn(message);
  }
}

/** Runs those of one place to the last, in the order of the configuration; the first failure, if any. */
async function runAll(order: HookOrder, hooks: readonly HookConfig[], facts: HookFacts): Promise<unknown> {
  let failure: unknown = null;
  for (const hook of hooks) {
    try {
      await runHook(hook, order, facts);
    } catch (error) {
      failure ??= error;
    }
  }
  return failure;
}

function factsOfError(error: unknown): HookFacts {
  return { COLDKEEP_OUTCOME: "failed", COLDKEEP_ERROR_CODE: error instanceof ColdkeepError ? error.code : "E_INTERNAL", COLDKEEP_ERROR: messageOf(error) };
}

/**
 * Runs the hooks before, the work, and the hooks after, those also where a hook before or the work failed; then, where anything
 * failed, those of `error`. Throws what failed first: a hook's E_DISK, what the work throws.
 */
export async function withHooks<Result>(order: HookOrder, work: () => Promise<Result>, factsOf: (result: Result) => HookFacts & { COLDKEEP_OUTCOME: HookOutcome }): Promise<Result> {
  const { hooks, moment, signal } = order;
  const of = (when: HookConfig["when"], at: HookMoment): HookConfig[] => hooks.filter((hook) => hook.when === when && hook.moment === at);
  const common: HookFacts = { ...order.facts, COLDKEEP_VERB: moment };
  let outcome: { result: Result } | null = null;
  let failure: unknown = null;
  try {
    for (const hook of of("before", moment)) await runHook(hook, order, common, signal);
    outcome = { result: await work() };
  } catch (error) {
    failure = error;
  }
  const told = outcome === null ? factsOfError(failure) : factsOf(outcome.result);
  const after = await runAll(order, of("after", moment), { ...common, ...told });
  if (failure !== null && after !== null) order.warn(messageOf(after));
  failure ??= after;
  if (failure === null && outcome !== null) return outcome.result;
  const last = await runAll(order, of("after", "error"), { ...common, ...factsOfError(failure) });
  if (last !== null) order.warn(messageOf(last));
  throw failure;
}
