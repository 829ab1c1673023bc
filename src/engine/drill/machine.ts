/** A drill of a machine: `coldkeep restore --machine` of this same program, on a minimal system in quarantine. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ColdkeepError, EXIT } from "../../errors.ts";
import { type InnerRebuild, readInnerPlan, readInnerRebuild } from "../../format/drill-report.ts";
import { type Profile, readProfile } from "../../format/profile.ts";
import { lendNetwork, makeBaseSystem, withdrawNetwork } from "../../machine/quarantine/base-system.ts";
import { downloadPackages, PACKAGES_INSIDE } from "../../machine/quarantine/packages.ts";
import { type EndProof, Quarantine, type Shown } from "../../machine/quarantine/quarantine.ts";
import { mailsDropped, placeStandIns } from "../../machine/quarantine/stand-ins.ts";
import { lastLines, type ToolResult } from "../../machine/run-tool.ts";
import type { Emit } from "../events.ts";
import type { FoundArchive, OpenVault } from "../open-vault.ts";
import { DrillFault } from "./fault.ts";
import { copyArchive, copyKit, damageCopy, writeCopyKit } from "./local-copy.ts";
import { type ProgramInside, programInside } from "./program-inside.ts";
import type { Stages } from "./stages.ts";

const REBUILD_MS = 24 * 3_600_000;
const PLAN_MS = 30 * 60_000;
const VAULT_INSIDE = "/run/coldkeep-drill/vault";
const KIT_INSIDE = "/run/coldkeep-drill/kit.txt";
const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/;

export type MachineOrder = {
  vault: OpenVault;
  found: FoundArchive;
  folder: string;
  /** Where base systems are kept. */
  cache: string;
  depth: "databases" | "services";
  sabotage: boolean;
  /** What may be lacking, as `coldkeep restore --machine --accept` takes it. */
  accept: readonly string[];
  /** The command line that started this program. */
  program: readonly string[];
  stages: Stages;
  emit: Emit;
  signal: AbortSignal;
};

export type MachineDrilled = {
  /** The report of the rebuild. */
  rebuild: InnerRebuild;
  /** What was not started, though every health check is well. */
  lacks: string[];
  mails: number;
  /** Names of the network interfaces that were there. */
  interfaces: string[];
};

async function profileOf(vault: OpenVault, { seen, manifest }: FoundArchive): Promise<Profile> {
  const { root } = await vault.catalog(seen, manifest);
  const profile = readProfile(root.head.profile);
  if (profile !== null) return profile;
  throw new ColdkeepError("E_REFUSED", `archive ${seen.header.id} says nothing of the machine it is of`, { hint: "Drill it at depth files." });
}

/** Throws DrillFault when the rebuild fails; E_REFUSED, E_NOT_FOUND where none can be tried here. `ended` is told what was found after it. */
export async function drillMachine(order: MachineOrder, ended: (proof: EndProof) => void): Promise<MachineDrilled> {
  const { vault, found, folder, cache, sabotage, program, stages, emit, signal } = order;
  const profile = await profileOf(vault, found);
  const root = join(folder, "root");
  const copy = join(folder, "vault");
  await stages.run("fetch", () => copyArchive(vault, found, copy, emit, signal));
  writeCopyKit(copyKit(vault, VAULT_INSIDE), join(folder, "kit.txt"), new Date().toISOString());
  await stages.run("base system", async () => {
    mkdirSync(root, { mode: 0o755 });
    await makeBaseSystem({ codename: profile.os.codename, arch: profile.hardware.arch, cache, root, signal });
    await placeStandIns(root, signal);
  });
  const inside = await programInside(program, root, signal);
  const given: Shown[] = [...inside.shown, { path: copy, inside: VAULT_INSIDE, writable: false }, { path: join(folder, "kit.txt"), inside: KIT_INSIDE, writable: false }];
  const hostName = HOST_NAME.test(profile.hostName) ? profile.hostName : "drill";
  await stages.run("packages", () => fetchPackages(order, profile, { root, hostName, given, inside }, ended));
  if (sabotage) emit({ kind: "detail", message: `volume ${damageCopy(found, copy)} of the copy is damaged; the vault is as it was` });
  return stages.run("rebuild", () => rebuild(order, { root, hostName, given, inside }, ended));
}

