import { expect, test } from "vitest";
import { FIRST_PUTS_AT_ONCE, nextPutsAtOnce, type PutsAtOnce } from "../../src/policy/puts-at-once.ts";

const MBIT = 125_000;
const OBJECT_BYTES = 1_000_000;

/** Rounds on a line of so many bytes per second, on which every put waits for so long besides. */
function settle(lineBytesPerSecond: number, latencyMs: number, rounds = 12): PutsAtOnce {
  let now = FIRST_PUTS_AT_ONCE;
  for (let i = 0; i < rounds; i++) {
    const putMs = Math.max(latencyMs, (now.atOnce * OBJECT_BYTES * 1000) / lineBytesPerSecond);
    now = nextPutsAtOnce(now, { bytesPerSecond: (now.atOnce * OBJECT_BYTES * 1000) / putMs, putMs });
  }
  return now;
}

test("latency lets more puts run at once, up to 16", () => {
  expect(settle(1000 * MBIT, 1000)).toMatchObject({ atOnce: 16, isSettled: true });
});

test("a line that is full is not given more than fills it", () => {
  expect(settle(100 * MBIT, 10)).toMatchObject({ atOnce: 4, isSettled: true });
  // 10 MB/s and 700 ms: seven objects are on their way.
  expect(settle(80 * MBIT, 700).atOnce).toBeGreaterThanOrEqual(6);
  expect(settle(80 * MBIT, 700).atOnce).toBeLessThanOrEqual(9);
});

test("on a narrow line it goes down to two", () => {
  expect(settle(MBIT / 4, 50).atOnce).toBe(2);
});

test("one round alone changes nothing for good", () => {
  const grown = nextPutsAtOnce(FIRST_PUTS_AT_ONCE, { bytesPerSecond: 1e6, putMs: 100 });
  expect(grown).toEqual({ atOnce: 6, before: { atOnce: 4, bytesPerSecond: 1e6 }, isSettled: false });
  expect(nextPutsAtOnce(grown, { bytesPerSecond: 1.05e6, putMs: 100 })).toMatchObject({ atOnce: 4, isSettled: true });
});
