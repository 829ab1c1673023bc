/** When a run that makes no progress is taken for one that hangs. */

const LEAST_MS = 6 * 3_600_000;
/** From the end of a region's tries to whatever comes next. */
const MARGIN_MS = 3_600_000;

/** Longer than any region may keep a run waiting, by its time for trying again (ms); 6 hours at least. */
export function stalledAfterMs(retriesMs: readonly number[]): number {
  return Math.max(LEAST_MS, ...retriesMs.map((ms) => ms + MARGIN_MS));
}