type Inside = { root: string; hostName: string; given: readonly Shown[]; inside: ProgramInside };

/** Asks the plan of the rebuild what it wants, and has apt fetch that: nothing of the archive runs while there is a network. */
async function fetchPackages({ signal, accept }: MachineOrder, profile: Profile, { root, hostName, given, inside }: Inside, ended: (proof: EndProof) => void): Promise<void> {
  await lendNetwork(root, signal);
  const quarantine = await Quarantine.start({ root, hostName, shown: given, network: "shared", signal });
  try {
    const argv: [string, ...string[]] = [...inside.argv, "restore", "--machine", "--plan", "--json", "--kit", KIT_INSIDE, ...accept.flatMap((each) => ["--accept", each])];
    const result = await quarantine.run({ argv, env: inside.env, timeoutMs: PLAN_MS, signal });
    const plan = readInnerPlan(result.stdout);
    if (plan === null) throw failed("the plan of the rebuild", result);
    await downloadPackages(quarantine, profile.packages.aptFiles, plan.packages?.install ?? [], signal);
  } finally {
    ended(await quarantine.close());
  }
  withdrawNetwork(root, hostName);
}

async function rebuild({ depth, accept, signal }: MachineOrder, { root, hostName, given, inside }: Inside, ended: (proof: EndProof) => void): Promise<MachineDrilled> {
  const quarantine = await Quarantine.start({ root, hostName, shown: given, network: "none", signal });
  try {
    const interfaces = await quarantine.interfaces(signal);
    if (interfaces.join() !== "lo") throw new ColdkeepError("E_REFUSED", `the quarantine has a way out: ${interfaces.join(", ")}`);
    const steps = depth === "databases" ? ["--skip", "services,health"] : [];
    const argv: [string, ...string[]] = [...inside.argv, "restore", "--machine", "--confirm", hostName, "--packages-from", PACKAGES_INSIDE, "--kit", KIT_INSIDE, "--json", ...steps, ...accept.flatMap((each) => ["--accept", each])];
    const result = await quarantine.run({ argv, env: inside.env, timeoutMs: REBUILD_MS, signal });
    return { ...judge(result), mails: mailsDropped(root), interfaces };
  } finally {
    ended(await quarantine.close());
  }
}

function judge(result: ToolResult): Pick<MachineDrilled, "rebuild" | "lacks"> {
  const report = readInnerRebuild(result.stdout);
  if (report === null || ![EXIT.done, EXIT.partial, EXIT.threshold].some((status) => status === result.status)) throw failed("the rebuild", result);
  const others = report.steps.filter(({ step }) => step !== "services").flatMap(({ lacks }) => lacks);
  const services = report.steps.filter(({ step }) => step === "services").flatMap(({ lacks }) => lacks);
  // Without systemd not every service has a script that starts it; whether that matters the health checks say, where there are any.
  const isProven = report.rtoMs !== null;
  const missing = isProven ? others : [...others, ...services];
  if (missing.length > 0) throw new DrillFault(missing);
  return { rebuild: report, lacks: services };
}

/** The error of the document, or what was said last. */
function failed(what: string, result: ToolResult): DrillFault {
  const error = readInnerError(result.stdout);
  return new DrillFault([`${what} ${result.timedOut ? "did not end in time" : `ended with exit ${result.status ?? "none"}`}: ${error ?? lastLines(result, 8).join(" | ")}`]);
}

function readInnerError(stdout: string): string | null {
  try {
    const document: unknown = JSON.parse(stdout);
    const error = typeof document === "object" && document !== null && "error" in document ? document.error : null;
    return typeof error === "object" && error !== null && "message" in error ? String(error.message) : null;
  } catch {
    return null;
  }
}
