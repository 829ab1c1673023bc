/** A host's status as a screen and as a document. */
import type { HostStatus } from "../engine/status.ts";
import type { ListedArchive } from "../engine/list-archives.ts";
import type { Objectives, RegionState } from "../policy/readiness.ts";
import { formatDuration, formatLocalTime, formatSize } from "../units.ts";
import { printable } from "./printable.ts";
import type { Tone, VerdictLine } from "./terminal-port.ts";

/** Archives in the grid of regions: what 80 columns hold beside the longest name of a region. */
const GRID_ARCHIVES = 14;
const DAY_MS = 86_400_000;
const GROWTH_DAYS = 30;
const LISTED_MAX = 100;

const SYMBOLS: Record<RegionState, string> = { complete: "+", behind: "-", unreachable: "?" };

type StatusVerdict = "READY" | "LOOK" | "AT RISK" | "RETIRED";

const TONES: Record<StatusVerdict, Tone> = { READY: "good", RETIRED: "good", LOOK: "doubtful", "AT RISK": "bad" };

/** READY, LOOK AT IT, AT RISK, RETIRED: never by colour alone. */
export function verdictOf({ findings, retired }: HostStatus): StatusVerdict {
  if (findings.some(({ severity }) => severity === "critical")) return "AT RISK";
  if (findings.length > 0) return "LOOK";
  return retired === null ? "READY" : "RETIRED";
}

export function ageMs(archive: ListedArchive, nowMs: number): number {
  return nowMs - Date.parse(archive.startedAt);
}

/** How much more is stored than so many days before, where archives are that old; else since the oldest. */
function growth(archives: readonly ListedArchive[], nowMs: number): { bytes: number; days: number } | null {
  const [newest] = archives;
  const before = archives.find((archive) => ageMs(archive, nowMs) >= GROWTH_DAYS * DAY_MS) ?? archives.at(-1);
  if (newest === undefined || before === undefined || before === newest) return null;
  const days = (Date.parse(newest.startedAt) - Date.parse(before.startedAt)) / DAY_MS;
  return days < 1 ? null : { bytes: newest.storedBytes - before.storedBytes, days: Math.round(days) };
}

function row(name: string, value: string): string {
  return `${name.padEnd(16)}  ${printable(value)}`;
}

function archiveRows(archive: ListedArchive | undefined, { rpoMs }: Objectives, nowMs: number): string[] {
  if (archive === undefined) return [row("newest good", `none; the objective is ${formatDuration(rpoMs)}`)];
  const { id, entries, sourceBytes, storedBytes, startedAt } = archive;
  return [
    row("newest good", `${formatDuration(Math.max(0, ageMs(archive, nowMs)))} old; the objective is ${formatDuration(rpoMs)}`),
    row("", `begun ${formatLocalTime(Date.parse(startedAt))}`),
    row("", id),
    row("", `${entries} entries, ${formatSize(sourceBytes)}; stored ${formatSize(storedBytes)} in each region`),
  ];
}

function gridRows(archives: readonly ListedArchive[]): string[] {
  const shown = archives.slice(0, GRID_ARCHIVES).toReversed();
  const names = Object.keys(archives[0]?.regions ?? {});
  if (shown.length === 0) return [];
  const lines = names.map((name) => row(`  ${name}`, shown.map(({ regions }) => SYMBOLS[regions[name] ?? "behind"]).join(" ")));
  return [row("regions", `the last ${shown.length} of ${archives.length} archives, newest to the right`), ...lines, row("", "+ complete  - behind  ? no answer")];
}

function growthRow(archives: readonly ListedArchive[], nowMs: number): string[] {
  const grown = growth(archives, nowMs);
  if (grown === null) return [];
  const sign = grown.bytes < 0 ? "-" : "+";
  return [row("growth", `${sign}${formatSize(Math.abs(grown.bytes))} in ${grown.days} days`)];
}

function findingLines({ severity, message, hint }: HostStatus["findings"][number]): (string | VerdictLine)[] {
  const isCritical = severity === "critical";
  return ["", { before: "", word: isCritical ? "CRITICAL" : "WARN", tone: isCritical ? "bad" : "doubtful", after: `  ${printable(message)}` }, `      hint: ${printable(hint)}`];
}

