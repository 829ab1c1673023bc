/** A prune as a table for people and as a document for programs. */
import type { HostPrune } from "../engine/prune.ts";
import type { ArchiveVerdict, ObjectUse, PlannedRegion } from "../engine/prune/plan.ts";
import type { PrunedRegion } from "../engine/prune/apply.ts";
import { formatDuration, formatLocalTime, formatSize } from "../units.ts";
import { printable } from "./printable.ts";
import { table } from "./table.ts";
import type { Terminal } from "./terminal-port.ts";

/** Longer lists are cut in JSON, and say so. */
const LISTED_MAX = 1000;
const OBSTACLES_SHOWN_MAX = 20;

function capped<Item>(name: string, items: readonly Item[]): Record<string, unknown> {
  return { [`${name}Total`]: items.length, [name]: items.slice(0, LISTED_MAX) };
}

/** Bytes of some objects. */
function sizeOf(objects: readonly { sizeBytes: number }[]): number {
  return objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function plannedDocument({ region, manifests, objects, paidOn, newCopies, oldCopies, waiting }: PlannedRegion): Record<string, unknown> {
  return { region, manifests: manifests.length, objects: objects.length, bytes: sizeOf(objects), paidOn: paidOn.map(({ untilMs, ...paid }) => ({ ...paid, until: timeOf(untilMs) })), newCopies: newCopies.length, oldCopies: oldCopies.length, waiting: { ...waiting, untilMs: undefined, until: timeOf(waiting.untilMs) } };
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function doneDocument({ kept, ...done }: PrunedRegion): Record<string, unknown> {
  return { ...done, ...capped("kept", kept.map(({ key, untilMs }) => ({ key, until: timeOf(untilMs) }))) };
}

function hostDocument({ plan, done, error }: HostPrune): Record<string, unknown> {
  const { host, retired, verdicts, expire, use, obstacles, regions } = plan;
  return {
    host,
    retired,
    ...capped("archives", verdicts),
    expire: expire.length,
    plan: regions.map(plannedDocument),
    ...capped("use", use.map(({ isInNewest, ...rest }) => ({ ...rest, newest: isInNewest }))),
    ...capped("obstacles", obstacles),
    done: done === null ? null : { records: done.records, regions: done.regions.map(doneDocument) },
    failure: error,
  };
}

export function pruneDocument(results: readonly HostPrune[], dryRun: boolean): Record<string, unknown> {
  const error = results.find((result) => result.error !== null)?.error;
  return { dryRun, hosts: results.map(hostDocument), ...(error && { error }) };
}

export function tellPrune(terminal: Terminal, results: readonly HostPrune[], dryRun: boolean): void {
  for (const result of results) {
    // A plan is what was asked for; of a run, only who watches wants it.
    if (!terminal.wantsJson) showVerdicts(dryRun ? (text) => terminal.data(text) : (text) => terminal.status(text), result, results.length > 1);
    tellHost(terminal, result, dryRun);
  }
}

const COLUMNS = [
  { title: "ARCHIVE", of: ({ archive }: ArchiveVerdict) => archive },
  { title: "TIME", of: ({ finishedAt }: ArchiveVerdict) => formatLocalTime(Date.parse(finishedAt)) },
  { title: "VERDICT", of: ({ verdict }: ArchiveVerdict) => verdict },
  { title: "WHY", of: ({ reason }: ArchiveVerdict) => reason },
];

function showVerdicts(show: (text: string) => void, { plan }: HostPrune, severalHosts: boolean): void {
  if (severalHosts) show(`${plan.host}${plan.retired ? " (retired)" : ""}`);
  if (plan.verdicts.length === 0) return show(`${plan.host}: there is no archive`);
  for (const line of table(plan.verdicts, COLUMNS)) show(line);
  const text = useText(plan.use);
  if (text !== "") show(text);
}

/** How well used what stays is, as far as signed lists tell: by how many archives, and whether the newest is one of them. */
function useText(use: readonly ObjectUse[]): string {
  const volumes = use.filter(({ key }) => key.includes("/volumes/"));
  if (volumes.length === 0) return "";
  const once = volumes.filter(({ archives }) => archives === 1);
  const old = volumes.filter(({ isInNewest }) => !isInNewest);
  return `${volumes.length} volumes stay (${formatSize(sizeOf(volumes))}): ${once.length} for one archive alone (${formatSize(sizeOf(once))}), ${old.length} that the newest does not need (${formatSize(sizeOf(old))})`;
}

function tellHost(terminal: Terminal, { plan, done, error }: HostPrune, dryRun: boolean): void {
  const { host, expire, verdicts, regions } = plan;
  for (const { message, hint } of plan.obstacles.slice(0, OBSTACLES_SHOWN_MAX)) terminal.warn(`${host}: ${message}`, hint);
  if (plan.obstacles.length > OBSTACLES_SHOWN_MAX) terminal.warn(`${host}: ${plan.obstacles.length - OBSTACLES_SHOWN_MAX} more`, "Run with --json for the list.");
  if (plan.obstacles.length > 0) return terminal.warn(`${host}: nothing is deleted`);
  if (error !== null) return terminal.warn(`${host}: ${error.message}`, error.hint ?? "What was done stays done; run again to go on.");
  const kept = verdicts.filter(({ verdict }) => verdict === "keep").length;
  terminal.status(`${host}: ${kept} archives stay, ${expire.length} ${dryRun ? "would expire" : "expired"}`);
  for (const [i, planned] of regions.entries()) tellRegion(terminal, planned, done?.regions[i]);
}

function tellRegion(terminal: Terminal, planned: PlannedRegion, done: PrunedRegion | undefined): void {
  const { objects, paidOn, waiting } = planned;
  const went = done === undefined ? `${objects.length} objects would go, ${formatSize(sizeOf(objects))}` : `${done.objects} objects gone, ${formatSize(done.freedBytes)} freed`;
  const later = waiting.objects === 0 ? "" : `; ${waiting.objects} more (${formatSize(waiting.bytes)}) by ${formatLocalTime(waiting.untilMs ?? 0)}, unless something needs them`;
  terminal.status(`region "${planned.region}": ${went}${later}`);
  for (const { storageClass, objects: count, bytes, untilMs } of paidOn) {
    terminal.status(`region "${planned.region}": ${count} of them (${formatSize(bytes)}) are of class ${storageClass}, which is paid for until ${formatLocalTime(untilMs)} all the same`);
  }
  if (done === undefined || done.kept.length === 0) return;
  const untilMs = Math.max(...done.kept.map((each) => each.untilMs ?? 0));
  const until = untilMs === 0 ? "for as long as its lock lasts" : `until ${formatLocalTime(untilMs)} (${formatDuration(Math.max(0, untilMs - Date.now()))})`;
  terminal.status(`region "${planned.region}": ${done.kept.length} objects are kept ${until}: ${printable(done.kept[0]?.key ?? "")}${done.kept.length > 1 ? " and others" : ""}`);
}
