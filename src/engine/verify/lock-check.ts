/** Whether what an archive needs is still locked as the configuration says. */
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { objectKey } from "../../format/object-key.ts";
import { lockFault } from "../../policy/lock.ts";
import { eachOf } from "../manifests.ts";
import type { RegionTally } from "../region-tally.ts";

const LOOKS_AT_ONCE = 16;

export type LockReport = {
  objects: number;
  /** Locked, but at its end before the next runs would renew it; locked no more; never locked; in a weaker mode. */
  short: number;
  over: number;
  none: number;
  weak: number;
  /** The first to end, ms since the epoch; null where nothing is locked. */
  firstEndMs: number | null;
};

/** Asks a region whose configuration asks for locks about every object. Returns null for any other, and one that fails. Throws E_INTERRUPTED. */
export async function checkLocks(tally: RegionTally, objects: readonly ListedObject[], host: string, signal: AbortSignal): Promise<LockReport | null> {
  const { lock: rule, store } = tally.region;
  if (rule === null || tally.reason !== undefined) return null;
  const report: LockReport = { objects: 0, short: 0, over: 0, none: 0, weak: 0, firstEndMs: null };
  try {
    const nowMs = await store.nowMs(signal);
    await eachOf(objects, LOOKS_AT_ONCE, async ({ kind, id }) => {
      const found = await store.head(objectKey(host, kind, id), signal);
      if (found === null) return;
      report.objects++;
      const fault = lockFault(found.lock, rule, nowMs);
      if (fault !== null) report[fault]++;
      if (found.lock !== null) report.firstEndMs = Math.min(report.firstEndMs ?? Number.POSITIVE_INFINITY, found.lock.untilMs);
    });
    return report;
  } catch (error) {
    if (signal.aborted || !(error instanceof ColdkeepError)) throw error;
    tally.noteUnreachable(messageOf(error));
    return null;
  }
}

/** How many are not locked as they should be. */
export function lockFaults({ short, over, none, weak }: LockReport): number {
  return short + over + none + weak;
}
