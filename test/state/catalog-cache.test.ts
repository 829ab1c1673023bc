import { existsSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sha256Hex } from "../../src/codec/digest.ts";
import { compressFrame } from "../../src/codec/zstd.ts";
import { CatalogCache } from "../../src/state/catalog-cache.ts";
import { tempDir } from "../support/temp-dir.ts";

const text = Buffer.from("a line\n".repeat(500));
const sha256 = sha256Hex(text);

function filled(): CatalogCache {
  const cache = new CatalogCache(join(tempDir(), "catalog"));
  cache.keep(sha256, compressFrame(text, 3));
  return cache;
}

test("gives back what it keeps, and drops what is not needed", () => {
  const cache = filled();
  expect(cache.frame(sha256)).toBeDefined();
  expect(cache.text(sha256, text.length)?.equals(text)).toBe(true);
  expect(cache.text("0".repeat(64), 5)).toBeUndefined();
  writeFileSync(join(cache.directory, `${"1".repeat(64)}.zst.new`), "half");
  cache.retain(new Set([sha256]));
  expect(readdirSync(cache.directory)).toEqual([`${sha256}.zst`]);
  cache.retain(new Set());
  expect(readdirSync(cache.directory)).toEqual([]);
});

test.each([
  ["cut short", (path: string) => truncateSync(path, 10)],
  ["empty", (path: string) => truncateSync(path, 0)],
  ["garbage", (path: string) => writeFileSync(path, "garbage")],
  ["another text", (path: string) => writeFileSync(path, compressFrame(Buffer.from("another"), 3))],
  ["far larger than said", (path: string) => writeFileSync(path, compressFrame(Buffer.alloc(50_000_000), 3))],
])("a segment that is %s is removed and not given out", (_, damage) => {
  const cache = filled();
  const path = join(cache.directory, `${sha256}.zst`);
  damage(path);
  expect(cache.text(sha256, text.length)).toBeUndefined();
  expect(existsSync(path)).toBe(false);
  cache.keep(sha256, compressFrame(text, 3));
  expect(cache.text(sha256, text.length)?.equals(text)).toBe(true);
});

test("a folder that cannot be made is E_DISK", () => {
  const file = join(tempDir(), "file");
  writeFileSync(file, "");
  expect(() => new CatalogCache(join(file, "catalog"))).toThrow(expect.objectContaining({ code: "E_DISK" }));
});
