/** Users and groups: before packages, so that those find their own accounts with the numbers they had. */
import { accountsHere, addAccounts } from "../../machine/rebuild/accounts.ts";
import { planAccounts } from "../../policy/account-plan.ts";
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

export async function makeUsers({ archived: { profile, accounts }, signal }: StepContext): Promise<StepNotes> {
  const plan = planAccounts(profile, accountsHere());
  await addAccounts(plan, accounts, signal);
  return { notes: plan.renumbered.map(({ kind, name, was, is }) => `${kind} ${name} is ${is} here and was ${was}`), lacks: [] };
}
