/** How a verb ended. */
import type { RunSummary } from "../engine/monitoring/run-record.ts";
import type { ExitStatus } from "../errors.ts";

/** Where runs of the verb are recorded, also what this one came to. */
export type Outcome = ExitStatus | { readonly exitStatus: ExitStatus; readonly summary: RunSummary };

/** What an outcome means for the process. */
export function exitStatusOf(outcome: Outcome): ExitStatus {
  return typeof outcome === "number" ? outcome : outcome.exitStatus;
}
