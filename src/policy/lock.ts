/** How long what a region keeps is locked against deleting, and when that is renewed. */

export type LockMode = "governance" | "compliance";

/** What the configuration asks of a region. */
export type LockRule = { mode: LockMode; days: number };

/** What a store says of one object. */
export type ObjectLock = { mode: LockMode; /** Ms since the epoch. */ untilMs: number };

const DAY_MS = 86_400_000;

/**
 * An archive names an object again only while at least this share of its lock is left. So every archive is protected for
 * half of `days` from its making on, and an object that all archives need is renewed once in that time, not every night.
 */
const RENEW_BELOW = 0.5;
/** Runs renew long before; less than this is left only where none did. */
const ALARM_BELOW = 0.25;

/** When a lock that begins now ends; stores count whole seconds. */
export function lockEndMs({ days }: LockRule, nowMs: number): number {
  return Math.ceil((nowMs + days * DAY_MS) / 1000) * 1000;
}

/** The least that must be left of the lock of an object that an archive names, ms. */
export function lockMarginMs({ days }: LockRule): number {
  return days * DAY_MS * RENEW_BELOW;
}

/** Below this, whoever watches is told, ms. */
export function lockAlarmMs({ days }: LockRule): number {
  return days * DAY_MS * ALARM_BELOW;
}

/** What a host remembers of the locks on what its newest archive needs, in one region. */
export type RememberedLocks = {
  region: string;
  /** The first to end, ms since the epoch; null where none is remembered. */
  firstEndMs: number | null;
  objects: number;
  /** Of which nothing is remembered. */
  unknown: number;
  rule: LockRule;
};

/** Whether a remembered end can be relied on: nothing of ours is locked for longer than the rule says. */
export function lastsLong(untilMs: number | undefined, rule: LockRule, nowMs: number): boolean {
  return untilMs !== undefined && untilMs >= nowMs + lockMarginMs(rule) && untilMs <= lockEndMs(rule, nowMs);
}

/** The lock to ask for; null where the one that is there is good. A compliance lock never becomes a weaker one. */
export function lockToSet(found: ObjectLock | null, rule: LockRule, nowMs: number): ObjectLock | null {
  if (found !== null && found.untilMs >= nowMs + lockMarginMs(rule)) return null;
  return { mode: found?.mode === "compliance" ? "compliance" : rule.mode, untilMs: lockEndMs(rule, nowMs) };
}

/** What is wrong with the lock of an object that an archive needs, for a person; null for nothing. */
export function lockFault(found: ObjectLock | null, rule: LockRule, nowMs: number): "none" | "over" | "short" | "weak" | null {
  if (found === null) return "none";
  if (found.untilMs <= nowMs) return "over";
  if (found.untilMs < nowMs + lockAlarmMs(rule)) return "short";
  return rule.mode === "compliance" && found.mode === "governance" ? "weak" : null;
}
