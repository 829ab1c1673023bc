import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { makeId } from "../../src/format/id.ts";
import { HeadCache, type ListedHead } from "../../src/state/head-cache.ts";
import { tempDir } from "../support/temp-dir.ts";

const LISTED: ListedHead = { location: "s3://north/vault", key: "hosts/a/archives/1.manifest", sizeBytes: 900, modifiedMs: 1_700_000_000_123.7 };
const HEAD = Buffer.from("header\nsignature\n");

function keep(dir: string, listed = LISTED): void {
  using cache = new HeadCache(dir);
  cache.note(listed, HEAD);
  cache.save();
}

function find(dir: string, listed = LISTED): string | undefined {
  using cache = new HeadCache(dir);
  return cache.find(listed)?.toString();
}

test("a head is found while the region lists its object as it did, and in that region only", () => {
  const dir = tempDir();
  keep(dir);
  expect(find(dir)).toBe(HEAD.toString());
  for (const change of [{ location: "s3://south/vault" }, { key: "hosts/a/archives/2.manifest" }, { sizeBytes: 901 }, { modifiedMs: LISTED.modifiedMs + 1 }]) {
    expect(find(dir, { ...LISTED, ...change }), JSON.stringify(change)).toBeUndefined();
  }
});

test("of more heads than are kept those of the oldest archives go, whichever host's they are", () => {
  const dir = tempDir();
  const key = (host: string, n: number): string => `hosts/${host}/archives/${makeId(n * 1000, Buffer.alloc(10))}.manifest`;
  {
    using cache = new HeadCache(dir, 4);
    for (const n of [2, 0, 1]) for (const host of ["a", "z"]) cache.note({ ...LISTED, key: key(host, n) }, HEAD);
    cache.save();
  }
  for (const host of ["a", "z"]) {
    expect(find(dir, { ...LISTED, key: key(host, 0) }), host).toBeUndefined();
    expect(find(dir, { ...LISTED, key: key(host, 1) }), host).toBe(HEAD.toString());
  }
});

test("a damaged row, a damaged file and a folder that cannot be made cost a question, no more", () => {
  const dir = tempDir();
  keep(dir);
  const database = new DatabaseSync(join(dir, "heads.db"));
  database.exec("UPDATE head SET bytes = x'00'");
  database.close();
  expect(find(dir)).toBeUndefined();
  keep(dir);
  expect(find(dir)).toBe(HEAD.toString());
  for (const ending of ["-wal", "-shm"]) rmSync(join(dir, `heads.db${ending}`), { force: true });
  writeFileSync(join(dir, "heads.db"), Buffer.alloc(8192, 7));
  expect(find(dir)).toBeUndefined();
  const below = join(dir, "heads.db", "below");
  keep(below);
  expect(find(below)).toBeUndefined();
});