/** Only what this host remembers: whoever wants to know asks the regions with verify. */
function lockRows({ local: { locks } }: HostStatus, nowMs: number): string[] {
  return locks.map(({ region, firstEndMs, objects, unknown }, i) => {
    const first = firstEndMs === null ? "none is remembered" : firstEndMs <= nowMs ? "the first is over" : `the first ends in ${formatDuration(firstEndMs - nowMs)}`;
    const rest = unknown === 0 || firstEndMs === null ? "" : `; of ${unknown} of ${objects} nothing is remembered`;
    return row(i === 0 ? "locks" : "", `${region}: ${first}, as far as this host remembers${rest}`);
  });
}

function probeRows({ local: { probes } }: HostStatus, nowMs: number): string[] {
  return probes.map(({ region, createOnly, clockOffMs, probedAtMs }, i) => {
    const puts = createOnly === null ? "puts not tried" : createOnly ? "a put replaces nothing" : "a put may replace";
    const clock = clockOffMs === null ? "" : `, clock ${formatDuration(Math.abs(clockOffMs))} off`;
    return row(i === 0 ? "probed" : "", `${region}: ${puts}${clock}, ${formatDuration(Math.max(0, nowMs - probedAtMs))} ago`);
  });
}

function localRows({ local }: HostStatus, nowMs: number): string[] {
  if (local.nextRunMs === undefined) return [];
  const verified = Object.entries(local.verified).map(([level, atMs]) => `${level} ${formatDuration(Math.max(0, nowMs - atMs))} ago`);
  return [
    row("verified", verified.length === 0 ? "never, on this machine" : verified.join(", ")),
    row("next run", local.nextRunMs === null ? "not scheduled: see `coldkeep schedule`" : formatLocalTime(local.nextRunMs)),
  ];
}

function drillRow({ drills }: HostStatus, { rtoMs }: Objectives, nowMs: number): string[] {
  const lastDrill = drills.at(-1);
  if (lastDrill === undefined) return [];
  const { at, depth, result, rtoMs: measuredMs } = lastDrill;
  const took = measuredMs === null ? "" : `; took ${formatDuration(measuredMs)}${rtoMs === null ? "" : `, the objective is ${formatDuration(rtoMs)}`}`;
  return [row("drilled", `${depth} ${result} ${formatDuration(Math.max(0, nowMs - Date.parse(at)))} ago${took}`)];
}

export function statusLines(status: HostStatus, objectives: Objectives, nowMs: number): (string | VerdictLine)[] {
  const { host, archives, findings, newestGood, retired } = status;
  return [
    { before: `${printable(host)}: `, word: verdictOf(status), tone: TONES[verdictOf(status)], after: "" },
    ...(retired === null ? [] : [row("retired", `${retired.at}: ${retired.reason}`)]),
    ...archiveRows(archives.find(({ id }) => id === newestGood), objectives, nowMs),
    ...gridRows(archives),
    ...localRows(status, nowMs),
    row("key checked", status.keyCheckedAt === null ? "never, that anybody recorded: see `coldkeep kit check`" : `${formatDuration(Math.max(0, nowMs - Date.parse(status.keyCheckedAt)))} ago`),
    ...drillRow(status, objectives, nowMs),
    ...lockRows(status, nowMs),
    ...probeRows(status, nowMs),
    ...growthRow(archives, nowMs),
    ...findings.flatMap(findingLines),
  ];
}

function time(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : new Date(ms).toISOString();
}

function localDocument({ local }: HostStatus): Record<string, unknown> {
  return { verified: Object.fromEntries(Object.entries(local.verified).map(([level, ms]) => [level, time(ms)])), drilledAt: time(local.drilledAtMs), nextRun: time(local.nextRunMs), rememberedLocks: local.locks.map(({ region, firstEndMs, objects, unknown, rule }) => ({ region, ...rule, firstEnd: time(firstEndMs), objects, unknown })), probes: local.probes.map(({ probedAtMs, ...probe }) => ({ ...probe, probedAt: time(probedAtMs) })) };
}

export function statusDocument(status: HostStatus, objectives: Objectives, nowMs: number): Record<string, unknown> {
  const { host, archives, findings, newestGood, retired } = status;
  const good = archives.find(({ id }) => id === newestGood);
  const grown = growth(archives, nowMs);
  return {
    host,
    verdict: verdictOf(status).toLowerCase().replace(" ", "-"),
    at: new Date(nowMs).toISOString(),
    retired,
    objectives,
    newestGood: good ?? null,
    ageMs: good === undefined ? null : ageMs(good, nowMs),
    growth: grown,
    ...localDocument(status),
    keyCheckedAt: status.keyCheckedAt,
    lastDrill: status.drills.at(-1) ?? null,
    archivesTotal: archives.length,
    archives: archives.slice(0, LISTED_MAX),
    findings,
  };
}
