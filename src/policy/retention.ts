/**
 * Which archives a host keeps: a rule of periods, and the verdict on each archive with its reason.
 *
 * In each day, week, month and year the first archive stands for the period: nothing that is written later can take its place.
 * What came at the same moment, as far as the stores' clocks tell, stands beside it: nobody knows which was first.
 * An archive belongs to the period of the younger of its signed time and the time a store first had it, so that whoever has a
 * host's signer cannot fill the past; one from the future fills nothing before its time has come.
 */
import { ColdkeepError } from "../errors.ts";
import { formatDuration } from "../units.ts";

export const PERIODS = ["daily", "weekly", "monthly", "yearly"] as const;
export type Period = (typeof PERIODS)[number];

export type RetentionRule = Readonly<Record<Period, number>> & {
  /** So many of the newest. */
  readonly last: number;
  /** Everything younger, ms; null for no such rule. */
  readonly withinMs: number | null;
  /** However old: so many that are complete, in enough regions. */
  readonly keepMin: number;
  /** IANA name; by it a day begins and ends. */
  readonly timeZone: string;
};

/** What is known of an archive. */
export type Candidate = {
  id: string;
  /** Of its manifest, ms. */
  signedMs: number;
  /** When the first of the regions had its manifest, by that region's clock, ms. */
  storedMs: number;
  status: string;
  /** How many regions hold it whole. */
  regions: number;
  /** Why it is held; null where it is not. */
  held: string | null;
};

export type Verdict = {
  id: string;
  keep: boolean;
  /** In words. */
  reason: string;
  /** What counts as its age, ms; below zero for one from the future. */
  ageMs: number;
};

/** Clocks differ; an archive ahead by no more is of now. */
const CLOCK_SLACK_MS = 15 * 60_000;

type Judged = Candidate & { atMs: number; isFuture: boolean; isGood: boolean; reasons: string[] };

/** Refuses a rule that would let whoever writes archives push all others out, or that keeps nothing. Throws E_CONFIG. */
export function checkRule(rule: RetentionRule): RetentionRule {
  if (rule.withinMs !== null || PERIODS.some((period) => rule[period] > 0)) return rule;
  const what = rule.last > 0 ? "`last` alone keeps nothing from whoever writes many archives" : "the rule names nothing to keep";
  throw new ColdkeepError("E_CONFIG", what, { hint: "Add a period: daily, weekly, monthly, yearly or within." });
}

/** A time zone that is known here. Throws E_CONFIG. */
export function checkTimeZone(name: string): string {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch (cause) {
    throw new ColdkeepError("E_CONFIG", `"${name}" is not a time zone`, { hint: "Write it like Europe/Berlin, or UTC.", cause });
  }
}

/**
 * The verdict on each archive of one host, the newest first. `nowMs` by the clocks of the regions; `copies`: regions that
 * must hold an archive for it to count as complete.
 */
