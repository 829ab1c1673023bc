import fc from "fast-check";
import { expect, test } from "vitest";
import { makeId } from "../../src/format/id.ts";
import { lowVolumes, volumesToReclaim } from "../../src/policy/reclaim.ts";

const id = (day: number, n = 0): string => makeId(1e12 + day * 86_400_000, Buffer.alloc(10, n));

test("a volume is low from the first archive on that needs less than a quarter of what it holds, until one needs more", () => {
  const content = new Map([["v", 100], ["w", 100]]);
  const first = lowVolumes(new Map([["v", 24], ["w", 25], ["x", 1]]), content, [], "a1");
  expect(first).toEqual([{ id: "v", neededBytes: 24, since: "a1" }]);
  expect(lowVolumes(new Map([["v", 3]]), content, first, "a2")).toEqual([{ id: "v", neededBytes: 3, since: "a1" }]);
  expect(lowVolumes(new Map([["v", 90]]), content, first, "a2")).toEqual([]);
  expect(lowVolumes(new Map(), content, first, "a2")).toEqual([]);
});

test("it is left once every archive that needs more of it has gone, and not before", () => {
  const low = [{ id: id(5), neededBytes: 10, since: id(20) }];
  expect(volumesToReclaim(low, [id(20), id(21)], 100)).toEqual([id(5)]);
  expect(volumesToReclaim(low, [id(2), id(20)], 100)).toEqual([id(5)]);
  expect(volumesToReclaim(low, [id(12), id(20)], 100)).toEqual([]);
  expect(volumesToReclaim(low, [id(5), id(20)], 100)).toEqual([]);
});

test("never is more stored again than a night allows, and the emptiest go first", () => {
  const volumes = fc.array(fc.nat(1000), { maxLength: 20 }).map((sizes) => sizes.map((neededBytes, n) => ({ id: id(1, n), neededBytes, since: id(9) })));
  fc.assert(
    fc.property(volumes, fc.nat(5000), (low, budget) => {
      const chosen = volumesToReclaim(low, [id(10)], budget);
      const needed = (name: string): number => low.find((volume) => volume.id === name)?.neededBytes ?? Number.NaN;
      expect(chosen.reduce((sum, name) => sum + needed(name), 0)).toBeLessThanOrEqual(budget);
      const most = Math.max(0, ...chosen.map(needed));
      for (const volume of low) if (volume.neededBytes < most) expect(chosen).toContain(volume.id);
    }),
  );
});
