/** What a host's archives and runs came to over a period: facts for whoever has to account for them. */
import type { LoadedConfig } from "../config/load.ts";
import { EXIT } from "../errors.ts";
import { type Finding, isGood, type Objectives } from "../policy/readiness.ts";
import { RunHistory, type RecordedRun } from "../state/run-history.ts";
import type { ListedArchive } from "./list-archives.ts";
import type { OpenVault } from "./open-vault.ts";
import { hostStatus, type RecordedDrill, type StatusOrder } from "./status.ts";

/** A run of this machine, as far as a report tells of it. */
export type ReportedRun = { verb: string; level: string | null; startedAt: string; durationMs: number | null; exitStatus: number | null; message: string | null };

/** Something that went otherwise than it should. */
export type Incident = { at: string; what: string };

/** Time between the beginnings of two good archives, or from the last one to now. */
export type Gap = { at: string; gapMs: number };

export type HostReport = {
  host: string;
  vault: string;
  from: string;
  to: string;
  objectives: Objectives;
  retired: { at: string; reason: string } | null;
  findings: Finding[];
  /** Of the period, oldest first. */
  archives: ListedArchive[];
  gaps: Gap[];
  /** Null where there is none. */
  worstGapMs: number | null;
  /** Verifications and drills of this machine. */
  proofs: ReportedRun[];
  /** Recorded drills of the period, of all machines, oldest first. */
  drills: RecordedDrill[];
  incidents: Incident[];
  /** Whether the history of runs was at hand: with a kit it is not. */
  hasHistory: boolean;
};

export type ReportOrder = StatusOrder & { fromMs: number; loaded: LoadedConfig | null };

/** Throws StoreError when no region answers, E_DISK, E_INTERRUPTED. */
export async function hostReport(vault: OpenVault, host: string, order: ReportOrder): Promise<HostReport> {
  const { fromMs, nowMs, copies, objectives, loaded } = order;
  const status = await hostStatus(vault, host, order);
  const archives = status.archives.filter(({ startedAt }) => Date.parse(startedAt) >= fromMs).toReversed();
  const good = archives.filter((archive) => isGood(archive, copies));
  const gaps = gapsOf(good, status.retired === null ? nowMs : null);
  const runs = loaded === null ? [] : readRuns(loaded, fromMs);
  return {
    host,
    vault: vault.trust.vault,
    from: new Date(fromMs).toISOString(),
    to: new Date(nowMs).toISOString(),
    objectives,
    retired: status.retired,
    findings: status.findings,
    archives,
    gaps,
    worstGapMs: gaps.length === 0 ? null : Math.max(...gaps.map(({ gapMs }) => gapMs)),
    proofs: runs.filter(({ verb }) => verb === "verify" || verb === "drill"),
    drills: status.drills.filter(({ at }) => Date.parse(at) >= fromMs),
    incidents: incidentsOf(archives, gaps, runs, objectives),
    hasHistory: loaded !== null,
  };
}

function gapsOf(good: readonly ListedArchive[], nowMs: number | null): Gap[] {
  const starts = good.map(({ startedAt }) => Date.parse(startedAt));
  const ends = nowMs === null ? starts.slice(1) : [...starts.slice(1), nowMs];
  return ends.flatMap((endMs, i) => {
    const startMs = starts[i];
    return startMs === undefined ? [] : [{ at: new Date(endMs).toISOString(), gapMs: Math.max(0, endMs - startMs) }];
  });
}

function readRuns({ config }: LoadedConfig, fromMs: number): ReportedRun[] {
  const history = new RunHistory(config.state);
  try {
    return history.since(fromMs).toReversed().map(reported);
  } finally {
    history.close();
  }
}

function reported({ verb, level, startedAtMs, end, isRunning }: RecordedRun): ReportedRun {
  const message = end === null ? (isRunning ? "is running" : "was killed") : (end.error?.message ?? null);
  return { verb, level, startedAt: new Date(startedAtMs).toISOString(), durationMs: end === null ? null : end.finishedAtMs - startedAtMs, exitStatus: end?.exitStatus ?? null, message };
}

/** In the order of time. */
function incidentsOf(archives: readonly ListedArchive[], gaps: readonly Gap[], runs: readonly ReportedRun[], { rpoMs }: Objectives): Incident[] {
  const incidents: Incident[] = [];
  for (const { startedAt, status, flags, regions } of archives) {
    if (status !== "complete") incidents.push({ at: startedAt, what: `archive is ${status}` });
    if (flags.length > 0) incidents.push({ at: startedAt, what: `archive is unusual: ${flags.join(", ")}` });
    const behind = Object.entries(regions).flatMap(([name, state]) => (state === "behind" ? [name] : []));
    if (behind.length > 0) incidents.push({ at: startedAt, what: `archive is missing in ${behind.join(", ")}` });
  }
  for (const { at, gapMs } of gaps) if (gapMs > rpoMs) incidents.push({ at, what: `no good archive for ${Math.round(gapMs / 3_600_000)} h, more than the objective` });
  for (const { verb, startedAt, exitStatus, message } of runs) {
    if (exitStatus === EXIT.done || exitStatus === EXIT.locked || message === "is running") continue;
    if (verb === "backup" && (exitStatus === EXIT.partial || exitStatus === EXIT.threshold)) continue;
    incidents.push({ at: startedAt, what: `${verb} ${exitStatus === null ? "" : `ended with ${exitStatus}`}${message === null ? "" : `: ${message}`}`.trim() });
  }
  return incidents.toSorted((a, b) => (a.at < b.at ? -1 : 1));
}
