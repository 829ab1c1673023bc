/** Databases. */
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

export async function makeDatabases(_context: StepContext): Promise<StepNotes> {
  return { notes: [], lacks: [] };
}
