import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutPoints, MIN_AVERAGE_BYTES } from "../../../src/codec/chunker.ts";
import { sha256Hex } from "../../../src/codec/digest.ts";
import { KnownSpan } from "../../../src/engine/backup/known-span.ts";
import { chunksOf } from "../../../src/engine/backup/span-chunks.ts";
import { continuationLine, encodeExtents } from "../../../src/format/entry.ts";
import { makeId } from "../../../src/format/id.ts";

const AVERAGE = MIN_AVERAGE_BYTES;
const AT = 1_000_000;
const VOLUME = makeId(1e12, Buffer.alloc(10, 1));

/** Bytes that look random and are the same for the same seed. */
function bytesOf(seed: number, length: number): Buffer {
  let state = seed | 1;
  return Buffer.from(Uint8Array.from({ length }, () => ((state = Math.imul(state, 1_664_525) + 1_013_904_223) >>> 24)));
}

/** What an archive of these bytes says of the span. */
function archived(bytes: Buffer): KnownSpan {
  let start = 0;
  const chunks = cutPoints(bytes, 0, bytes.length, AVERAGE).map((end): [number, string] => {
    const chunk = bytes.subarray(start, end);
    start = end;
    return [chunk.length, sha256Hex(chunk)];
  });
  return new KnownSpan(chunks.length === 0 ? undefined : continuationLine("/srv/table", AT, encodeExtents([{ volume: VOLUME, frame: [0, 100], offset: 512, chunks }])));
}

const edit = fc.record({ what: fc.constantFrom("overwrite", "insert", "remove", "append", "cut"), at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.integer({ min: 1, max: 9000 }), seed: fc.nat() });

function edited(bytes: Buffer, { what, at, length, seed }: typeof edit extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const place = Math.floor(at * bytes.length);
  const added = bytesOf(seed, length);
  switch (what) {
    case "overwrite":
      return Buffer.concat([bytes.subarray(0, place), added, bytes.subarray(place + length)]);
    case "insert":
      return Buffer.concat([bytes.subarray(0, place), added, bytes.subarray(place)]);
    case "remove":
      return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + length)]);
    case "append":
      return Buffer.concat([bytes, added]);
    case "cut":
      return bytes.subarray(0, place);
  }
}

/** Ends of the chunks of a span that comes in parts, as a packer reads it. */
function endsInParts(bytes: Buffer, known: KnownSpan, partBytes: number): number[] {
  const ends: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const part = bytes.subarray(at, at + partBytes);
    for (const chunk of chunksOf(part, AT + at, AVERAGE, at + part.length < bytes.length, known)) {
      expect(chunk.sha256).toBe(sha256Hex(chunk.bytes));
      at += chunk.bytes.length;
      ends.push(at);
    }
  }
  return ends;
}

describe("chunks of a span that an archive holds in an earlier form", () => {
  test("are cut where they would be cut without one, whatever became of the bytes", () => {
    const cases = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 120_000 }), fc.array(edit, { maxLength: 4 }));
    fc.assert(
      fc.property(cases, ([seed, length, edits]) => {
        const before = bytesOf(seed, length);
        const after = edits.reduce(edited, before);
        const wanted = cutPoints(after, 0, after.length, AVERAGE);
        expect(endsInParts(after, archived(before), Number.MAX_SAFE_INTEGER)).toEqual(wanted);
        expect(endsInParts(after, archived(before), 40_000)).toEqual(wanted);
      }),
    );
  });

  test("are named as the archive has them", () => {
    const bytes = bytesOf(7, 100_000);
    const changed = edited(bytes, { what: "overwrite", at: 0.5, length: 10, seed: 1 });
    const fresh = chunksOf(changed, AT, AVERAGE, false, archived(bytes)).filter(({ previous }) => previous === undefined);
    expect(fresh.length).toBeGreaterThan(0);
    expect(fresh.length).toBeLessThan(4);
    expect(fresh.some(({ bytes: { byteOffset, length } }) => byteOffset - changed.byteOffset <= 50_000 && byteOffset - changed.byteOffset + length > 50_000)).toBe(true);
  });
});
