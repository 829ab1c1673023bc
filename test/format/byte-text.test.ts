import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesFromText, escapeRaw, hasRawBytes, textFromBytes, unescapeRaw } from "../../src/format/byte-text.ts";

/** Bytes that are often nearly UTF-8: pieces of valid text, cut anywhere, between arbitrary bytes. */
const nearlyUtf8 = fc
  .array(fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.string({ unit: "binary", maxLength: 4 }).map((text) => Buffer.from(text))), { maxLength: 12 })
  .chain((parts) => fc.nat({ max: 3 }).map((cut) => Buffer.concat(parts).subarray(cut)));

describe("byte text", () => {
  test("any bytes survive the round trip", () => {
    fc.assert(
      fc.property(nearlyUtf8, (bytes) => {
        expect(bytesFromText(textFromBytes(bytes))).toEqual(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test("valid UTF-8 is decoded as UTF-8 and the rest is marked", () => {
    fc.assert(
      fc.property(nearlyUtf8, (bytes) => {
        const text = textFromBytes(bytes);
        const decoded = bytes.toString("utf8");
        expect(hasRawBytes(text)).toBe(!Buffer.from(decoded).equals(bytes));
        if (!hasRawBytes(text)) expect(text).toBe(decoded);
      }),
    );
  });

  /** The texts are what Python's `surrogateescape` gives for the bytes. */
  test.each([
    ["ff", "\u{dcff}"],
    ["c3", "\u{dcc3}"],
    ["c3a9", "\u{e9}"],
    ["c0af", "\u{dcc0}\u{dcaf}"],
    ["e08080", "\u{dce0}\u{dc80}\u{dc80}"],
    ["eda080", "\u{dced}\u{dca0}\u{dc80}"],
    ["edbfbf", "\u{dced}\u{dcbf}\u{dcbf}"],
    ["f4908080", "\u{dcf4}\u{dc90}\u{dc80}\u{dc80}"],
    ["f09f9880", "\u{1f600}"],
    ["f09f98", "\u{dcf0}\u{dc9f}\u{dc98}"],
    ["61e2828062", "a\u{2080}b"],
    ["80c3a9bf", "\u{dc80}\u{e9}\u{dcbf}"],
    ["f0808080", "\u{dcf0}\u{dc80}\u{dc80}\u{dc80}"],
    ["efbfbd", "\u{fffd}"],
    ["efbbbf", "\u{feff}"],
  ])("bytes %s", (hex, text) => {
    expect(textFromBytes(Buffer.from(hex, "hex"))).toBe(text);
  });

  test("a lone surrogate that stands for no byte is refused", () => {
    for (const text of ["\ud800", "a\udc7f", "\udd00b", "\udc2f"]) expect(() => bytesFromText(text)).toThrow(/lone surrogate/);
  });
});

describe("octal escapes", () => {
  test("round trip, in printable ASCII", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = escapeRaw(bytes);
        expect(text).toMatch(/^[\x20-\x7e]*$/);
        expect(unescapeRaw(text)).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test("printf %b of a shell turns them back", () => {
    const bytes = Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1).concat([0x31, 0x5c, 0x30, 0x31, 0x0a]));
    const printed = execFileSync("sh", ["-c", 'printf %b "$1"', "sh", escapeRaw(bytes)]);
    expect(printed).toEqual(bytes);
  });

  test("a value as long as an xattr may be", () => {
    const bytes = Buffer.alloc(65_536, 0xfe);
    expect(unescapeRaw(escapeRaw(bytes))).toEqual(bytes);
  });

  test("anything else is refused", () => {
    for (const text of ["\\", "\\n", "\\01", "\\0400", "\\0128", "é", "a\nb", "\\x41", "\\\\01010101"]) expect(() => unescapeRaw(text)).toThrow(/malformed/);
  });
});
