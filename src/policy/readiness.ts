/** Whether a host could be restored tonight, and how much it would lose: what is known of its archives against its objectives. */
import { formatDuration } from "../units.ts";
import { SKEW_LOW_MS } from "./clock.ts";
import { lockAlarmMs, type RememberedLocks } from "./lock.ts";

export type Objectives = {
  /** The most that may be lost: age of the newest archive, ms. */
  rpoMs: number;
  /** The longest a rebuild may take, ms; null where none is declared. */
  rtoMs: number | null;
  /** How old the last verification (of stored bytes or content) may be, ms. */
  verifyEveryMs: number | null;
  drillEveryMs: number | null;
};

/** What holds where nothing else is declared: a night, and some room for it to be late. */
export const DEFAULT_OBJECTIVES: Objectives = { rpoMs: 26 * 3_600_000, rtoMs: null, verifyEveryMs: null, drillEveryMs: null };

export type Severity = "warn" | "critical";

/** Something that is not as it should be. */
export type Finding = { severity: Severity; message: string; hint: string };

export type RegionState = "complete" | "behind" | "unreachable";

/** Facts of one archive, from its signed header. */
export type KnownArchive = { id: string; startedAtMs: number; status: string; flags: string[]; regions: Record<string, RegionState> };

export type Facts = {
  nowMs: number;
  /** Newest first. */
  archives: readonly KnownArchive[];
  /** Regions that must hold an archive. */
  copies: number;
  retired: boolean;
  /** Forks, gaps, rollbacks, unknown signers, damaged manifests. */
  chain: readonly string[];
  /** How far this machine's clock is ahead of each region's that told it, ms; negative: behind. */
  skews: readonly { region: string; offMs: number }[];
  /** Regions none of which holds every archive; null where one does. */
  mix: string | null;
  /** When the last run of a kind succeeded, ms; null for never, undefined where nobody on this machine would know. */
  verifiedAtMs: number | null | undefined;
  drilledAtMs: number | null | undefined;
  /** The last drill that was recorded, of files or more. */
  lastDrill: { at: string; depth: string; result: "passed" | "failed"; rtoMs: number | null } | null;
  /** The last backup on this machine, where it failed after the newest archive. */
  failure: { atMs: number; message: string } | null;
  /** By region that asks for locks. */
  locks: readonly RememberedLocks[];
};

const CLOCK_SLACK_MS = 10 * 60_000;

/** Whether an archive is whole, and in enough regions: what a restore could rely on. A region that does not answer holds nothing. */
export function isGood({ status, regions }: Pick<KnownArchive, "status" | "regions">, copies: number): boolean {
  return status === "complete" && Object.values(regions).filter((state) => state === "complete").length >= copies;
}

export function newestGood(archives: readonly KnownArchive[], copies: number): KnownArchive | undefined {
  return archives.find((archive) => isGood(archive, copies));
}

function ageFindings({ nowMs, archives, copies, retired }: Facts, { rpoMs }: Objectives): Finding[] {
  if (retired) return [];
  const good = newestGood(archives, copies);
  if (good === undefined) {
    const what = archives.length === 0 ? "there is no archive" : `none of ${archives.length} archives is complete in ${copies} regions`;
    return [{ severity: "critical", message: what, hint: "Run `coldkeep backup`, and see what it says." }];
  }
  const ageMs = nowMs - good.startedAtMs;
  if (ageMs > rpoMs) {
    return [{ severity: "critical", message: `freeze: the newest good archive is ${formatDuration(ageMs)} old, more than the objective of ${formatDuration(rpoMs)}`, hint: "Find out why no night since then succeeded: `coldkeep doctor`, and the log of the last run." }];
  }
  if (ageMs < -CLOCK_SLACK_MS) return [{ severity: "warn", message: `the newest archive is ${formatDuration(-ageMs)} in the future: a clock is wrong`, hint: "Compare this machine's clock with the host's." }];
  return [];
}

function newestFindings({ archives: [newest] }: Facts): Finding[] {
  if (newest === undefined) return [];
  const named = (state: RegionState): string[] => Object.entries(newest.regions).flatMap(([name, is]) => (is === state ? [name] : []));
  const findings: Finding[] = [];
  for (const region of named("unreachable")) findings.push({ severity: "warn", message: `region ${region} does not answer`, hint: "Run `coldkeep doctor` on the host." });
  for (const region of named("behind")) findings.push({ severity: "warn", message: `region ${region} does not hold the newest archive`, hint: "The next backup brings it up to date, `coldkeep repair` does at once; if neither does, run `coldkeep doctor`." });
  if (newest.status !== "complete") findings.push({ severity: "warn", message: `the newest archive, ${newest.id}, is ${newest.status}`, hint: "Run `coldkeep show` to see what could not be read." });
  if (newest.flags.length > 0) findings.push({ severity: "warn", message: `the newest archive is unusual: ${newest.flags.join(", ")}`, hint: "Look at `coldkeep diff`; if it is as it should be, run `coldkeep backup --accept-changes` once." });
  return findings;
}

