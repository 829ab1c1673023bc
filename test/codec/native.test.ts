import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type AeadEngine, compressBound, nodeAead, nodeZstd, openNativeAead, openNativeZstd, type ZstdEngine } from "../../src/codec/native.ts";

function present<T>(engine: T | null): T {
  if (engine === null) throw new Error("this Node lacks node:ffi or the functions behind it");
  return engine;
}

const zstdEngines: [string, ZstdEngine][] = [["native", present(openNativeZstd())], ["Node's interface", nodeZstd]];
const aeadEngines: [string, AeadEngine][] = [["native", present(openNativeAead())], ["Node's interface", nodeAead]];
const pairs = <T>(engines: [string, T][]): [string, string, T, T][] => engines.flatMap(([a, one]) => engines.map(([b, other]): [string, string, T, T] => [a, b, one, other]));

describe.each(pairs(zstdEngines))("zstd made by %s, opened by %s", (_a, _b, maker, opener) => {
  const text = Buffer.from("coldkeep ".repeat(60_000));

  test.each([["nothing", Buffer.alloc(0)], ["text", text], ["noise", randomBytes(3_000_000)]])("%s comes back", (_name, content) => {
    for (const level of [-7, 3, 19]) {
      const target = Buffer.alloc(compressBound(content.length));
      const frame = target.subarray(0, maker.compress(content, level, target));
      const back = Buffer.alloc(content.length);
      expect(opener.decompress(frame, back)).toBe(content.length);
      expect(back.equals(content)).toBe(true);
    }
  });

  test("what is damaged, cut short or too long for its target fails", () => {
    const target = Buffer.alloc(compressBound(text.length));
    const frame = Buffer.from(target.subarray(0, maker.compress(text, 3, target)));
    const back = Buffer.alloc(text.length);
    expect(opener.decompress(frame.subarray(0, frame.length - 1), back)).toBe(-1);
    expect(opener.decompress(frame, back.subarray(1))).toBe(-1);
    expect(opener.decompress(Buffer.concat([frame.subarray(0, 10), randomBytes(frame.length)]), back)).toBe(-1);
    expect(opener.decompress(frame, back)).toBe(text.length);
  });
});

describe.each(pairs(aeadEngines))("ChaCha20-Poly1305 sealed by %s, opened by %s", (_a, _b, sealer, opener) => {
  const key = randomBytes(32);
  const nonce = randomBytes(12);

  test.each([0, 1, 16, 65_535, 65_536])("%i bytes come back", (length) => {
    const plain = randomBytes(length);
    const sealed = Buffer.alloc(length + 16);
    sealer.seal(key, nonce, plain, sealed);
    const back = Buffer.alloc(length);
    expect(opener.open(key, nonce, sealed, back)).toBe(true);
    expect(back.equals(plain)).toBe(true);
    for (const at of [0, length >> 1, length + 15]) {
      const wrong = Buffer.from(sealed);
      wrong.writeUInt8(wrong.readUInt8(at) ^ 1, at);
      expect(opener.open(key, nonce, wrong, back)).toBe(false);
    }
    expect(opener.open(randomBytes(32), nonce, sealed, back)).toBe(false);
    expect(opener.open(key, randomBytes(12), sealed, back)).toBe(false);
    expect(opener.open(key, nonce, sealed, back)).toBe(true);
  });
});
