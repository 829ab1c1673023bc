/** Catalog lines: what is written is read back, and whatever else stands there is taken for what it says or refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseCatalogLine } from "../../src/format/entry-parse.ts";
import { encodeContinuation, encodeEntry, type CatalogLine, type Entry, type Extent, extentLength, isContinuation, nextChunkOffset } from "../../src/format/entry.ts";
import { pathFault } from "../../src/format/entry-path.ts";
import { makeId } from "../../src/format/id.ts";
import { accepted, damaged } from "./mutations.ts";

const VOLUME = makeId(1e12, Buffer.alloc(10, 1));
const SHA256 = "ab".repeat(32);
const base = { mode: 0o4755, uid: 0, gid: 33, user: "root", group: "www-data", mtime: "-5.000000001", ctime: "1795465239.000000000", ino: "18446744073709551615", dev: "2049", size: 0 };

const file: Entry = { ...base, path: "/etc/hosts", type: "file", size: 4096, sha256: SHA256, extents: [{ volume: VOLUME, frame: [1048577, 598123], offset: 1536, length: 4096 }], changed: true };
const lines: CatalogLine[] = [
  file,
  { ...base, path: "/empty", type: "file" },
  { ...base, path: "/big", type: "file", size: 5e9, chunking: { average: 65536, span: 16777216 } },
  { ...base, path: "/", type: "dir", xattrs: [{ name: "user.a", value: Buffer.from([0, 255, 92]) }] },
  { ...base, path: "/raw\udcff\udc80", type: "symlink", target: "../\udcfe" },
  { ...base, path: "/c", type: "char", rdev: "1:3" },
  { ...base, path: "/fifo", type: "fifo" },
  { ...base, path: "/second", type: "file", hardlink: "/etc/hosts" },
  { path: "/big", at: 16777216, extents: [{ zero: 1000 }, { volume: VOLUME, frame: [0, 9], offset: 512, chunks: [[65536, SHA256], [1, SHA256]] }] },
];
const texts = lines.map((line) => (isContinuation(line) ? encodeContinuation(line) : encodeEntry(line)));

function withoutEmpty(line: CatalogLine): unknown {
  return JSON.parse(JSON.stringify(line));
}

describe("parseCatalogLine", () => {
  test.each(texts.map((text, i) => [text, lines[i]] as const))("%s", (text, line) => {
    expect(line).toBeDefined();
    if (line !== undefined) expect(withoutEmpty(parseCatalogLine(text))).toEqual(withoutEmpty(line));
  });

  test.each(["path", "type", "mode", "uid", "gid", "mtime", "ctime", "ino", "dev", "size", "sha256", "extents"])("a file without %s is refused", (name) => {
    const fields = Object.entries(JSON.parse(texts[0] ?? "") as object).filter(([key]) => key !== name);
    expect(() => parseCatalogLine(JSON.stringify(Object.fromEntries(fields)))).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
  });

  test.each([
    { path: "/a/../b" }, { path: "a" }, { path: "/a/" }, { path: "//a" }, { path: `/${"x".repeat(256)}` }, { path: undefined, pathRaw: "/a\\0057..\\0057b" }, { path: "/\ud800" },
    { type: "socket" }, { mode: "9999" }, { mode: 420 }, { uid: -1 }, { uid: 4294967295 }, { gid: 1.5 }, { mtime: "1" }, { mtime: "1.5" }, { ino: "0x1" }, { size: -1 }, { size: 2 ** 53 },
    { sha256: "AB".repeat(32) }, { extents: [] }, { extents: [{ zero: 4096 }] }, { extents: [{ volume: "../x", frame: [0, 1], offset: 0, length: 4096 }] },
    { extents: [{ volume: VOLUME, frame: [0, 2 ** 30], offset: 0, length: 4096 }] }, { extents: [{ volume: VOLUME, frame: [0, 1], offset: 0, length: 4095 }] },
    { hardlink: "/../x" }, { xattrs: [{ name: "", value: "" }] }, { xattrs: [{ name: "a\0", value: "" }] }, { xattrs: {} },
  ])("a file with %j is refused", (fields) => {
    const line = JSON.stringify({ ...(JSON.parse(texts[0] ?? "") as object), ...fields });
    expect(() => parseCatalogLine(line)).toThrow(expect.objectContaining({ code: "E_FORMAT" }));
  });

  test("whatever is done to a line, it says something valid or is refused as malformed", () => {
    for (const text of texts) {
      fc.assert(
        fc.property(damaged(text), (hostile) => {
          const line = accepted(() => parseCatalogLine(hostile));
          if (line !== undefined) expectValid(line);
        }),
        { numRuns: 400 },
      );
    }
  });
});

function expectValid(line: CatalogLine): void {
  expect(pathFault(line.path)).toBeUndefined();
  for (const extent of line.extents ?? []) expectValidExtent(extent);
  if (isContinuation(line)) expect(Number.isSafeInteger(line.at) && line.at >= 0).toBe(true);
  else {
    if (line.hardlink !== undefined) expect(pathFault(line.hardlink)).toBeUndefined();
    expect(line.mode).toBeLessThanOrEqual(0o7777);
    expect(Number.isSafeInteger(line.size) && line.size >= 0).toBe(true);
    if (line.extents !== undefined) expect(line.extents.reduce((sum, extent) => sum + extentLength(extent), 0)).toBe(line.size);
    // What was taken can be written again, and means the same.
    const again = parseCatalogLine(encodeEntry(line));
    expect(isContinuation(again) ? "" : encodeEntry(again)).toBe(encodeEntry(line));
  }
}

function expectValidExtent(extent: Extent): void {
  expect(extentLength(extent)).toBeGreaterThanOrEqual(0);
  if ("volume" in extent) expect(extent.volume).toMatch(/^\d{8}t\d{9}z-[a-z2-7]{16}$/);
}

test("the next chunk begins behind the padding and one header", () => {
  expect([1, 512, 513].map((length) => nextChunkOffset(512, length))).toEqual([1536, 1536, 2048]);
});
