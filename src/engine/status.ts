/** How a host stands: its archives over the regions, and what of it is not as it should be. */
import { findingsOf, newestGood, type Facts, type Finding, type KnownArchive, type Objectives } from "../policy/readiness.ts";
import type { Emit } from "./events.ts";
import type { LocalFacts } from "./local-facts.ts";
import { listArchives, type ArchiveFinding, type ListedArchive } from "./list-archives.ts";
import type { OpenVault } from "./open-vault.ts";
import { readRecords } from "./records.ts";

export type HostStatus = {
  host: string;
  retired: { at: string; reason: string } | null;
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

/** The record that ended a host's reports, or null. Throws StoreError when no region answers. */
export async function retirement(vault: OpenVault, host: string, emit: Emit, signal: AbortSignal): Promise<HostStatus["retired"]> {
  const records = await readRecords(vault.reachable, host, vault.trust, emit, signal);
  const last = records.findLast(({ kind }) => kind === "retire");
  return last?.kind === "retire" ? { at: last.record.at, reason: last.record.reason } : null;
}

function chainText({ kind, message, region }: ArchiveFinding): string {
  return region === undefined ? message : `${kind} in region ${region}: ${message}`;
}

export type StatusOrder = { copies: number; objectives: Objectives; local: LocalFacts; nowMs: number; signal: AbortSignal };

/** Throws StoreError when no region answers, E_INTERRUPTED. */
export async function hostStatus(vault: OpenVault, host: string, order: StatusOrder): Promise<HostStatus> {
  const { copies, objectives, local, nowMs, signal } = order;
  // The list tells of records that are none.
  const [{ archives, findings }, retired] = await Promise.all([listArchives(vault, [host]), retirement(vault, host, () => undefined, signal)]);
  const [newest] = archives;
  // An archive since then says more than a failure before it.
  const failure = local.failure !== null && newest !== undefined && Date.parse(newest.startedAt) > local.failure.atMs ? null : local.failure;
  const facts: Facts = { nowMs, archives: archives.map(known), copies, retired: retired !== null, chain: findings.map(chainText), ...local, failure };
  return { host, retired, archives, newestGood: newestGood(facts.archives, copies)?.id ?? null, local, findings: findingsOf(facts, objectives) };
}
