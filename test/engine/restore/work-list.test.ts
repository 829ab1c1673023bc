import { existsSync, readdirSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readList, streamList, streamListBackwards, WorkLists } from "../../../src/engine/restore/work-list.ts";
import { tempDir } from "../../support/temp-dir.ts";

const LINE = "a\u2028b\u2029c\rd\u0085e \u{1f5dd}";

function listOf(lines: readonly string[]): string {
  const dir = tempDir();
  const lists = new WorkLists(dir);
  for (const line of lines) lists.add("list", line);
  lists.flush();
  return dir;
}

test("lines end in line feeds only: names may hold every other separator", () => {
  const dir = listOf([LINE, "second"]);
  expect([...streamList(dir, "list")]).toEqual([LINE, "second"]);
  expect([...streamListBackwards(dir, "list")]).toEqual(["second", LINE]);
  expect(readList(dir, "list")).toEqual([LINE, "second"]);
});

test("a list nobody put anything on is empty", () => {
  const dir = tempDir();
  expect([...streamList(dir, "none")]).toEqual([]);
  expect([...streamListBackwards(dir, "none")]).toEqual([]);
  expect(readList(dir, "none")).toEqual([]);
});

test("both ways the same lines, wherever blocks end", () => {
  // Lengths around the 1 MiB a list is read by, less the line feed.
  const length = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1_048_574, 1_048_575, 1_048_576, 1_048_577, 2_097_151));
  fc.assert(
    fc.property(fc.array(length, { minLength: 1, maxLength: 8 }), (lengths) => {
      const lines = lengths.map((size, i) => String.fromCharCode(97 + i).repeat(size));
      const dir = listOf(lines);
      expect([...streamList(dir, "list")]).toEqual(lines);
      expect([...streamListBackwards(dir, "list")]).toEqual(lines.toReversed());
    }),
    { numRuns: 20 },
  );
});

test("what is held is written before it fills the memory", () => {
  const dir = tempDir();
  const lists = new WorkLists(dir);
  for (let i = 0; i < 40; i++) lists.add(`list${i % 2}`, "x".repeat(1_000_000));
  expect(readdirSync(dir).toSorted()).toEqual(["list0", "list1"]);
  lists.flush();
  expect([...streamList(dir, "list1")].length).toBe(20);
  expect(existsSync(`${dir}/list2`)).toBe(false);
});
