import { describe, expect, test } from "vitest";
import { Pace } from "../../src/policy/pace.ts";

const MB = 1_000_000;

/** Readings at each second of work that moves so many bytes in it. */
function follow(perSecond: readonly number[], total: number | null) {
  const pace = new Pace();
  let bytes = 0;
  return [0, ...perSecond].map((moved, second) => pace.note({ done: (bytes += moved), total, bytes }, second * 1000));
}

describe("pace", () => {
  test("nothing is said before a second has passed, and nothing of what did not move", () => {
    const pace = new Pace();
    expect(pace.note({ done: 0, total: 100, bytes: 0 }, 0)).toEqual({ bytesPerSecond: null, leftMs: null });
    expect(pace.note({ done: 50, total: 100, bytes: 50 }, 900)).toEqual({ bytesPerSecond: null, leftMs: null });
    expect(follow([0, 0], 100).at(-1)).toEqual({ bytesPerSecond: null, leftMs: null });
  });

  test("a steady rate, and the time that is left at it", () => {
    expect(follow([10 * MB, 10 * MB, 10 * MB], 100 * MB).at(-1)).toEqual({ bytesPerSecond: 10 * MB, leftMs: 7000 });
    expect(follow([10 * MB], null).at(-1)).toEqual({ bytesPerSecond: 10 * MB, leftMs: null });
  });

  test("at the end, or beyond what was expected, no time is left to tell", () => {
    expect(follow([50, 50], 100).at(-1)?.leftMs).toBeNull();
    expect(follow([50, 60], 100).at(-1)?.leftMs).toBeNull();
  });

  test("what was long ago no longer counts", () => {
    const readings = follow([...Array<number>(60).fill(100 * MB), ...Array<number>(25).fill(MB)], null);
    expect(readings.at(-1)?.bytesPerSecond).toBeCloseTo(MB, -4);
  });

  test("another piece of work starts anew", () => {
    const pace = new Pace();
    pace.note({ done: 0, total: 10, bytes: 0 }, 0);
    pace.note({ done: 10, total: 10, bytes: 10 }, 5000);
    expect(pace.note({ done: 1, total: 10, bytes: 1 }, 6000)).toEqual({ bytesPerSecond: null, leftMs: null });
    expect(pace.note({ done: 2, total: 10, bytes: 2 }, 8000)).toEqual({ bytesPerSecond: 0.5, leftMs: 16_000 });
  });

  test("bytes and the way to go are told apart: most of an unchanged night is passed without reading", () => {
    const pace = new Pace();
    pace.note({ done: 0, total: 1000, bytes: 0 }, 0);
    expect(pace.note({ done: 500, total: 1000, bytes: 10 }, 2000)).toEqual({ bytesPerSecond: 5, leftMs: 2000 });
  });
});
