/** Packages: those the machine had, in the versions it had where they can be had; services wait for their data. */
import { installPackages } from "../../machine/apt.ts";
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

export async function makePackages({ plan, archived: { profile }, emit, signal }: StepContext): Promise<StepNotes> {
  if (plan.packages === null) return { notes: [], lacks: [] };
  const { install, differing, unavailable } = plan.packages;
  emit({ kind: "progress", text: `installing ${install.length} packages` });
  const origin = plan.packagesFrom === null ? { kind: "sources" as const, aptFiles: profile.packages.aptFiles } : { kind: "folder" as const, path: plan.packagesFrom };
  await installPackages(plan.packages, origin, signal);
  return {
    notes: differing.map(({ name, was, is }) => `package ${name} is ${is} here and was ${was}`),
    lacks: unavailable.map(({ name, version }) => `package ${name} ${version} could not be had`),
  };
}
