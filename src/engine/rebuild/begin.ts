/** What comes before the first step of a rebuild: an unfinished one is found, the archive read, the plan made, the person asked. */
import { hostname } from "node:os";
import { ColdkeepError } from "../../errors.ts";
import { factsOfThisMachine } from "../../machine/facts-here.ts";
import { type Adequacy, checkAdequacy } from "../../policy/adequacy.ts";
import type { Emit } from "../events.ts";
import type { OpenVault } from "../open-vault.ts";
import { readArchived } from "./archived.ts";
import { RebuildJournal } from "./journal.ts";
import { type PlanChoice, planRebuild } from "./plan.ts";
import type { RebuildPlan, StepName } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

export type RebuildOrder = {
  vault: OpenVault;
  archive: string | undefined;
  choice: PlanChoice;
  /** Whether the plan is all that is wanted: then what is lacking is only told. */
  onlyLook: boolean;
  emit: Emit;
  signal: AbortSignal;
};

/** A rebuild that was looked at; `begin` is called once a person has agreed to the plan. */
export type PreparedRebuild = { plan: RebuildPlan; begin: (startedAtMs: number) => StepContext };

/** The rebuild that was begun on this machine and is not finished. Throws E_DISK. */
export function unfinishedRebuild(): RebuildJournal | null {
  const journal = RebuildJournal.find();
  return journal === null || journal.isFinished ? null : journal;
}

/** Throws E_REFUSED where one is unfinished here or the machine cannot be rebuilt, and as `readArchived` and `planRebuild`. */
export async function prepareRebuild({ vault, archive, choice, onlyLook, emit, signal }: RebuildOrder): Promise<PreparedRebuild> {
  const archived = await readArchived(vault, archive, emit, signal);
  const adequacy = checkAdequacy(archived.profile, await factsOfThisMachine(signal), choice.accepted);
  if (!onlyLook) refuseInadequate(adequacy);
  const plan = await planRebuild(vault, archived, adequacy, choice, emit, signal);
  return { plan, begin: (startedAtMs) => ({ plan, archived, vault, journal: RebuildJournal.begin(plan, startedAtMs), emit, signal }) };
}

/** Throws E_REFUSED with all that is lacking. */
function refuseInadequate({ verdict, findings }: Adequacy): void {
  if (verdict !== "not adequate") return;
  const lacking = findings.filter((finding) => finding.verdict === "fatal" || (finding.verdict === "waivable" && !finding.isWaived));
  const waivers = [...new Set(lacking.flatMap(({ waiver }) => waiver ?? []))];
  const isHopeless = lacking.some((finding) => finding.verdict === "fatal");
  const hint = isHopeless ? "See `coldkeep requirements` for what the machine must be." : `Take a larger machine, or go on all the same: ${waivers.map((each) => `--accept ${each}`).join(" ")}.`;
  throw new ColdkeepError("E_REFUSED", `this machine is not adequate: ${lacking.map(({ id, need, have }) => `${id} needs ${need} and has ${have}`).join("; ")}`, { hint });
}

/** Takes up a rebuild where it stopped, without steps that are now to be skipped. Throws E_REFUSED for one of another vault or machine. */
export async function resumeRebuild(journal: RebuildJournal, { vault, emit, signal }: Pick<RebuildOrder, "vault" | "emit" | "signal">, skip: readonly StepName[]): Promise<StepContext> {
  const plan: RebuildPlan = { ...journal.plan, steps: journal.plan.steps.filter((step) => !skip.includes(step)) };
  const differs = plan.vault !== vault.trust.vault ? `vault ${plan.vault}` : plan.machine !== hostname() ? `a machine called ${plan.machine}` : null;
  if (differs !== null) throw new ColdkeepError("E_REFUSED", `the rebuild that was begun here is of ${differs}`, { hint: "Use its own kit; or begin anew with --start-over." });
  return { plan, archived: await readArchived(vault, plan.archive, emit, signal), vault, journal, emit, signal };
}
