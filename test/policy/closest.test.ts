import fc from "fast-check";
import { expect, test } from "vitest";
import { closest, didYouMean, editDistance } from "../../src/policy/closest.ts";

test("distances of known pairs", () => {
  const cases: [string, string, number][] = [
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["endpiont", "endpoint", 1],
    ["ca", "abc", 3],
    ["same", "same", 0],
  ];
  for (const [a, b, distance] of cases) expect([a, b, editDistance(a, b)]).toEqual([a, b, distance]);
});

test("a distance is symmetric, zero for equal words alone, and bounded by the lengths", () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      const distance = editDistance(a, b);
      expect(distance).toBe(editDistance(b, a));
      expect(distance === 0).toBe(a === b);
      expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
});

test("the nearest word is offered, and none where nothing is near", () => {
  const words = ["endpoint", "aws-region", "path-style", "ca", "proxy"];
  expect(closest("endpont", words)).toBe("endpoint");
  expect(closest("PATHSTYLE", words)).toBe("path-style");
  expect(closest("region", words)).toBeUndefined();
  expect(closest("x", words)).toBeUndefined();
  expect(closest("a".repeat(100_000), words)).toBeUndefined();
  expect(didYouMean("proxi", words)).toBe(' Did you mean "proxy"?');
  expect(didYouMean("zzz", words)).toBe("");
});
