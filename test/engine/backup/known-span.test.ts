import { describe, expect, test } from "vitest";
import { KnownSpan } from "../../../src/engine/backup/known-span.ts";
import { reusableSpan } from "../../../src/engine/backup/reusable-span.ts";
import { continuationLine, encodeExtents, type Extent } from "../../../src/format/entry.ts";
import { makeId } from "../../../src/format/id.ts";

const VOLUME = makeId(1e12, Buffer.alloc(10, 1));
const OTHER = makeId(1e12, Buffer.alloc(10, 2));
const digest = (n: number): string => String(n).padStart(64, "0");
const run = (volume: string, lengths: readonly number[], from: number): Extent => ({
  volume,
  frame: [0, 100],
  offset: 512,
  chunks: lengths.map((length, i) => [length, digest(from + i)] as [number, string]),
});
const known = (at: number, extents: Extent[]): KnownSpan => new KnownSpan(continuationLine("/srv/table", at, encodeExtents(extents)));

describe("what the archive before holds of a span", () => {
  test("chunks are found by digest, and by the place in the file where they began, across volumes", () => {
    const span = known(1000, [run(VOLUME, [10, 20], 1), run(OTHER, [30, 40], 3)]);
    expect([1000, 1010, 1030].map((at) => span.beginningAt(at)?.sha256)).toEqual([digest(1), digest(2), digest(3)]);
    expect([0, 1001, 1100].map((at) => span.beginningAt(at))).toEqual([undefined, undefined, undefined]);
    expect([1, 2, 3, 4].map((n) => span.withDigest(digest(n))?.length)).toEqual([10, 20, 30, 40]);
    expect(span.withDigest(digest(4))).toMatchObject({ volume: OTHER, frame: [0, 100] });
  });

  test("a chunk that ended with the data, before a hole or at the span's end, says nothing of where it ends today", () => {
    const span = known(0, [run(VOLUME, [10, 20], 1), { zero: 70 }, run(VOLUME, [30, 40], 3)]);
    expect(span.beginningAt(0)?.sha256).toBe(digest(1));
    expect(span.beginningAt(10)).toBeUndefined();
    expect(span.beginningAt(100)?.sha256).toBe(digest(3));
    expect(span.beginningAt(130)).toBeUndefined();
    expect([2, 4].map((n) => span.withDigest(digest(n))?.length)).toEqual([20, 40]);
  });

  test("where a volume is gone, what lies in the others keeps its place", () => {
    const line = continuationLine("/srv/table", 1000, encodeExtents([run(OTHER, [10, 20], 1), run(VOLUME, [30, 40, 50], 3)]));
    expect(reusableSpan(line, () => true)).toBe(line);
    const span = new KnownSpan(reusableSpan(line, (volume) => volume === VOLUME));
    expect([1000, 1010, 1030, 1060].map((at) => span.beginningAt(at)?.sha256)).toEqual([undefined, undefined, digest(3), digest(4)]);
    expect([1, 3].map((n) => span.withDigest(digest(n))?.length)).toEqual([undefined, 30]);
  });

  test("nothing is known where there was no archive before", () => {
    expect(new KnownSpan(undefined).beginningAt(0)).toBeUndefined();
    expect(new KnownSpan(undefined).withDigest(digest(1))).toBeUndefined();
  });
});
