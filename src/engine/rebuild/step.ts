/** What every step of a rebuild is given. */
import type { Emit } from "../events.ts";
import type { OpenVault } from "../open-vault.ts";
import type { Archived } from "./archived.ts";
import type { RebuildJournal } from "./journal.ts";
import type { RebuildPlan, StepNotes } from "./plan-types.ts";

export type StepContext = {
  plan: RebuildPlan;
  archived: Archived;
  vault: OpenVault;
  journal: RebuildJournal;
  emit: Emit;
  signal: AbortSignal;
};

/** Makes a step, or what is left of it: it may have been cut off anywhere before. Throws a ColdkeepError that says what failed. */
export type Step = (context: StepContext) => Promise<StepNotes>;
