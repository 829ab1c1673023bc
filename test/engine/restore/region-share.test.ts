import { expect, test } from "vitest";
import { RegionShare } from "../../../src/engine/restore/region-share.ts";

const MIB = 1024 * 1024;
const RANGE = 4 * MIB;
const NONE = new Set<number>();

type Fetch = { region: number; left: number; startMs: number; not: Set<number> };

/** Fetches `count` ranges, 16 at a time, from regions that send so many bytes a ms to all their requests together; returns how many each sent. */
function fetchAll(speeds: readonly number[], count: number): { sent: number[]; tookMs: number } {
  const share = new RegionShare(speeds.length);
  const sent = speeds.map(() => 0);
  const waiting = Array.from({ length: count }, () => new Set<number>());
  const running: Fetch[] = [];
  let nowMs = 0;
  for (; waiting.length > 0 || running.length > 0; nowMs++) {
    for (; running.length < 16 && waiting.length > 0; ) {
      const not = waiting.shift() ?? NONE;
      running.push({ region: share.begin(RANGE, nowMs, not), left: RANGE, startMs: nowMs, not: new Set(not) });
    }
    for (const [region, speed] of speeds.entries()) {
      // What was asked for first comes first.
      const first = running.find((fetch) => fetch.region === region);
      if (first === undefined) continue;
      first.left -= speed;
      if (first.left > 0) continue;
      running.splice(running.indexOf(first), 1);
      share.end(region, RANGE, RANGE, nowMs);
      sent[region] = (sent[region] ?? 0) + 1;
    }
    if (nowMs % 1000 !== 0) continue;
    for (const fetch of running.slice()) {
      const not = fetch.not.add(fetch.region);
      if (!share.isTooLong(fetch.region, RANGE, fetch.startMs, nowMs, not)) continue;
      running.splice(running.indexOf(fetch), 1);
      share.end(fetch.region, RANGE, 0, nowMs);
      waiting.unshift(not);
    }
  }
  return { sent, tookMs: nowMs };
}

test("regions of one speed share, and are twice as fast together", () => {
  const alone = fetchAll([50_000], 200);
  const { sent, tookMs } = fetchAll([50_000, 50_000], 200);
  for (const count of sent) expect(count).toBeGreaterThan(80);
  expect(tookMs).toBeLessThan(0.6 * alone.tookMs);
});

test("a slow region gets what it can send in the time, whichever is preferred", () => {
  for (const speeds of [[2_000, 100_000], [100_000, 2_000]]) {
    const { sent, tookMs } = fetchAll(speeds, 200);
    expect(Math.min(...sent)).toBeLessThan(20);
    expect(tookMs).toBeLessThan(2 * fetchAll([100_000], 200).tookMs);
  }
});

test("until a region has shown what it can do it gets one range, and the preferred one the others", () => {
  const share = new RegionShare(3);
  expect(Array.from({ length: 6 }, () => share.begin(RANGE, 0, NONE))).toEqual([0, 1, 2, 0, 0, 0]);
  expect(share.begin(100, 0, NONE)).toBe(0);
  expect(share.begin(RANGE, 0, new Set([0]))).toBe(1);
  expect(share.begin(RANGE, 0, new Set([0, 1, 2]))).toBe(0);
});

test("a region that sent nothing is asked no more while another sends", () => {
  const share = new RegionShare(2);
  for (const region of [0, 1]) expect(share.begin(RANGE, 0, NONE)).toBe(region);
  share.end(0, RANGE, 0, 10);
  share.end(1, RANGE, RANGE, 500);
  for (let i = 0; i < 5; i++) expect(share.begin(RANGE, 500, NONE)).toBe(1);
});

test("a fetch takes too long when another region would have been much faster", () => {
  const share = new RegionShare(2);
  for (const region of [0, 1]) expect(share.begin(RANGE, 0, NONE)).toBe(region);
  // Nothing is known of the other yet.
  expect(share.isTooLong(0, RANGE, 0, 100_000, new Set([0]))).toBe(false);
  share.end(1, RANGE, RANGE, 2000);
  expect(share.isTooLong(0, RANGE, 0, 5000, new Set([0]))).toBe(false);
  expect(share.isTooLong(0, RANGE, 0, 7000, new Set([0]))).toBe(true);
  expect(share.isTooLong(0, RANGE, 0, 100_000, new Set([0, 1]))).toBe(false);
});
