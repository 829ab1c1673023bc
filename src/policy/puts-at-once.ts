/**
 * How many objects go to a region at once. Where requests wait for answers more than for the line, more of them at once
 * carry more; where the line is full, they only take longer each, hold more memory, and lose more when they break off.
 */

export const PUTS_AT_ONCE_MIN = 2;
export const PUTS_AT_ONCE_MAX = 16;

/** A put that lasts this long spends its time on the line, not on latency. */
const LONG_PUT_MS = 10_000;
const GROWTH = 1.5;

export type PutsAtOnce = {
  atOnce: number;
  /** The round with fewer: how many, and what they carried in bytes per second. Null when there was none. */
  before: { atOnce: number; bytesPerSecond: number } | null;
  /** More at once did not pay. */
  isSettled: boolean;
};

export const FIRST_PUTS_AT_ONCE: PutsAtOnce = { atOnce: 4, before: null, isSettled: false };

/**
 * What follows from a round: as many puts as ran at once, with others waiting all the while. Half as many more are let in as
 * long as the last ones brought at least half of what they could; else it goes back to where it was. Long puts take one away.
 */
export function nextPutsAtOnce(now: PutsAtOnce, round: { bytesPerSecond: number; putMs: number }): PutsAtOnce {
  const { atOnce, before, isSettled } = now;
  if (round.putMs > LONG_PUT_MS) return { atOnce: Math.max(PUTS_AT_ONCE_MIN, atOnce - 1), before: null, isSettled: true };
  if (isSettled) return now;
  if (before !== null && round.bytesPerSecond < before.bytesPerSecond * ((1 + atOnce / before.atOnce) / 2)) {
    return { atOnce: before.atOnce, before, isSettled: true };
  }
  const isMost = atOnce >= PUTS_AT_ONCE_MAX;
  return { atOnce: Math.min(PUTS_AT_ONCE_MAX, Math.floor(atOnce * GROWTH)), before: { atOnce, bytesPerSecond: round.bytesPerSecond }, isSettled: isMost };
}