function clockFindings({ skews }: Facts): Finding[] {
  return skews
    .filter(({ offMs }) => Math.abs(offMs) >= SKEW_LOW_MS)
    .map(({ region, offMs }) => ({ severity: "warn", message: `this machine's clock is ${formatDuration(Math.abs(offMs))} ${offMs < 0 ? "behind" : "ahead of"} that of region ${region}`, hint: "Set the clock, and keep it with NTP." }));
}

/** Locks that no backup renewed in time. */
function lockFindings({ nowMs, locks }: Facts): Finding[] {
  return locks.flatMap(({ region, firstEndMs, rule }): Finding[] => {
    if (firstEndMs === null || firstEndMs - nowMs >= lockAlarmMs(rule)) return [];
    const leftMs = firstEndMs - nowMs;
    const when = leftMs > 0 ? `ends in ${formatDuration(leftMs)}` : firstEndMs === 0 ? "is missing" : `ended ${formatDuration(-leftMs)} ago`;
    return [{ severity: leftMs > 0 ? "warn" : "critical", message: `region ${region}: the first lock of what the newest archive needs ${when}, as far as this host remembers`, hint: "A backup renews locks: run `coldkeep backup -v`, then `coldkeep verify --level presence`, which asks the region." }];
  });
}

/** What the last drill showed. */
function drillFindings({ lastDrill }: Facts, { rtoMs }: Objectives): Finding[] {
  if (lastDrill === null) return [];
  const { at, depth, result, rtoMs: measuredMs } = lastDrill;
  if (result === "failed") return [{ severity: "critical", message: `the last drill, of ${depth}, failed: ${at}`, hint: "Run `coldkeep verify`, and drill again: an archive that cannot be restored is none." }];
  if (rtoMs === null || measuredMs === null || measuredMs <= rtoMs) return [];
  return [{ severity: "warn", message: `the last drill of ${depth} took ${formatDuration(measuredMs)}, more than the objective of ${formatDuration(rtoMs)}`, hint: "See its stages in `coldkeep drill --json`: a nearer region, or fewer bytes, make it shorter." }];
}

function overdue(what: string, atMs: number | null | undefined, everyMs: number | null, nowMs: number, verb: string): Finding[] {
  if (everyMs === null || atMs === undefined || (atMs !== null && nowMs - atMs <= everyMs)) return [];
  const since = atMs === null ? `never ${what}` : `last ${what} ${formatDuration(nowMs - atMs)} ago`;
  return [{ severity: "warn", message: `${since}; the objective is every ${formatDuration(everyMs)}`, hint: `Run \`${verb}\`.` }];
}

/** What is not as it should be, the worst first. */
export function findingsOf(facts: Facts, objectives: Objectives): Finding[] {
  const { nowMs, chain, mix, failure, retired } = facts;
  const findings = [
    ...chain.map((message): Finding => ({ severity: "critical", message, hint: "Find out who wrote what: `coldkeep list --json` names the archives." })),
    ...ageFindings(facts, objectives),
    ...(mix === null ? [] : [{ severity: "warn" as const, message: mix, hint: "Run `coldkeep repair`: it copies between the regions what each lacks." }]),
    ...newestFindings(facts),
    ...clockFindings(facts),
    ...(retired ? [] : lockFindings(facts)),
    ...(failure === null || retired ? [] : [{ severity: "warn" as const, message: `the last backup failed: ${failure.message}`, hint: "Run `coldkeep backup -v`." }]),
    ...(retired ? [] : overdue("verified", facts.verifiedAtMs, objectives.verifyEveryMs, nowMs, "coldkeep verify")),
    ...(retired ? [] : overdue("drilled", facts.drilledAtMs, objectives.drillEveryMs, nowMs, "coldkeep drill --kit FILE")),
    ...(retired ? [] : drillFindings(facts, objectives)),
  ];
  return findings.toSorted((a, b) => Number(b.severity === "critical") - Number(a.severity === "critical"));
}
