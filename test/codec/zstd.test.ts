import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compressFrame, decompressFrame, frameContentSize, frameLength, parseFrameHead, skippableFrame } from "../../src/codec/zstd.ts";

const isMalformed: unknown = expect.objectContaining({ code: "E_FORMAT" });

function zstd(args: string[], input: Uint8Array): Buffer {
  return execFileSync("zstd", args, { input, maxBuffer: 2 ** 26, stdio: ["pipe", "pipe", "ignore"] });
}

/** Bytes that compress, but not to nothing. */
function text(length: number): Buffer {
  const words = randomBytes(Math.ceil(length / 3) + 1);
  return Buffer.from(Array.from(words, (byte) => `w${byte % 97} `).join("").slice(0, length));
}

describe("frames", () => {
  test("state their content size at every size and level", () => {
    for (const length of [0, 1, 255, 256, 65_791, 65_792, 2 ** 21, 2 ** 21 + 1, 9 * 2 ** 20]) {
      const plain = text(length);
      const frame = compressFrame(plain, 3);
      expect(frameContentSize(frame.subarray(0, 18))).toBe(plain.length);
      expect(frameLength(frame)).toBe(frame.length);
      expect(decompressFrame(frame, plain.length).equals(plain)).toBe(true);
    }
    const plain = text(100_000);
    for (const level of [-7, 1, 19]) expect(decompressFrame(compressFrame(plain, level), 100_000).equals(plain)).toBe(true);
  });

  test("stay within a window of 8 MiB at the highest level", () => {
    const plain = Buffer.alloc(16 * 2 ** 20);
    const frame = compressFrame(plain, 19);
    expect(parseFrameHead(frame).windowSize).toBe(2 ** 23);
    expect(decompressFrame(frame, plain.length).equals(plain)).toBe(true);
  });

  test("go to the zstd program and come back, with a skippable frame behind them", () => {
    const parts = [text(70_000), Buffer.alloc(0), randomBytes(300_000)];
    const stream = Buffer.concat([...parts.map((part) => compressFrame(part, 3)), skippableFrame(8), skippableFrame(1000)]);
    expect(zstd(["-dc"], stream).equals(Buffer.concat(parts))).toBe(true);
    const theirs = zstd(["-19", "-c", "--check", `--stream-size=${parts[0]?.length}`], text(70_000));
    expect(decompressFrame(theirs, 70_000).length).toBe(70_000);
  });

  test("a level out of range is refused", () => {
    for (const level of [-8, 20, 2.5, Number.NaN]) {
      expect(() => compressFrame(Buffer.alloc(1), level)).toThrow(expect.objectContaining({ code: "E_CONFIG" }));
    }
  });
});

describe("hostile frames are refused", () => {
  const plain = text(50_000);
  const frame = compressFrame(plain, 3);

  test("more content than allowed, before it is made", () => {
    expect(() => decompressFrame(frame, plain.length - 1)).toThrow(isMalformed);
    const bomb = compressFrame(Buffer.alloc(2 ** 26), 1);
    expect(() => decompressFrame(bomb, 2 ** 24)).toThrow(isMalformed);
  });

  test("a stated size that is not the real one", () => {
    const head = parseFrameHead(frame);
    expect(head.headLength).toBe(7);
    for (const difference of [-1, 1, 300]) {
      const lying = Buffer.from(frame);
      lying.writeUInt16LE(lying.readUInt16LE(5) + difference, 5);
      expect(frameContentSize(lying)).toBe(plain.length + difference);
      expect(() => decompressFrame(lying, 100_000)).toThrow(isMalformed);
    }
  });

  test("no stated size, a dictionary, a reserved bit, a skippable frame, another magic number", () => {
    const unstated = zstd(["-c", "--no-content-size"], plain);
    expect(() => frameContentSize(unstated)).toThrow(isMalformed);
    for (const bit of [0x01, 0x08]) {
      const odd = Buffer.from(frame);
      odd[4] = (odd[4] ?? 0) | bit;
      expect(() => decompressFrame(odd, 100_000)).toThrow(isMalformed);
    }
    expect(() => decompressFrame(skippableFrame(100), 100_000)).toThrow(isMalformed);
    expect(() => decompressFrame(Buffer.concat([Buffer.of(0), frame]), 100_000)).toThrow(isMalformed);
  });

  test("two frames, bytes behind, a frame cut anywhere", () => {
    for (const tail of [frame, skippableFrame(8), Buffer.of(0)]) {
      expect(frameLength(Buffer.concat([frame, tail]))).toBe(frame.length);
      expect(() => decompressFrame(Buffer.concat([frame, tail]), 200_000)).toThrow(isMalformed);
    }
    fc.assert(
      fc.property(fc.nat({ max: frame.length - 1 }), (length) => {
        expect(() => decompressFrame(frame.subarray(0, length), 100_000)).toThrow(isMalformed);
      }),
    );
  });

  test("a window over 8 MiB", () => {
    const wide = zstdCompressSync(Buffer.alloc(2 ** 25), {
      pledgedSrcSize: 2 ** 25,
      params: { [constants.ZSTD_c_windowLog]: 24, [constants.ZSTD_c_compressionLevel]: 1 },
    });
    expect(frameContentSize(wide)).toBe(2 ** 25);
    expect(() => decompressFrame(wide, 2 ** 26)).toThrow(/window/);
  });

  test("changed bytes fail as malformed or give as many bytes as stated", () => {
    const small = compressFrame(text(300), 3);
    fc.assert(
      fc.property(fc.nat({ max: small.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
        const changed = Buffer.from(small);
        changed[at] = byte;
        try {
          expect(decompressFrame(changed, 2 ** 16).length).toBe(frameContentSize(changed));
        } catch (error) {
          expect(error).toEqual(isMalformed);
        }
      }),
      { numRuns: 500 },
    );
  });
});

test("a skippable frame has at least 8 bytes", () => {
  expect(skippableFrame(12).toString("hex")).toBe("502a4d180400000000000000");
  expect(() => skippableFrame(7)).toThrow(/no skippable frame/);
});
