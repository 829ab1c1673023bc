/** `coldkeep verify`: are the archives still whole, and where not. */
import type { RunSummary } from "../engine/monitoring/run-record.ts";
import { verifyArchives, type VerifyOrder } from "../engine/verify.ts";
import { lockFaults, type LockReport } from "../engine/verify/lock-check.ts";
import type { ArchiveReport, LostObject, RegionReport, VerifyReport } from "../engine/verify/report.ts";
import { EXIT } from "../errors.ts";
import { formatDuration, formatLocalTime, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { pathField } from "./entry-text.ts";
import { openSealedVault, openVault } from "./open.ts";
import type { Outcome } from "./outcome.ts";
import { printable } from "./printable.ts";
import type { Terminal } from "./terminal-port.ts";
import { isRegionUrl, type VerifyOptions } from "./verb-options.ts";

/** Longer lists are cut, and say so. */
const LISTED_MAX = 1000;
const SHOWN_MAX = 20;

export async function run(context: CommandContext, _args: readonly string[], options: VerifyOptions): Promise<Outcome> {
  const { terminal, signal } = context;
  const { archive, all, level, sample, region } = options;
  using vault = await (level === "content" ? openSealedVault(context, options, true) : openVault(context, options, true));
  const isNarrowed = region !== undefined && !isRegionUrl(region);
  const others: VerifyOrder["others"] = isNarrowed ? () => openVault(context, { ...options, region: undefined }, true) : null;
  const report = await verifyArchives({ vault, archive, all, level, sample, others, emit: emitTo(terminal), signal });
  if (terminal.wantsJson) terminal.json(documentOf(report));
  tell(terminal, report);
  return { exitStatus: report.exitStatus, summary: summaryOf(report) };
}

function summaryOf({ archives, regions, lost }: VerifyReport): RunSummary {
  const checked = Object.values(regions);
  return {
    archive: archives.length === 1 ? (archives[0]?.id ?? null) : null,
    regions: Object.fromEntries(Object.entries(regions).map(([name, { state }]) => [name, state])),
    counts: { bytesRead: checked.reduce((sum, { bytesChecked }) => sum + bytesChecked, 0), problems: lost.length + checked.reduce((sum, { problems }) => sum + problems.length, 0) },
  };
}

function documentOf({ exitStatus: _, ...report }: VerifyReport): Record<string, unknown> {
  const regions = Object.entries(report.regions).map(([name, region]) => {
    const { problems, locks, ...rest } = region;
    return [name, { ...rest, locks: locks === null ? null : lockDocument(locks), problemsTotal: problems.length, problems: problems.slice(0, LISTED_MAX) }];
  });
  return {
    ...report,
    regions: Object.fromEntries(regions),
    archivesTotal: report.archives.length,
    archives: report.archives.slice(0, LISTED_MAX),
    lostTotal: report.lost.length,
    lost: report.lost.slice(0, LISTED_MAX).map(lostDocument),
    uncertain: report.uncertain.slice(0, LISTED_MAX),
    locked: report.locked.slice(0, LISTED_MAX),
  };
}

function lockDocument({ firstEndMs, ...counts }: LockReport): Record<string, unknown> {
  return { ...counts, firstEnd: firstEndMs === null ? null : new Date(firstEndMs).toISOString() };
}

function lostDocument({ paths, archives, ...rest }: LostObject): Record<string, unknown> {
  return { ...rest, archives: archives.slice(0, LISTED_MAX), files: paths.map(pathField) };
}

function tell(terminal: Terminal, report: VerifyReport): void {
  const { archives, regions } = report;
  const archive = archives.length === 1 ? `archive ${archives[0]?.id}` : `${archives.length} archives`;
  terminal.status(`${archive}, checked for ${report.level}, in ${formatDuration(report.durationMs)}`);
  for (const [name, region] of Object.entries(regions)) tellRegion(terminal, name, region, report.durationMs);
  for (const each of archives) tellFaults(terminal, each);
  for (const { object, kind, what } of report.uncertain.slice(0, SHOWN_MAX)) terminal.warn(`${kind} ${object} is right in no region that answered: ${what}`);
  for (const lost of report.lost.slice(0, SHOWN_MAX)) tellLost(terminal, lost);
  if (report.lost.length > SHOWN_MAX) terminal.warn(`${report.lost.length - SHOWN_MAX} more objects are lost`, "Run with --json for the list.");
  if (report.locked.length > 0) {
    const volumes = report.locked.slice(0, SHOWN_MAX).join(", ");
    terminal.warn(`none of the kit's identities opens ${report.locked.length} volumes, so their content was not checked: ${volumes}`, "Give the kit of the time before the recipients changed.");
  }
  conclude(terminal, report);
}

function tellRegion(terminal: Terminal, name: string, region: RegionReport, durationMs: number): void {
  const rate = region.bytesChecked > 0 ? ` (${formatSize((region.bytesChecked * 1000) / Math.max(1, durationMs))}/s)` : "";
  const line = `region "${name}": ${region.state}; ${region.objectsChecked} objects, ${formatSize(region.bytesChecked)} read${rate}`;
  tellKeeping(terminal, name, region);
  if (region.state === "sound") return terminal.status(line);
  terminal.warn(region.reason === undefined ? line : `region "${name}": ${region.state}: ${region.reason}`);
  for (const { kind, object, what } of region.problems.slice(0, SHOWN_MAX)) terminal.warn(`region "${name}": ${kind} ${object}: ${what.replaceAll(`region "${name}": `, "")}`);
  const more = region.problems.length - SHOWN_MAX;
  if (more > 0) terminal.warn(`region "${name}": ${more} more`, "Run with --json for the list.");
}

function tellKeeping(terminal: Terminal, name: string, { frozen, locks }: RegionReport): void {
  if (frozen > 0) terminal.warn(`region "${name}": ${frozen} objects are there but frozen in a cold storage class: their bytes were not checked`, "Check what is there with --level presence; a restore with --thaw makes volumes readable.");
  if (locks === null) return;
  const first = locks.firstEndMs === null ? "" : `; the first lock ends ${formatLocalTime(locks.firstEndMs)}`;
  if (lockFaults(locks) === 0) return terminal.status(`region "${name}": ${locks.objects} objects are locked${first}`);
  const parts = [[locks.none, "have no lock"], [locks.over, "have one that is over"], [locks.short, "have one that is about to end"], [locks.weak, "are locked in governance mode only"]] as const;
  const what = parts.flatMap(([count, text]) => (count === 0 ? [] : [`${count} ${text}`])).join(", ");
  terminal.warn(`region "${name}": of ${locks.objects} objects that the newest archive needs, ${what}${first}`, "A backup renews locks, and stores again what it cannot lock: run `coldkeep backup -v`.");
}

function tellFaults(terminal: Terminal, { id, faults }: ArchiveReport): void {
  for (const fault of faults.slice(0, SHOWN_MAX)) terminal.warn(`archive ${id}: ${fault}`);
  if (faults.length > SHOWN_MAX) terminal.warn(`archive ${id}: ${faults.length - SHOWN_MAX} more faults`);
}

function tellLost(terminal: Terminal, { kind, object, what, archives, paths, pathsTotal }: LostObject): void {
  const others = archives.length > 1 ? ` and ${archives.length - 1} others` : "";
  const needed = kind === "manifest" ? "" : `; archive ${archives[0]}${others} needs it`;
  terminal.warn(`lost: ${kind} ${object} is right in no region (${what})${needed}`);
  for (const path of paths) terminal.warn(`lost: ${printable(path)}`);
  if (pathsTotal > paths.length) terminal.warn(`lost: ${pathsTotal - paths.length} more files`);
}

function conclude(terminal: Terminal, report: VerifyReport): void {
  if (report.exitStatus === EXIT.done) return;
  const states = Object.values(report.regions).map(({ state }) => state);
  if (report.exitStatus === EXIT.failed) {
    const message = report.lost.length > 0 ? "something is lost: what is named above cannot be restored" : "the archives are not as they should be";
    return terminal.warn(message, "Run `coldkeep repair --kit FILE` with the operator's kit: it copies what can be copied and records what is lost, so that the next backup stores anew what still lies on the host.");
  }
  if (report.uncertain.length > 0) return terminal.warn("not every object is right in a region that answered", "Run again when all regions answer.");
  if (states.every((state) => state === "sound")) return;
  if (!states.includes("damaged") && !states.includes("behind")) return terminal.warn("a region could not be checked", "Run again when it answers.");
  const from = report.repairableFrom.map((name) => `"${name}"`).join(", ");
  const where = from === "" ? "Each object is right in one region or another" : `Region ${from} holds all of it right`;
  terminal.warn("nothing is lost, but a region is not whole", `${where}; a restore takes it from there. Run \`coldkeep repair\` to copy it.`);
}
