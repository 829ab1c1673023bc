/** Health: whether the machine does what it is for, by the checks of the archived configuration. */
import { ColdkeepError } from "../../errors.ts";
import { runHealthChecks } from "../../machine/health/run.ts";
import { formatDuration } from "../../units.ts";
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

export async function checkHealth({ archived: { config }, emit, signal }: StepContext): Promise<StepNotes> {
  emit({ kind: "progress", text: `${config.health.length} health checks` });
  const results = await runHealthChecks(config.health, {
    signal,
    again: true,
    onResult: ({ name, ok, ms }) => emit({ kind: "detail", message: `health check ${name}: ${ok ? "well" : "not well"} after ${formatDuration(ms)}` }),
  });
  const failed = results.filter(({ ok }) => !ok);
  if (failed.length === 0) return { notes: [], lacks: [] };
  const why = failed.map((each) => `${each.name} (${each.kind}): ${each.why ?? "no reason given"}`);
  throw new ColdkeepError("E_DISK", `${failed.length} of ${results.length} health checks fail:\n${why.join("\n")}`, { hint: "See what the services say," });
}
