/**
 * Health: the host carries the load it was declared to. Requests are sent when they are due, answered or not, and each is timed
 * from when it was due: a server that stalls is not spared the requests of that time (coordinated omission), as by generators that
 * wait for answers before they send again.
 */
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { LoadCheck } from "../../config/health-schema.ts";
import { formatDuration } from "../../units.ts";
import { type Finding, ill, type ProbeOrder, well } from "./probe.ts";
import { connectionFault, Requester } from "./request.ts";

/** More requests on their way at once are not sent, and count as failed: the server has stopped answering. */
const OPEN_MAX = 10_000;
const TICK_MS = 1;
const HALF = 0.5;
const P95 = 0.95;
const P99 = 0.99;

type Tally = {
  /** From when it was due to its end, ms; of those that were sent. */
  latencies: Float64Array<ArrayBuffer>;
  ended: number;
  failed: number;
  /** Why, and how often. */
  faults: Map<string, number>;
  /** The latest that one was sent, ms after it was due. */
  sentLateMs: number;
  endedAtMs: number;
};

/** `share` of the sorted values are at or below. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

function fail(tally: Tally, why: string): void {
  tally.failed++;
  tally.faults.set(why, (tally.faults.get(why) ?? 0) + 1);
}

async function send(requester: Requester, dueMs: number, timeoutMs: number, signal: AbortSignal, tally: Tally): Promise<void> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await requester.get(AbortSignal.any([signal, limit]));
    await finished(answer.resume());
    const status = answer.statusCode ?? 0;
    if (status < 200 || status > 299) fail(tally, `answered ${status}`);
  } catch (error) {
    if (signal.aborted) return;
    fail(tally, limit.aborted ? `not answered within ${formatDuration(timeoutMs)}` : connectionFault(error));
  }
  tally.latencies[tally.ended++] = performance.now() - dueMs;
  tally.endedAtMs = performance.now();
}

/** Takes `durationMs` and at most `timeoutMs` more. Throws the signal's reason, E_CONFIG, E_REFUSED. */
export async function probeLoad(check: LoadCheck, { timeoutMs, signal }: ProbeOrder): Promise<Finding> {
  const { rate, durationMs } = check;
  using requester = new Requester(check.target);
  const total = Math.max(1, Math.round((rate * durationMs) / 1000));
  const tally: Tally = { latencies: new Float64Array(total), ended: 0, failed: 0, faults: new Map(), sentLateMs: 0, endedAtMs: 0 };
  const open = new Set<Promise<void>>();
  const startedMs = performance.now();
  for (let next = 0; next < total; ) {
    signal.throwIfAborted();
    const nowMs = performance.now();
    for (; next < total; next++) {
      const dueMs = startedMs + (next * 1000) / rate;
      if (dueMs > nowMs) break;
      tally.sentLateMs = Math.max(tally.sentLateMs, nowMs - dueMs);
      if (open.size >= OPEN_MAX) {
        fail(tally, `not sent: ${OPEN_MAX} were not answered yet`);
        continue;
      }
      const sending: Promise<void> = send(requester, dueMs, timeoutMs, signal, tally).finally(() => open.delete(sending));
      open.add(sending);
    }
    await sleep(TICK_MS, undefined, { signal });
  }
  await Promise.all(open);
  signal.throwIfAborted();
  return judge(check, tally, total, startedMs);
}

function judge({ rate, p95Ms, errorsMax }: LoadCheck, tally: Tally, total: number, startedMs: number): Finding {
  const sorted = tally.latencies.subarray(0, tally.ended).toSorted();
  const tookMs = Math.max(1, tally.endedAtMs - startedMs);
  const errors = tally.failed / total;
  const p95 = quantile(sorted, P95);
  const round = (value: number): number => Math.round(value * 10) / 10;
  const measured = {
    requests: total,
    failed: tally.failed,
    errorsPercent: Math.round(errors * 10_000) / 100,
    answeredPerSecond: round(((total - tally.failed) * 1000) / tookMs),
    p50Ms: round(quantile(sorted, HALF)),
    p95Ms: round(p95),
    p99Ms: round(quantile(sorted, P99)),
    maxMs: round(quantile(sorted, 1)),
    sentLateMs: round(tally.sentLateMs),
  };
  const [most] = [...tally.faults].toSorted(([, a], [, b]) => b - a);
  const faults = [
    ...(errors > errorsMax ? [`${tally.failed} of ${total} requests failed, more than ${errorsMax * 100} %${most === undefined ? "" : `; most often: ${most[0]}`}`] : []),
    ...(p95 > p95Ms ? [`95 of 100 requests took up to ${formatDuration(p95)}, longer than ${formatDuration(p95Ms)}, at ${rate} requests a second`] : []),
  ];
  return faults.length === 0 ? well(measured) : ill(faults.join("; "), measured);
}
