/** What time it is, when several clocks are asked and one of them may be wrong. */

/**
 * The time to go by, ms: the only store's; of several, with this machine's own, the middle one, so that no single clock that
 * runs years ahead or behind decides. Without any answer, this machine's.
 */
export function agreedTimeMs(storeClocksMs: readonly number[], ownMs: number): number {
  const [only = ownMs] = storeClocksMs;
  if (storeClocksMs.length < 2) return only;
  const clocks = [...storeClocksMs, ownMs].toSorted((a, b) => a - b);
  return clocks[Math.floor((clocks.length - 1) / 2)] ?? ownMs;
}

/** A clock that is further off should be set; S3 servers refuse requests from 15 minutes on. */
export const SKEW_LOW_MS = 60_000;
