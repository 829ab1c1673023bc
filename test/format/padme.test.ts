import fc from "fast-check";
import { expect, test } from "vitest";
import { paddingFor, padmeLength } from "../../src/format/padme.ts";

const lengths = fc.oneof(fc.nat({ max: 5000 }), fc.nat(), fc.maxSafeNat().map((n) => n % 2 ** 51), fc.integer({ min: 2, max: 50 }).map((e) => 2 ** e - 1));

test("lengths of the paper's scheme: as many low bits are zero as the mantissa leaves", () => {
  expect([0, 1, 2, 7, 8, 9, 33, 65, 100, 129, 1000, 1025, 2 ** 20 + 1, 2 ** 52 - 1].map(padmeLength)).toEqual([
    0, 1, 2, 7, 8, 10, 36, 72, 104, 144, 1024, 1088, 2 ** 20 + 2 ** 15, 2 ** 52,
  ]);
});

test("never shorter, at most 12 % longer, monotone, idempotent", () => {
  fc.assert(
    fc.property(lengths, lengths, (a, b) => {
      const padded = padmeLength(a);
      expect(padded).toBeGreaterThanOrEqual(a);
      expect(padded - a).toBeLessThanOrEqual(a * 0.12);
      expect(padmeLength(padded)).toBe(padded);
      expect(Math.sign(padmeLength(Math.max(a, b)) - padmeLength(Math.min(a, b)))).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 2000 },
  );
});

test("padding reaches a Padmé length by nothing or by a possible frame", () => {
  fc.assert(
    fc.property(lengths, (length) => {
      const padding = paddingFor(length);
      expect(padmeLength(length + padding)).toBe(length + padding);
      expect(padding === 0 || padding >= 8).toBe(true);
      expect(padding === 0).toBe(padmeLength(length) === length);
      if (length > 10_000) expect(padding).toBeLessThanOrEqual(length * 0.12);
    }),
    { numRuns: 2000 },
  );
});

test("what is no length is refused", () => {
  for (const wrong of [-1, 1.5, Number.NaN, 2 ** 53]) expect(() => padmeLength(wrong)).toThrow(RangeError);
});
