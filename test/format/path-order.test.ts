import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesFromText, textFromBytes } from "../../src/format/byte-text.ts";
import { compareNames, comparePaths, sortNames } from "../../src/format/path-order.ts";

/** The definition, slowly: `/` becomes 0, which no path holds. */
const slashLowest = (path: string): Buffer => Buffer.from(bytesFromText(path).map((byte) => (byte === 0x2f ? 0 : byte)));

/** Short names over few characters, so that prefixes and neighbours meet often. */
const name = fc
  .array(fc.constantFrom("61", "62", "2d", "2e", "21", "c3a9", "ff", "c3", "f09f9880", "ee8080", "efbfbd", "ed9fbf"), { minLength: 1, maxLength: 5 })
  .map((parts) => textFromBytes(Buffer.from(parts.join(""), "hex")));
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join("/")}`);

describe("path order", () => {
  test("is byte order with the slash lowest", () => {
    fc.assert(
      fc.property(path, path, (a, b) => {
        expect(Math.sign(comparePaths(a, b))).toBe(Math.sign(Buffer.compare(slashLowest(a), slashLowest(b))));
      }),
      { numRuns: 5000 },
    );
  });

  test("names sort by bytes, with and without surrogates", () => {
    fc.assert(
      fc.property(fc.array(name), (names) => {
        const expected = names.map((text) => bytesFromText(text)).sort((a, b) => Buffer.compare(a, b)).map(textFromBytes);
        expect(sortNames([...names])).toEqual(expected);
        expect([...names].sort(compareNames)).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("children come before a sibling whose name goes on with a byte below the slash", () => {
    expect(["/a-b", "/a/x", "/a", "/", "/a!"].sort(comparePaths)).toEqual(["/", "/a", "/a/x", "/a!", "/a-b"]);
  });
});