export function judgeArchives(candidates: readonly Candidate[], rule: RetentionRule, nowMs: number, copies: number): Verdict[] {
  const judged = candidates.map((candidate): Judged => {
    const atMs = Math.max(candidate.signedMs, candidate.storedMs);
    const isFuture = atMs > nowMs + CLOCK_SLACK_MS;
    return { ...candidate, atMs, isFuture, isGood: candidate.status === "complete" && candidate.regions >= copies, reasons: [] };
  });
  const newest = judged.toSorted((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
  const past = newest.filter(({ isFuture }) => !isFuture);
  for (const archive of judged) {
    if (archive.held !== null) archive.reasons.push(archive.held === "" ? "held" : `held: ${archive.held}`);
    if (archive.isFuture) archive.reasons.push("from the future: it is judged when its time has come");
  }
  keepNewest(judged, past, rule, nowMs);
  const standing = new Map(PERIODS.map((period) => [period, keepPeriods(past, period, rule)]));
  keepLeast(past, rule.keepMin);
  const why = (archive: Judged): string => (archive.reasons.length > 0 ? archive.reasons.join(", ") : whyNot(archive, rule, standing));
  return newest.map((archive) => ({ id: archive.id, keep: archive.reasons.length > 0, reason: why(archive), ageMs: nowMs - archive.atMs }));
}

function keepNewest(judged: readonly Judged[], past: readonly Judged[], rule: RetentionRule, nowMs: number): void {
  // The next archive follows the one whose id is the last, whatever its clock said, and builds on it.
  const end = judged.toSorted((a, b) => (a.id < b.id ? 1 : -1))[0];
  end?.reasons.push("the newest");
  const good = past.find(({ isGood }) => isGood);
  if (good !== end) good?.reasons.push("the newest that is complete");
  for (const archive of past.slice(0, rule.last)) archive.reasons.push(`one of the last ${rule.last}`);
  const { withinMs } = rule;
  if (withinMs === null) return;
  for (const archive of past) if (nowMs - archive.atMs <= withinMs) archive.reasons.push(`younger than ${formatDuration(withinMs)}`);
}

/** Who stands for each period: the first, and what came at the same moment. */
type Standing = ReadonlyMap<string, readonly [first: Judged, ...beside: Judged[]]>;

/** One archive for each of the newest periods that have any. Returns who stands for each period, also beyond the rule. */
function keepPeriods(past: readonly Judged[], period: Period, rule: RetentionRule): Standing {
  const standing = new Map<string, [Judged, ...Judged[]]>();
  if (rule[period] === 0) return standing;
  const nameOf = periodNames(period, rule.timeZone);
  // From the oldest on: the first that is complete stands for its period; without one, the first.
  for (const archive of past.toReversed()) {
    const name = nameOf(archive.atMs);
    const those = standing.get(name);
    if (those === undefined || (!those[0].isGood && archive.isGood)) standing.set(name, [archive]);
    else if (archive.atMs === those[0].atMs && archive.isGood === those[0].isGood) those.push(archive);
  }
  for (const [name, those] of [...standing].toReversed().slice(0, rule[period])) for (const archive of those) archive.reasons.push(`${period} ${name}`);
  return standing;
}

/** However old they are: complete ones until there are enough, and only then others. */
function keepLeast(past: readonly Judged[], keepMin: number): void {
  const kept = past.filter(({ reasons }) => reasons.length > 0);
  let missing = keepMin - kept.filter(({ isGood }) => isGood).length;
  for (const isGood of [true, false]) {
    if (!isGood) missing -= kept.filter((archive) => !archive.isGood).length;
    for (const archive of past) {
      if (missing <= 0) break;
      if (archive.reasons.length > 0 || archive.isGood !== isGood) continue;
      archive.reasons.push(`keepMin ${keepMin}`);
      missing--;
    }
  }
}

function whyNot(archive: Judged, rule: RetentionRule, standing: ReadonlyMap<Period, Standing>): string {
  const said = PERIODS.filter((period) => rule[period] > 0).map((period) => {
    const name = periodNames(period, rule.timeZone)(archive.atMs);
    const those = standing.get(period)?.get(name);
    return those?.includes(archive) === true ? `${name} is beyond ${period} ${rule[period]}` : `${those?.[0].id ?? "another"} stands for ${name}`;
  });
  return said.length > 0 ? said.join(", ") : `older than ${formatDuration(rule.withinMs ?? 0)}`;
}

/** From a time to the name of its period, which sorts as time does. */
function periodNames(period: Period, timeZone: string): (ms: number) => string {
  const format = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
  const partOf = (parts: readonly Intl.DateTimeFormatPart[], type: string): string => parts.find((part) => part.type === type)?.value ?? "";
  return (ms) => {
    const parts = format.formatToParts(ms);
    const [year, month, day] = ["year", "month", "day"].map((type) => partOf(parts, type));
    switch (period) {
      case "daily":
        return `${year}-${month}-${day}`;
      case "weekly":
        return isoWeek(Date.UTC(Number(year), Number(month) - 1, Number(day)));
      case "monthly":
        return `${year}-${month}`;
      case "yearly":
        return `${year}`;
    }
  };
}

const DAY_MS = 86_400_000;

/** `2026-W48`; a week begins on Monday and belongs to the year of its Thursday (ISO 8601). */
function isoWeek(dayMs: number): string {
  const weekday = (new Date(dayMs).getUTCDay() + 6) % 7;
  const thursday = new Date(dayMs + (3 - weekday) * DAY_MS);
  const year = thursday.getUTCFullYear();
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS));
  return `${year}-W${String(week).padStart(2, "0")}`;
}
