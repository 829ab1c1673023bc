/** `coldkeep repair`: regions made whole from each other. */
import type { CopyOutcome } from "../engine/repair/apply.ts";
import type { LostItem, PlannedCopy } from "../engine/repair/plan.ts";
import { repairVault, type RepairedRegion, type RepairReport } from "../engine/repair/run.ts";
import { OpenVault } from "../engine/open-vault.ts";
import { signerAtHand } from "../engine/record-signer.ts";
import { EXIT } from "../errors.ts";
import { formatDuration, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { authorityOf } from "./open.ts";
import type { Outcome } from "./outcome.ts";
import type { Terminal } from "./terminal-port.ts";
import type { RepairOptions } from "./verb-options.ts";

/** Longer lists are cut, and say so. */
const LISTED_MAX = 1000;
const SHOWN_MAX = 20;

export async function run(context: CommandContext, _args: readonly string[], options: RepairOptions): Promise<Outcome> {
  const { terminal, signal } = context;
  const { host, region, quick, dryRun } = options;
  const authority = await authorityOf(context, options);
  const signer = signerAtHand(authority);
  const emit = emitTo(terminal);
  using vault = await OpenVault.open({ authority, host, waitsForAll: true, emit, signal });
  const hosts = host !== undefined || authority.kind === "config" ? [vault.host()] : vault.hosts();
  const report = await repairVault({ vault, hosts, region, quick, dryRun, signer, emit, signal });
  if (terminal.wantsJson) terminal.json(documentOf(report, hosts));
  tell(terminal, report);
  const { copied, bytesCopied } = sumOf(report.regions);
  const regions = Object.fromEntries(Object.entries(report.regions).map(([name, { state }]) => [name, state]));
  return { exitStatus: report.exitStatus, summary: { archive: null, regions, counts: { bytesStored: bytesCopied, problems: report.plan.copies.length - copied + report.plan.lost.length } } };
}

function sumOf(regions: RepairReport["regions"]): { copied: number; bytesCopied: number } {
  const all = Object.values(regions);
  return { copied: all.reduce((sum, { copied }) => sum + copied, 0), bytesCopied: all.reduce((sum, { bytesCopied }) => sum + bytesCopied, 0) };
}

function outcomeOf({ applied }: RepairReport, copy: PlannedCopy): CopyOutcome | { state: "planned" } {
  return applied?.outcomes.get(copy) ?? { state: "planned" };
}

function documentOf(report: RepairReport, hosts: readonly string[]): Record<string, unknown> {
  const { plan, applied, regions, recorded, durationMs } = report;
  const copies = plan.copies.slice(0, LISTED_MAX).map((copy) => {
    const { host, kind, key, region, why, from, bytes } = copy;
    return { host, kind, key, region, why, from, bytes, ...outcomeOf(report, copy) };
  });
  return {
    dryRun: applied === null,
    hosts,
    regions,
    copiesTotal: plan.copies.length,
    bytesTotal: plan.copies.reduce((sum, { bytes }) => sum + bytes, 0),
    copies,
    withheldTotal: plan.withheld.length,
    withheld: plan.withheld.slice(0, LISTED_MAX),
    lostTotal: plan.lost.length,
    lost: plan.lost.slice(0, LISTED_MAX).map(({ archives, ...lost }) => ({ ...lost, archivesTotal: archives.length, archives: archives.slice(0, LISTED_MAX) })),
    recorded,
    durationMs,
  };
}

function tell(terminal: Terminal, report: RepairReport): void {
  const { plan, applied, regions } = report;
  const shown = applied === null ? plan.copies : plan.copies.filter((copy) => applied.outcomes.get(copy)?.state === "failed");
  for (const copy of shown.slice(0, SHOWN_MAX)) tellCopy(terminal, report, copy);
  if (shown.length > SHOWN_MAX) terminal.warn(`${shown.length - SHOWN_MAX} more objects`, "Run with --json for the list.");
  for (const { archive, region, what } of plan.withheld.slice(0, SHOWN_MAX)) terminal.warn(`region "${region}": archive ${archive} is not completed there: ${what}`);
  for (const lost of plan.lost.slice(0, SHOWN_MAX)) tellLost(terminal, lost);
  if (plan.lost.length > SHOWN_MAX) terminal.warn(`${plan.lost.length - SHOWN_MAX} more objects are lost`, "Run with --json for the list.");
  for (const [name, region] of Object.entries(regions)) tellRegion(terminal, name, region, applied === null);
  conclude(terminal, report);
}

function tellCopy(terminal: Terminal, report: RepairReport, copy: PlannedCopy): void {
  const { kind, key, region, why, from, bytes } = copy;
  const outcome = outcomeOf(report, copy);
  const source = from.length === 0 ? "from this program" : `from ${from.map((name) => `"${name}"`).join(" or ")}`;
  if (outcome.state === "planned") terminal.say(`region "${region}": ${kind} ${key}, ${formatSize(bytes)}, ${source}: ${why}`);
  else terminal.warn(`region "${region}": ${kind} ${key} could not be repaired: ${"error" in outcome ? outcome.error : outcome.state}`);
}

function tellLost(terminal: Terminal, { kind, object, host, what, archives, isSure }: LostItem): void {
  const others = archives.length > 1 ? ` and ${archives.length - 1} others` : "";
  const needed = kind === "manifest" ? "" : `; archive ${archives[0]}${others} of ${host} needs it`;
  terminal.warn(isSure ? `lost: ${kind} ${object} is right in no region (${what})${needed}` : `${kind} ${object} is right in no region that answered (${what})${needed}`);
}

function tellRegion(terminal: Terminal, name: string, region: RepairedRegion, isDryRun: boolean): void {
  const { state, copied, bytesCopied, failed, reason } = region;
  if (state === "unreachable") return terminal.warn(`region "${name}": ${reason ?? state}`, `Run \`coldkeep repair --region ${name}\` when it answers.`);
  if (isDryRun) return terminal.status(`region "${name}": ${state}`);
  const done = `region "${name}": ${state}; ${copied} objects copied, ${formatSize(bytesCopied)}`;
  if (failed > 0) terminal.warn(`${done}, ${failed} failed`, `Run \`coldkeep repair --region ${name}\` again; it needs credentials that may write there.`);
  else if (copied > 0) terminal.say(done);
  else terminal.status(done);
}

function conclude(terminal: Terminal, { plan, recorded, applied, durationMs, exitStatus }: RepairReport): void {
  const unrecorded = plan.lost.filter(({ kind, isSure, isRecorded }) => kind !== "manifest" && isSure && !isRecorded).length - recorded;
  if (recorded > 0) terminal.say(`${recorded} objects are recorded as lost: the next backup of their host stores anew what still lies there`);
  if (unrecorded > 0) terminal.warn(`${unrecorded} objects are lost and not recorded so`, "Run `coldkeep repair --kit FILE` with the kit that holds the operator's key: the host then stores their content anew.");
  if (plan.lost.some(({ isSure }) => !isSure)) terminal.warn("what is right in no region that answered may be right in another", "Run again when all regions answer.");
  if (exitStatus === EXIT.done) terminal.status(`${applied === null ? "looked at" : "done"} in ${formatDuration(durationMs)}`);
}
