/** The arithmetic of the benchmark's table, and how it reads its options. */
import { describe, expect, test } from "vitest";
import { GIB, MIB } from "../../src/units.ts";
import { readOptions } from "./options.ts";
import { Rows } from "./rows.ts";
import { formatScale, neededBytes } from "./scale.ts";
import { parseStat } from "./store-cpu.ts";
import { formatRows } from "./table.ts";

const sample = (wallMs: number, storedBytes?: number) => ({ wallMs, cpuMs: wallMs, peakBytes: 100e6, storedBytes });

describe("rows", () => {
  test("hold our median against restic's and against the budget", () => {
    const rows = new Rows();
    for (const ms of [100, 900, 110]) rows.add("first archive", "coldkeep", sample(ms, 80));
    for (const ms of [330, 340, 9000]) rows.add("first archive", "restic", sample(ms, 100));
    const [row] = rows.finished();
    expect(row?.medians.coldkeep?.wallMs).toBe(110);
    expect(row?.samples.restic?.length).toBe(3);
    expect(row?.peakMet).toBe(true);
    const [speed, stored] = row?.ratios ?? [];
    expect(speed).toMatchObject({ kind: "speed", budget: 3, met: true });
    expect(speed?.value).toBeCloseTo(340 / 110);
    expect(stored).toMatchObject({ kind: "stored", value: 0.8, budget: 0.85, met: true });
  });

  test("say what was missed, also where only one round passed the memory", () => {
    const rows = new Rows();
    rows.add("large file, 1 % of pages", "coldkeep", { ...sample(100, 30), peakBytes: 401e6 });
    rows.add("large file, 1 % of pages", "coldkeep", sample(100, 30));
    rows.add("large file, 1 % of pages", "coldkeep", sample(100, 30));
    rows.add("large file, 1 % of pages", "restic", sample(400, 100));
    const table = formatRows(rows.finished());
    expect(table).toContain("401 MB (≤ 400, missed)");
    expect(table).toContain("4.00 × as fast (≥ 5, missed); 0.30 × the bytes (≤ 0.2, missed)");
  });

  test("hold the start against Node's own, and need no peer", () => {
    const rows = new Rows();
    rows.add("start-up", "coldkeep", sample(100));
    rows.add("start-up", "node -e 0", sample(40));
    rows.add("list", "coldkeep", sample(100));
    expect(rows.finished().map(({ ratios }) => ratios)).toEqual([[{ kind: "start", value: 2.5, budget: 3, met: true }], []]);
  });
});

describe("options", () => {
  test("have full and quick sizes, each of which can be set", () => {
    expect(readOptions([])).toMatchObject({ rounds: 3, files: 118_000, databaseBytes: 4 * GIB, mediaBytes: GIB, parts: ["tree", "database", "media", "startup"] });
    expect(readOptions(["--quick", "--files", "3000", "--database", "16MiB"])).toMatchObject({ rounds: 1, files: 3000, databaseBytes: 16 * MIB, mediaBytes: 200 * MIB });
    expect(readOptions(["--only", "media,startup"]).parts).toEqual(["media", "startup"]);
  });

  test("name the points of the scale, of both kinds or of one", () => {
    expect(readOptions([]).scale).toBeUndefined();
    expect(readOptions(["--scale"]).scale).toEqual({ files: [10_000, 100_000, 1_000_000], bytes: [GIB, 5 * GIB, 20 * GIB], restores: true });
    expect(readOptions(["--scale", "--scale-files", "10,20"]).scale).toEqual({ files: [10, 20], bytes: [], restores: true });
    expect(readOptions(["--scale-bytes", "1GiB,5GiB", "--no-restore"]).scale).toEqual({ files: [], bytes: [GIB, 5 * GIB], restores: false });
  });

  test("are refused when they mean nothing", () => {
    for (const wrong of [["--rounds", "0"], ["--rounds", "x"], ["--only", "trees"], ["--files", "1e3"], ["--media", "1B"], ["--scale-files", ""], ["--unknown"], ["left"]]) {
      expect(() => readOptions(wrong), wrong.join(" ")).toThrow();
    }
  });
});

test("a process's time is found behind any name", () => {
  const text = "4711 (odd) (name) S 77 4711 4711 0 -1 4194560 5 0 0 0 12 30 4 5 20 0 1 0";
  expect(parseStat(text)).toEqual({ name: "odd) (name", parent: 77, cpuMs: 420 });
  expect(parseStat("")).toBeUndefined();
});

test("a point of the scale says what it took for each file or byte, or why it was left out", () => {
  const step = { step: "first archive", wallMs: 2000, cpuMs: 3000, peakBytes: 123e6, catalogBytes: 700, stateBytes: 1024 } as const;
  const table = formatScale([
    { kind: "files", amount: 100_000, steps: [step] },
    { kind: "bytes", amount: GIB, steps: [step] },
    { kind: "bytes", amount: 20 * GIB, skipped: "no room", steps: [] },
  ]);
  expect(table).toMatch(/100,000 files +2\.00 s +20 µs a file +3\.00 s +123 MB +700 B +1\.0 KiB +first archive/);
  expect(table).toMatch(/1\.0 GiB +2\.00 s +512 MiB\/s/);
  expect(table).toMatch(/20\.0 GiB +skipped: no room/);
  expect(neededBytes({ kind: "bytes", amount: 20 * GIB })).toBeGreaterThan(60 * GIB);
});
