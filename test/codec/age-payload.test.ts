import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CHUNK_BYTES,
  chunkSpan,
  ciphertextLength,
  openChunks,
  openWhole,
  PayloadSealer,
  plaintextLength,
  SEALED_CHUNK_BYTES,
} from "../../src/codec/age-payload.ts";
import { sha256Hex } from "../../src/codec/digest.ts";

const key = randomBytes(32);
const isDamaged: unknown = expect.objectContaining({ code: "E_OBJECT" });

/** Seals in pieces cut at `cuts`; returns the payload. */
function seal(plain: Buffer, cuts: readonly number[] = []): Buffer {
  const target = Buffer.alloc(ciphertextLength(plain.length));
  const sealer = new PayloadSealer(Buffer.alloc(0), key, target);
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    sealer.push(plain.subarray(from, cut));
    from = Math.max(from, cut);
  }
  sealer.push(plain.subarray(from));
  expect(sealer.finish()).toEqual({ length: target.length, sha256: sha256Hex(target) });
  expect(sealer.end).toBe(target.length);
  return target;
}

const lengths = fc.oneof(
  fc.constantFrom(0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES - 1, 3 * CHUNK_BYTES),
  fc.nat({ max: 4 * CHUNK_BYTES }),
);

describe("sealing and opening", () => {
  test("give back the bytes, however they were cut into pieces", () => {
    fc.assert(
      fc.property(lengths, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 5 }), (length, shares) => {
        const plain = randomBytes(length);
        const cuts = shares.map((share) => Math.round(share * length));
        const payload = seal(plain, cuts);
        expect(payload.equals(seal(plain))).toBe(true);
        expect(plaintextLength(payload.length)).toBe(length);
        expect(openWhole(payload, key).equals(plain)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("a drained object is the same object", () => {
    const plain = randomBytes(5 * CHUNK_BYTES + 9);
    const head = Buffer.from("head");
    const sealer = new PayloadSealer(head, key, Buffer.alloc(head.length + 2 * SEALED_CHUNK_BYTES));
    const parts: Buffer[] = [];
    for (let at = 0; at < plain.length; at += 50_000) {
      sealer.push(plain.subarray(at, at + 50_000));
      parts.push(Buffer.from(sealer.drain()));
    }
    const { length, sha256 } = sealer.finish();
    parts.push(Buffer.from(sealer.drain()));
    const whole = Buffer.concat(parts);
    expect(whole.equals(Buffer.concat([head, seal(plain)]))).toBe(true);
    expect({ length, sha256 }).toEqual({ length: whole.length, sha256: sha256Hex(whole) });
  });

  test("a target without room, and bytes after the end, are refused", () => {
    const sealer = new PayloadSealer(Buffer.alloc(3), key, Buffer.alloc(3 + SEALED_CHUNK_BYTES));
    expect(() => sealer.push(Buffer.alloc(2 * CHUNK_BYTES + 1))).toThrow(/buffer/);
    sealer.push(Buffer.alloc(10));
    sealer.finish();
    expect(() => sealer.push(Buffer.alloc(1))).toThrow(/after its last chunk/);
  });
});

describe("damage is detected", () => {
  const plain = randomBytes(2 * CHUNK_BYTES + 1000);
  const payload = seal(plain);
  const chunk = (index: number): Buffer => payload.subarray(index * SEALED_CHUNK_BYTES, (index + 1) * SEALED_CHUNK_BYTES);

  test("any flipped bit", () => {
    fc.assert(
      fc.property(fc.nat({ max: payload.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
        const damaged = Buffer.from(payload);
        damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
        expect(() => openWhole(damaged, key)).toThrow(isDamaged);
      }),
    );
  });

  test.each([
    ["nothing left", Buffer.alloc(0)],
    ["cut within a chunk", payload.subarray(0, payload.length - 1)],
    ["cut between chunks", payload.subarray(0, 2 * SEALED_CHUNK_BYTES)],
    ["cut to less than a tag", payload.subarray(0, 2 * SEALED_CHUNK_BYTES + 15)],
    ["a byte more", Buffer.concat([payload, Buffer.of(0)])],
    ["the last chunk twice", Buffer.concat([payload, chunk(2)])],
    ["chunks exchanged", Buffer.concat([chunk(1), chunk(0), chunk(2)])],
    ["a chunk left out", Buffer.concat([chunk(0), chunk(2)])],
    ["another payload's chunk", Buffer.concat([chunk(0), randomBytes(SEALED_CHUNK_BYTES), chunk(2)])],
  ])("%s", (_what, damaged) => {
    expect(() => openWhole(damaged, key)).toThrow(isDamaged);
  });

  test("an empty last chunk after others, even when truly sealed", () => {
    const full = seal(randomBytes(CHUNK_BYTES));
    expect(() => plaintextLength(full.length + 16)).toThrow(isDamaged);
    expect(() => openWhole(Buffer.concat([full, Buffer.alloc(16)]), key)).toThrow(isDamaged);
  });
});

describe("ranges", () => {
  test("equal the slice of the whole", () => {
    fc.assert(
      fc.property(lengths, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (total, a, b) => {
        fc.pre(total > 0);
        const plain = randomBytes(total);
        const payload = seal(plain);
        const offset = Math.min(Math.floor(a * total), total - 1);
        const length = 1 + Math.floor(b * (total - offset - 1));
        const span = chunkSpan(offset, length, total);
        const opened = openChunks(payload.subarray(span.cipherOffset, span.cipherOffset + span.cipherLength), key, span.firstChunk, total);
        expect(opened.subarray(span.skip, span.skip + length).equals(plain.subarray(offset, offset + length))).toBe(true);
        expect(span.cipherLength).toBeLessThanOrEqual((Math.ceil(length / CHUNK_BYTES) + 1) * SEALED_CHUNK_BYTES);
      }),
      { numRuns: 60 },
    );
  });

  test("with a wrong place, length or total are refused", () => {
    const total = 3 * CHUNK_BYTES;
    const payload = seal(randomBytes(total));
    const second = payload.subarray(SEALED_CHUNK_BYTES, 2 * SEALED_CHUNK_BYTES);
    expect(openChunks(second, key, 1, total).length).toBe(CHUNK_BYTES);
    expect(() => openChunks(second, key, 0, total)).toThrow(isDamaged);
    expect(() => openChunks(second, key, 3, total)).toThrow(isDamaged);
    expect(() => openChunks(second, key, 1, 2 * CHUNK_BYTES)).toThrow(isDamaged);
    expect(() => openChunks(second.subarray(1), key, 1, total)).toThrow(isDamaged);
    expect(() => openChunks(Buffer.alloc(0), key, 1, total)).toThrow(isDamaged);
    expect(() => chunkSpan(total - 1, 2, total)).toThrow(isDamaged);
    expect(() => chunkSpan(0, 0, total)).toThrow(isDamaged);
  });
});
