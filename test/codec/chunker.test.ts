import { createCipheriv, createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutPoints, isAverage, MAX_AVERAGE_BYTES, maxChunkBytes, MIN_AVERAGE_BYTES, minChunkBytes } from "../../src/codec/chunker.ts";
import { sha256Hex } from "../../src/codec/digest.ts";

const AVERAGE = 4096;

/** The same bytes on every machine: SHA-256 in counter mode. */
function fixedBytes(length: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < length; i++) parts.push(createHash("sha256").update(`bytes ${i}`).digest());
  return Buffer.concat(parts, length);
}

function chunkDigests(bytes: Buffer, average = AVERAGE): string[] {
  let from = 0;
  return cutPoints(bytes, 0, bytes.length, average).map((to) => {
    const digest = sha256Hex(bytes.subarray(from, to));
    from = to;
    return digest;
  });
}

function newChunks(before: Buffer, after: Buffer): number {
  const known = new Set(chunkDigests(before));
  return chunkDigests(after).filter((digest) => !known.has(digest)).length;
}

describe("cut points", () => {
  test("cover the span, within the bounds, and depend on nothing outside it", () => {
    fc.assert(
      fc.property(fc.nat({ max: 200_000 }), fc.nat({ max: 5000 }), fc.nat({ max: 5000 }), fc.boolean(), (length, before, after, isFlat) => {
        const span = isFlat ? Buffer.alloc(length, 7) : randomBytes(length);
        const bytes = Buffer.concat([randomBytes(before), span, randomBytes(after)]);
        const cuts = cutPoints(bytes, before, before + length, AVERAGE);
        expect(cuts.map((cut) => cut - before)).toEqual(cutPoints(span, 0, length, AVERAGE));
        let from = before;
        for (const [i, cut] of cuts.entries()) {
          expect(cut - from).toBeLessThanOrEqual(maxChunkBytes(AVERAGE));
          expect(cut - from).toBeGreaterThan(i === cuts.length - 1 ? 0 : minChunkBytes(AVERAGE));
          from = cut;
        }
        expect(from).toBe(before + length);
      }),
      { numRuns: 60 },
    );
  });

  test("of a span in parts are those of the whole, the last cut of each part being open", () => {
    const bytes = fixedBytes(300_000);
    const cuts: number[] = [];
    let from = 0;
    for (let end = 40_000; from < bytes.length; end += 40_000) {
      const part = cutPoints(bytes, from, Math.min(end, bytes.length), AVERAGE);
      if (end < bytes.length) part.pop();
      cuts.push(...part);
      from = part.at(-1) ?? from;
    }
    expect(cuts).toEqual(cutPoints(bytes, 0, bytes.length, AVERAGE));
  });

  test("are frozen: they are what archives of all versions share chunks by", () => {
    expect(cutPoints(fixedBytes(40_000), 0, 40_000, AVERAGE)).toEqual([
      4975, 9750, 13_549, 17_106, 20_729, 25_744, 29_506, 32_870, 36_384, 40_000,
    ]);
    const cuts = cutPoints(fixedBytes(4_000_000), 0, 4_000_000, 65_536);
    expect([cuts.length, sha256Hex(JSON.stringify(cuts))]).toEqual([63, "063a24da975a598524f0312d1f6661550c0edb3f53e486176e7b0ecc469c7f99"]);
  });

  test("of random data lie near the average apart", () => {
    for (const average of [4096, 16_384, 65_536]) {
      const bytes = randomBytes(average * 400);
      const mean = bytes.length / cutPoints(bytes, 0, bytes.length, average).length;
      expect(mean).toBeGreaterThan(average * 0.9);
      expect(mean).toBeLessThan(average * 1.1);
    }
  });

  test("of flat data lie the maximum apart", () => {
    for (let byte = 0; byte < 256; byte++) {
      const cuts = cutPoints(Buffer.alloc(10 * AVERAGE, byte), 0, 10 * AVERAGE, AVERAGE);
      expect(cuts).toEqual([4 * AVERAGE, 8 * AVERAGE, 10 * AVERAGE]);
    }
  });
});

/** Bytes that look random and are the same in every run. */
function seeded(length: number, seed: number): Buffer {
  return createCipheriv("chacha20", Buffer.alloc(32, 7), Buffer.alloc(16, String(seed))).update(Buffer.alloc(length));
}

describe("an edit moves few chunks", () => {
  // Where the cuts fall in step again is a matter of chance, so data and edits are the same in every run.
  test("bytes put in, taken out or overwritten", () => {
    const before = seeded(400 * AVERAGE, 1);
    const moved: number[] = [];
    fc.assert(
      fc.property(fc.nat({ max: before.length - 1 }), fc.integer({ min: 1, max: 2000 }), (at, length) => {
        const edit = seeded(length, at);
        const overwritten = Buffer.from(before);
        overwritten.set(edit.subarray(0, before.length - at), at);
        const inserted = Buffer.concat([before.subarray(0, at), edit, before.subarray(at)]);
        const removed = Buffer.concat([before.subarray(0, at), before.subarray(at + length)]);
        for (const after of [inserted, removed, overwritten]) {
          moved.push(newChunks(before, after));
          expect(moved.at(-1)).toBeLessThan(12);
        }
      }),
      { numRuns: 30, seed: 1 },
    );
    expect(moved.reduce((sum, count) => sum + count, 0) / moved.length).toBeLessThan(4);
  });

  test("1 % of the 8 KiB pages rewritten stores at most 14 pages for one at 64 KiB", () => {
    const before = randomBytes(64 * 2 ** 20);
    const after = Buffer.from(before);
    const pages = before.length / 8192;
    for (let i = 0; i < pages / 100; i++) {
      const page = Math.floor(i * 100 + (randomBytes(1)[0] ?? 0) / 4);
      after.set(randomBytes(8192), page * 8192);
    }
    const known = new Set(chunkDigests(before, 65_536));
    let from = 0;
    let stored = 0;
    for (const to of cutPoints(after, 0, after.length, 65_536)) {
      if (!known.has(sha256Hex(after.subarray(from, to)))) stored += to - from;
      from = to;
    }
    expect(stored / Math.ceil(pages / 100)).toBeLessThan(8192 * 14);
    expect(stored).toBeGreaterThan(0);
  });
});

test("averages are powers of two within bounds, spans lie inside the bytes", () => {
  expect([MIN_AVERAGE_BYTES, 65_536, MAX_AVERAGE_BYTES].every(isAverage)).toBe(true);
  expect([2048, 5000, 65_536.5, 2 * MAX_AVERAGE_BYTES, 0, -4096, Number.NaN].some(isAverage)).toBe(false);
  expect(() => cutPoints(Buffer.alloc(10), 0, 10, 5000)).toThrow(/average/);
  expect(() => cutPoints(Buffer.alloc(10), 0, 11, AVERAGE)).toThrow(/span/);
  expect(() => cutPoints(Buffer.alloc(10), 5, 4, AVERAGE)).toThrow(/span/);
  expect(cutPoints(Buffer.alloc(10), 4, 4, AVERAGE)).toEqual([]);
});
