/** What is found by comparing text must be what parsing finds. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeContinuation, encodeEntry, encodeHead, encodeTail, type Entry } from "../../src/format/entry.ts";
import { parseCatalogLine } from "../../src/format/entry-parse.ts";
import { isContinuationText, keptContent, plainPath } from "../../src/format/kept-line.ts";
import { makeId } from "../../src/format/id.ts";

const VOLUME = makeId(1e12, Buffer.alloc(10, 1));
const SHA256 = "ab".repeat(32);

const name = fc.oneof(fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }), fc.constantFrom('a","at":1', 'q"', "back\\", 'x\\","at":', "raw\udcff", '],"sha256":"', "\u2028"));
const path = name.map((text) => `/${text.replaceAll("/", "").replaceAll("\0", "") || "x"}`).filter((text) => text !== "/." && text !== "/..");
const xattrs = fc.option(fc.array(fc.record({ name: fc.constantFrom("user.a", "security.selinux"), value: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)) }), { minLength: 1, maxLength: 2 }), { nil: undefined });
const entries = fc.record({
  path,
  type: fc.constantFrom("file", "dir"),
  mode: fc.constantFrom(0o644, 0o4755),
  uid: fc.constantFrom(0, 1000),
  gid: fc.constantFrom(0, 33),
  user: fc.constantFrom(undefined, "root", 'o"dd'),
  group: fc.constantFrom(undefined, "www-data"),
  mtime: fc.constantFrom("1.000000001", "-5.500000000"),
  ctime: fc.constantFrom("1795465239.000000000", "1.000000000"),
  ino: fc.constantFrom("1", "18446744073709551615"),
  dev: fc.constantFrom("2049", "0"),
  size: fc.constantFrom(0, 1, 12, 123),
  xattrs,
  changed: fc.constantFrom(undefined, true as const),
});

function withContent(e: Entry): Entry {
  if (e.type === "dir") return { ...e, size: 0, changed: undefined };
  return e.size === 0 ? e : { ...e, sha256: SHA256, extents: [{ volume: VOLUME, frame: [0, 99], offset: 512, length: e.size }] };
}

const same = (a: Entry, b: Entry): boolean =>
  a.path === b.path && a.type === b.type && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.user === b.user && a.group === b.group && a.mtime === b.mtime && a.ctime === b.ctime && a.ino === b.ino && a.size === b.size;

test("a line is kept only where every field a walk knows is the same, whatever its device", () => {
  fc.assert(
    fc.property(entries.map(withContent), entries.map(withContent), fc.boolean(), (stored, other, isSame) => {
      const now = isSame ? { ...stored, dev: other.dev } : other;
      const kept = keptContent(encodeEntry(stored), encodeHead(now.path, now, now), encodeTail(now.type, now.size));
      if (!same(stored, now)) expect(kept).toBeUndefined();
      else if (stored.changed) expect(kept).toBeUndefined();
      else if (stored.extents !== undefined) expect(kept).toBe(VOLUME);
      else if (stored.xattrs === undefined) expect(kept).toBeNull();
    }),
    { numRuns: 3000 },
  );
});

test("links, devices and files in chunks are left to the parser", () => {
  const base: Entry = { path: "/a", type: "file", mode: 0o644, uid: 0, gid: 0, mtime: "1.000000001", ctime: "1.000000001", ino: "1", dev: "1", size: 5 };
  for (const stored of [{ ...base, hardlink: "/0" }, { ...base, chunking: { average: 65536, span: 16777216 } }]) {
    expect(keptContent(encodeEntry(stored), encodeHead("/a", base, base), encodeTail("file", 5))).toBeUndefined();
  }
});

test("paths and continuation lines are told from the text as from the parsed line", () => {
  fc.assert(
    fc.property(entries.map(withContent), fc.integer({ min: 0, max: 1e12 }), (e, at) => {
      const line = encodeEntry(e);
      const continuation = encodeContinuation({ path: e.path, at, extents: [{ zero: 1 }] });
      expect([isContinuationText(line), isContinuationText(continuation)]).toEqual([false, true]);
      for (const text of [line, continuation]) expect([undefined, parseCatalogLine(text).path]).toContain(plainPath(text));
    }),
    { numRuns: 2000 },
  );
  expect(plainPath(encodeContinuation({ path: "/plain/ä", at: 0, extents: [] }))).toBe("/plain/ä");
});
