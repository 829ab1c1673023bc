import { closeSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { ContentFilter } from "../../src/state/content-filter.ts";
import { ContentIndex, type ContentPlace } from "../../src/state/content-index.ts";
import { packPieces } from "../../src/state/piece-records.ts";
import { tempDir } from "../support/temp-dir.ts";

const VOLUME = "20261123t010203004z-abcdefghijklmnop";
const digest = (n: number): string => n.toString(16).padStart(8, "0").repeat(8);
const place = (n: number): ContentPlace => ({ volume: VOLUME, frame: [n * 1000, 900], offset: 512, length: n });

function withIndex<T>(dir: string, work: (index: ContentIndex) => T): T {
  const index = new ContentIndex(dir);
  try {
    return work(index);
  } finally {
    index.close();
  }
}

function fill(dir: string, count: number): void {
  withIndex(dir, (index) => {
    index.add(VOLUME, [packPieces(Array.from({ length: count }, (_, i) => [digest(i), place(i)] as const))]);
    index.noteLearnt();
  });
}

describe("ContentIndex", () => {
  test("finds what was added, also by an earlier process, and nothing else", () => {
    const dir = tempDir();
    fill(dir, 100);
    withIndex(dir, (index) => {
      expect(index.find(digest(7))).toEqual(place(7));
      expect(index.find(digest(100))).toBeUndefined();
      index.add(VOLUME, [packPieces([[digest(7), place(70)]])]);
      expect(index.find(digest(7))).toEqual(place(70));
    });
  });

  test("is learnt only once somebody said so; clearing forgets that too", () => {
    const dir = tempDir();
    withIndex(dir, (index) => {
      expect(index.isLearnt).toBe(false);
      index.add(VOLUME, [packPieces([[digest(1), place(1)]])]);
      expect(index.isLearnt).toBe(false);
      index.noteLearnt();
    });
    withIndex(dir, (index) => {
      expect(index.isLearnt).toBe(true);
      index.clear();
      expect(index.isLearnt).toBe(false);
      expect(index.find(digest(1))).toBeUndefined();
    });
  });

  test.each(["place = place || x'00'", "place = zeroblob(18)", "place = 7", "crc = 1", "volume = 2"])("a row with %s is not believed", (change) => {
    const dir = tempDir();
    fill(dir, 3);
    const database = new DatabaseSync(join(dir, "content.db"));
    database.exec(`INSERT INTO volume VALUES (2, '20261123t010203004z-ponmlkjihgfedcba'); UPDATE piece SET ${change} WHERE sha256 = x'${digest(1)}'`);
    database.close();
    withIndex(dir, (index) => expect(index.find(digest(1))).toBeUndefined());
  });

  test("a database of garbage is begun anew, and not learnt", () => {
    const dir = tempDir();
    fill(dir, 3);
    writeFileSync(join(dir, "content.db"), Buffer.alloc(20_000, 0x5a));
    withIndex(dir, (index) => {
      expect(index.isLearnt).toBe(false);
      expect(index.find(digest(1))).toBeUndefined();
      index.add(VOLUME, [packPieces([[digest(1), place(1)]])]);
      expect(index.find(digest(1))).toEqual(place(1));
    });
  });

  test("damage that shows later never throws: reading and adding go on", () => {
    for (const operation of ["find", "add", "filter"] as const) {
      const dir = tempDir();
      fill(dir, 20_000);
      const path = join(dir, "content.db");
      const fd = openSync(path, "r+");
      for (let at = 8192; at < statSync(path).size; at += 4096) writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, at);
      closeSync(fd);
      withIndex(dir, (index) => {
        if (operation === "find") for (let i = 0; i < 50; i++) index.find(digest(i * 397));
        if (operation === "filter") index.loadFilter(new ContentFilter());
        index.add(VOLUME, [packPieces([[digest(30_000), place(3)]])]);
        expect(index.find(digest(30_000))).toEqual(place(3));
      });
    }
  });

  test("a folder that cannot be written is E_DISK", () => {
    const file = join(tempDir(), "file");
    writeFileSync(file, "");
    expect(() => new ContentIndex(join(file, "below"))).toThrow(expect.objectContaining({ code: "E_DISK" }));
  });
});

describe("the saved filter", () => {
  const MANY = 20_100;
  /** Known to the saved filter alone: shows whether it was read. */
  const SAVED_ONLY = digest(999_999);

  function saveFilter(dir: string): void {
    withIndex(dir, (index) => {
      const filter = new ContentFilter();
      index.loadFilter(filter);
      index.add(VOLUME, [packPieces([[digest(MANY), place(MANY)]])]);
      filter.add(digest(MANY));
      filter.add(SAVED_ONLY);
      index.saveFilter(filter);
    });
  }

  test("is used while nothing changed since, and is as good as the table", () => {
    const dir = tempDir();
    fill(dir, MANY);
    saveFilter(dir);
    const loaded = new ContentFilter();
    withIndex(dir, (index) => index.loadFilter(loaded));
    for (let i = 0; i <= MANY; i++) if (!loaded.mayHold(digest(i))) expect.fail(`piece ${i} is not known`);
    expect(loaded.mayHold(SAVED_ONLY)).toBe(true);
    expect(loaded.mayHold(digest(1_000_000))).toBe(false);
  });

  test("is not worth its room beside a small table", () => {
    const dir = tempDir();
    fill(dir, 50);
    saveFilter(dir);
    expect(readdirSync(dir)).not.toContain("content.filter");
    const loaded = new ContentFilter();
    withIndex(dir, (index) => index.loadFilter(loaded));
    expect(loaded.mayHold(digest(MANY))).toBe(true);
    expect(loaded.mayHold(SAVED_ONLY)).toBe(false);
  });

  test.each(["stale", "damaged", "missing"])("one that is %s is made anew from the table", (kind) => {
    const dir = tempDir();
    fill(dir, MANY);
    saveFilter(dir);
    const path = join(dir, "content.filter");
    if (kind === "stale") withIndex(dir, (index) => index.add(VOLUME, [packPieces([[digest(MANY + 1), place(MANY + 1)]])]));
    if (kind === "damaged") writeFileSync(path, Buffer.alloc(statSync(path).size, 1));
    if (kind === "missing") rmSync(path);
    const loaded = new ContentFilter();
    withIndex(dir, (index) => index.loadFilter(loaded));
    expect(loaded.mayHold(digest(1))).toBe(true);
    expect(loaded.mayHold(SAVED_ONLY)).toBe(false);
    if (kind === "stale") expect(loaded.mayHold(digest(MANY + 1))).toBe(true);
    expect(readdirSync(dir)).not.toContain("content.filter.new");
  });
});

test("the filter knows every digest it was given, and hardly any other", () => {
  const filter = new ContentFilter();
  const other = new ContentFilter(filter.memory);
  for (let i = 0; i < 20_000; i++) filter.add(`${i.toString(16).padStart(8, "0")}${(i * 2654435761 >>> 0).toString(16).padStart(8, "0")}${"0".repeat(48)}`);
  let wrong = 0;
  for (let i = 0; i < 20_000; i++) {
    expect(other.mayHold(`${i.toString(16).padStart(8, "0")}${(i * 2654435761 >>> 0).toString(16).padStart(8, "0")}${"0".repeat(48)}`)).toBe(true);
    if (other.mayHold(`${(i + 1e9).toString(16).padStart(8, "0")}${(i * 40503 >>> 0).toString(16).padStart(8, "0")}${"0".repeat(48)}`)) wrong++;
  }
  expect(wrong).toBeLessThan(20);
});
