/** A catalog against its manifest: what a writer's mistake, or a hostile writer, would leave behind. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { sha256Hex } from "../../../src/codec/digest.ts";
import { compressFrame } from "../../../src/codec/zstd.ts";
import type { SegmentReference } from "../../../src/format/catalog-root.ts";
import { encodeContinuation, encodeEntry, type CatalogLine, type Entry } from "../../../src/format/entry.ts";
import { CatalogScan } from "../../../src/engine/verify/catalog-scan.ts";
import type { ScanRequest } from "../../../src/engine/verify/messages.ts";
import { PieceList, PieceListWriter, pieceListPath } from "../../../src/engine/verify/piece-list.ts";
import { CatalogCache } from "../../../src/state/catalog-cache.ts";
import { tempDir } from "../../support/temp-dir.ts";

const [V1, V2, C1] = ["20261123t200732452z-55eocfdyhyud4cy3", "20261123t200732453z-55eocfdyhyud4cy3", "20261123t200732454z-55eocfdyhyud4cy3"] as const;
const SHA = "ab".repeat(32);

function entry(path: string, more: Partial<Entry> = {}): Entry {
  return { path, type: "dir", mode: 0o755, uid: 0, gid: 0, mtime: "1.000000000", ctime: "1.000000000", ino: "1", dev: "1", size: 0, ...more };
}

const file = (path: string, volume: string, offset = 512): Entry => entry(path, { type: "file", size: 4, sha256: SHA, extents: [{ volume, frame: [0, 100], offset, length: 4 }] });
const large = (path: string, size: number): Entry => entry(path, { type: "file", size, chunking: { average: 65536, span: 1 << 24 } });
const span = (path: string, at: number, length: number): CatalogLine => ({ path, at, extents: [{ volume: V2, frame: [0, 100], offset: 512, chunks: [[length, SHA], [length, SHA]] }] });

/** Checks segments of lines as one archive. */
function scanOf(segments: CatalogLine[][], change: Partial<ScanRequest> = {}): { faults: string[]; pieces: (volume: string) => number; again: () => string[]; dir: string } {
  const dir = tempDir();
  const cache = new CatalogCache(tempDir());
  const references = segments.map((lines): SegmentReference => {
    const text = Buffer.from(lines.map((line) => `${"at" in line ? encodeContinuation(line) : encodeEntry(line)}\n`).join(""));
    const frame = compressFrame(text, 1);
    cache.keep(sha256Hex(text), frame);
    const [first] = lines;
    return { object: C1, offset: 0, length: frame.length, size: text.length, sha256: sha256Hex(text), lines: lines.length, first: first?.path ?? "", ...(first !== undefined && "at" in first && { at: first.at }) };
  });
  const count = segments.flat().filter((line) => !("at" in line)).length;
  const lists = new PieceListWriter(dir);
  const scan = new CatalogScan(cache, lists, null);
  const request = { rootObject: C1, segments: references, entries: [count, count], volumes: [V1], catalogs: [C1], ...change };
  const faults = scan.check(request);
  const again = (): string[] => scan.check(request);
  const pieces = (volume: string): number => {
    lists.flush();
    return [...PieceList.load(pieceListPath(dir, volume)).upTo(Number.POSITIVE_INFINITY)].length;
  };
  return { faults, pieces, again, dir };
}

test("a catalog that fits has no fault, and its pieces are listed; a segment shared by archives is read once", () => {
  const lines = [[entry("/a"), file("/a/b", V1), file("/a/c", V1), file("/a/d", V1, 2048)], [large("/big", 8), span("/big", 0, 2)], [span("/big", 4, 2), entry("/z")]];
  const { faults, pieces, again, dir } = scanOf(lines, { volumes: [V1, V2] });
  expect(faults).toEqual([]);
  expect([pieces(V1), pieces(V2)]).toEqual([2, 2]);
  const size = readFileSync(pieceListPath(dir, V1)).length;
  expect(again()).toEqual([]);
  pieces(V1);
  expect(readFileSync(pieceListPath(dir, V1))).toHaveLength(size);
});

describe("what does not fit", () => {
  test("volumes and catalog objects named or listed by one of the two only", () => {
    expect(scanOf([[file("/a", V2)]]).faults).toEqual([expect.stringContaining(`names volume ${V2}`), expect.stringContaining(`lists volume ${V1}`)]);
    expect(scanOf([[file("/a", V1)]], { catalogs: [C1, V2] }).faults).toEqual([expect.stringContaining(`lists catalog object ${V2}`)]);
    expect(scanOf([[file("/a", V1)]], { catalogs: [] }).faults).toEqual([expect.stringContaining(`names catalog object ${C1}`)]);
  });

  test("counts, order, and what lies below a file, over the ends of segments", () => {
    expect(scanOf([[file("/a", V1)]], { entries: [1, 2] }).faults).toEqual(["the catalog holds 1 entries where 2 are announced"]);
    expect(scanOf([[file("/b", V1)], [entry("/a")]]).faults).toEqual([expect.stringContaining("out of order")]);
    expect(scanOf([[file("/a", V1)], [entry("/a/b")]]).faults).toEqual([expect.stringContaining("no directory")]);
  });

  test("content of no file, of another, or beyond the end of its file", () => {
    const listed = { volumes: [V2] };
    expect(scanOf([[entry("/a"), span("/b", 0, 2)]], listed).faults).toEqual([expect.stringContaining("no entry before it")]);
    expect(scanOf([[large("/a", 8)], [span("/b", 0, 2)]], listed).faults).toEqual([expect.stringContaining("not open")]);
    expect(scanOf([[large("/a", 3), span("/a", 0, 2)]], listed).faults).toEqual([expect.stringContaining("beyond the end")]);
    expect(scanOf([[large("/a", 3)], [span("/a", 0, 2)]], listed).faults).toEqual([expect.stringContaining("beyond its end")]);
    expect(scanOf([[large("/a", 8)], [span("/a", 0, 2)], [span("/a", 4, 2)]], listed).faults).toEqual([]);
  });
});
