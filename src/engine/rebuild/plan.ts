/** The plan of a rebuild: everything is looked at, nothing is changed. */
import { hostname } from "node:os";
import { accountsHere } from "../../machine/rebuild/accounts.ts";
import { hasApt, installedHere, packagesInFolder, TrialSources } from "../../machine/apt.ts";
import type { Adequacy, Waiver } from "../../policy/adequacy.ts";
import { planAccounts } from "../../policy/account-plan.ts";
import { HELD_SCHEDULE, UNTOUCHED } from "../../policy/never-touch.ts";
import { packageLabel, type PackagePlan, planPackages } from "../../policy/package-plan.ts";
import { isMachineUnit } from "../../policy/start-order.ts";
import type { Emit } from "../events.ts";
import type { OpenVault } from "../open-vault.ts";
import { previewRestore } from "../restore.ts";
import { type Archived, presentPaths } from "./archived.ts";
import { ASIDE_FOLDER } from "./journal.ts";
import { type RebuildPlan, type StepName, STEPS } from "./plan-types.ts";

export type PlanChoice = {
  /** What is lacking and may be. */
  accepted: readonly Waiver[];
  /** Only these steps; empty: all. */
  only: readonly StepName[];
  skip: readonly StepName[];
  packagesFrom: string | null;
  takeOver: boolean;
};

/** What is not restored by the step of files. */
function leaveOutOf({ config, dumps }: Archived, takeOver: boolean): string[] {
  const dataDirectories = dumps.flatMap(({ dataDirectory, engine }) => (dataDirectory === "" || engine === "sqlite" ? [] : [dataDirectory]));
  const own = [config.state, "/var/lib/coldkeep", `/${ASIDE_FOLDER}`];
  return [...UNTOUCHED.flatMap(({ paths }) => paths), ...own, ...dataDirectories, "/.coldkeep", ...(takeOver ? [] : HELD_SCHEDULE)];
}

async function untouchedOf({ catalog }: Archived): Promise<RebuildPlan["untouched"]> {
  const present = new Set(await presentPaths(catalog, UNTOUCHED.flatMap(({ paths }) => paths)));
  return UNTOUCHED.flatMap(({ what, review, paths }) => {
    const held = paths.filter((path) => present.has(path));
    return held.length === 0 ? [] : [{ what, review, paths: held }];
  });
}

type PackageFindings = { plan: PackagePlan | null; faults: string[] };

/** Which packages come from where; asks the sources, in a folder of its own. Throws E_DISK. */
async function packagesOf({ profile }: Archived, packagesFrom: string | null, emit: Emit, signal: AbortSignal): Promise<PackageFindings> {
  const { packages } = profile;
  if (packages.manager !== "apt" || !hasApt()) return { plan: null, faults: packages.manager === "apt" ? ["this machine has no apt"] : [] };
  const here = await installedHere(signal);
  const missing = packages.installed.map((each) => packageLabel(each, here.arch)).filter((name) => !here.installed.has(name));
  if (packagesFrom !== null) {
    const files = await packagesInFolder(packagesFrom, here.arch, signal);
    const available = new Map([...files].map(([name, { version }]) => [name, [version]]));
    return { plan: planPackages(packages, { ...here, available }), faults: [] };
  }
  emit({ kind: "progress", text: "asking the package sources" });
  const trial = new TrialSources(packages.aptFiles);
  try {
    const faults = await trial.update(signal);
    const plan = planPackages(packages, { ...here, available: await trial.versions(missing, signal) });
    return { plan: plan.install.length === 0 ? plan : await resolvable(trial, plan, faults, signal), faults };
  } finally {
    trial.close();
  }
}

/** Exact versions where apt can put them together, else whichever it takes. */
async function resolvable(trial: TrialSources, plan: PackagePlan, faults: string[], signal: AbortSignal): Promise<PackagePlan> {
  const refused = await trial.simulate(plan, signal);
  if (refused === null) return plan;
  const loose: PackagePlan = { ...plan, install: plan.install.map((each) => ({ ...each, version: null })) };
  const stillRefused = await trial.simulate(loose, signal);
  if (stillRefused === null) return loose;
  faults.push(...stillRefused);
  return { ...loose, unavailable: [...plan.unavailable, { name: "these packages together", version: "" }] };
}

function servicesOf({ profile }: Archived): RebuildPlan["services"] {
  const own = profile.units.filter(({ name }) => !isMachineUnit(name));
  const named = (state: string): string[] => own.flatMap((unit) => (unit.state === state ? [unit.name] : []));
  // Where systemd did not run, nobody knows what of it was active.
  const started = own.some(({ active }) => active) ? own.filter(({ active }) => active).map(({ name }) => name) : named("enabled");
  return {
    enable: named("enabled"),
    disable: named("disabled"),
    mask: named("masked"),
    start: started.filter((name) => /\.(?:service|socket)$/.test(name) && !name.includes("@.")),
  };
}

/** What a drill measured, of what its record says. */
function rtoOf(report: string): number | null {
  try {
    const value: unknown = JSON.parse(report);
    return typeof value === "object" && value !== null && "rtoMs" in value && typeof value.rtoMs === "number" ? value.rtoMs : null;
  } catch {
    return null;
  }
}

async function lastDrillOf(vault: OpenVault, { found }: Archived): Promise<RebuildPlan["lastDrill"]> {
  const { records } = await vault.survey(found.seen.header.host);
  const last = records.findLast((each) => each.kind === "drill" && each.record.depth === "services" && each.record.result === "passed");
  return last?.kind === "drill" ? { at: last.record.at, rtoMs: rtoOf(last.record.report) } : null;
}

function stepsOf({ only, skip }: PlanChoice): StepName[] {
  return STEPS.filter((step) => (only.length === 0 || only.includes(step)) && !skip.includes(step));
}

/** Throws E_DISK, E_FORMAT, E_OBJECT. */
export async function planRebuild(vault: OpenVault, archived: Archived, adequacy: Adequacy, choice: PlanChoice, emit: Emit, signal: AbortSignal): Promise<RebuildPlan> {
  const { found, profile, dumps, config, configPath, keysDir } = archived;
  const { header } = found.seen;
  const steps = stepsOf(choice);
  const leaveOut = leaveOutOf(archived, choice.takeOver);
  const accounts = planAccounts(profile, accountsHere());
  const packages = steps.includes("packages") ? await packagesOf(archived, choice.packagesFrom, emit, signal) : { plan: null, faults: [] };
  const preview = await previewRestore({ vault, archive: found, paths: [], leaveOut: { patterns: leaveOut, packaged: true }, emit, signal });
  return {
    vault: vault.trust.vault,
    host: header.host,
    archive: header.id,
    archiveStartedAt: header.startedAt,
    passedOver: found.passedOver,
    machine: hostname(),
    adequacy,
    steps,
    configPath,
    keysDir,
    users: { add: accounts.users.map(({ name }) => name), groups: accounts.groups.map(({ name }) => name), renumbered: accounts.renumbered },
    packages: packages.plan,
    sourceFaults: packages.faults,
    files: { entries: preview.entries, files: preview.files, bytes: preview.bytes, volumes: preview.needed.volumes, storedBytes: preview.needed.bytes },
    untouched: await untouchedOf(archived),
    leaveOut,
    databases: dumps,
    services: servicesOf(archived),
    checks: config.health.map(({ name }) => name),
    reenter: profile.reenter,
    lastDrill: await lastDrillOf(vault, archived),
    rtoObjectiveMs: config.objectives.rtoMs,
    packagesFrom: choice.packagesFrom,
    takeOver: choice.takeOver,
  };
}
