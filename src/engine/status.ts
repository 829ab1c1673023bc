/** How a host stands: its archives over the regions, and what of it is not as it should be. */
import { findingsOf, newestGood, type Facts, type Finding, type KnownArchive, type Objectives } from "../policy/readiness.ts";
import { readDrillFacts } from "../format/drill-report.ts";
import { idTimeMs } from "../format/id.ts";
import type { DrillRecord } from "../format/record.ts";
import type { Emit } from "./events.ts";
import type { LocalFacts } from "./local-facts.ts";
import { listArchives, type ArchiveFinding, type ListedArchive } from "./list-archives.ts";
import type { OpenVault } from "./open-vault.ts";
import { readRecords } from "./records.ts";

/** A drill by its record. `rtoMs` is null where it was not measured. */
export type RecordedDrill = { at: string; archive: string; depth: string; result: "passed" | "failed"; rtoMs: number | null };

export type HostStatus = {
  host: string;
  retired: { at: string; reason: string } | null;
  /** When somebody last proved, with a record, that the key opens an archive; ISO time. */
  keyCheckedAt: string | null;
  /** Recorded drills of files or more, of all machines, oldest first. */
  drills: RecordedDrill[];
  /** Newest first. */
  archives: ListedArchive[];
  /** The newest that is whole, in enough regions. */
  newestGood: string | null;
  local: LocalFacts;
  findings: Finding[];
};

function known(archive: ListedArchive): KnownArchive {
  const { id, startedAt, status, flags, regions } = archive;
  return { id, startedAtMs: Date.parse(startedAt), status, flags, regions };
}

function drillOf({ at, archive, depth, result, report }: DrillRecord): RecordedDrill {
  return { at, archive, depth, result, rtoMs: readDrillFacts(report)?.rtoMs ?? null };
}

/** What the records of a host say of how it stands. Throws StoreError when no region answers. */
export async function recordedFacts(vault: OpenVault, host: string, emit: Emit, signal: AbortSignal): Promise<Pick<HostStatus, "retired" | "keyCheckedAt" | "drills"> & { drilledAtMs: number | null }> {
  const records = await readRecords(vault.reachable, host, vault.trust, emit, signal);
  const retired = records.findLast(({ kind }) => kind === "retire");
  // Whoever restored anything had the key.
  const checked = records.findLast(({ kind, record }) => kind === "drill" && record.result === "passed");
  const drills = records.flatMap((each) => (each.kind === "drill" && each.record.depth !== "kit" ? [drillOf(each.record)] : []));
  const passed = drills.findLast(({ result }) => result === "passed");
  return {
    retired: retired?.kind === "retire" ? { at: retired.record.at, reason: retired.record.reason } : null,
    keyCheckedAt: checked?.record.at ?? null,
    drills,
    drilledAtMs: passed === undefined ? null : Date.parse(passed.at),
  };
}

function chainText({ kind, message, region }: ArchiveFinding): string {
  return region === undefined ? message : `${kind} in region ${region}: ${message}`;
}

/** By the answers just given, where a store tells its time with each. */
async function clockSkews(vault: OpenVault, signal: AbortSignal): Promise<Facts["skews"]> {
  const clocks = await Promise.allSettled(vault.reachable.map(async ({ name, store }) => ({ region: name, offMs: Date.now() - (await store.nowMs(signal)) })));
  signal.throwIfAborted();
  return clocks.flatMap((clock) => (clock.status === "fulfilled" ? [clock.value] : []));
}

/** Drills are held elsewhere too: what is recorded counts as much as what this machine remembers. */
function latestOf(recordedMs: number | null, rememberedMs: number | null | undefined): number | null {
  return Math.max(recordedMs ?? 0, rememberedMs ?? 0) || null;
}

export type StatusOrder = { copies: number; objectives: Objectives; local: LocalFacts; nowMs: number; signal: AbortSignal };

/** Throws StoreError when no region answers, E_INTERRUPTED. */
export async function hostStatus(vault: OpenVault, host: string, order: StatusOrder): Promise<HostStatus> {
  const { copies, objectives, local, nowMs, signal } = order;
  // The list tells of records that are none.
  const [{ archives, findings }, { drilledAtMs: recordedMs, ...recorded }] = await Promise.all([listArchives(vault, [host]), recordedFacts(vault, host, () => undefined, signal)]);
  const { retired } = recorded;
  const [newest] = archives;
  const skews = await clockSkews(vault, signal);
  // An archive since then says more than a failure before it.
  const failure = local.failure !== null && newest !== undefined && Date.parse(newest.startedAt) > local.failure.atMs ? null : local.failure;
  // What a revoked signer wrote is an alarm until a good archive came after it.
  const open = findings.filter(({ kind, archive }) => kind !== "revoked-signer" || newest === undefined || idTimeMs(archive) > newest.sequence);
  const chain = open.filter(({ kind }) => kind !== "mix").map(chainText);
  const mix = open.find(({ kind }) => kind === "mix")?.message ?? null;
  const facts: Facts = { nowMs, archives: archives.map(known), copies, retired: retired !== null, skews, chain, mix, ...local, failure, drilledAtMs: latestOf(recordedMs, local.drilledAtMs), lastDrill: recorded.drills.at(-1) ?? null };
  return { host, ...recorded, archives, newestGood: newestGood(facts.archives, copies)?.id ?? null, local, findings: findingsOf(facts, objectives) };
}
