/** Health: whether the machine does what it is for. */
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

export async function checkHealth(_context: StepContext): Promise<StepNotes> {
  return { notes: [], lacks: [] };
}
