/** The parts a backup is put together from, each by itself: queue, extents, segments, sets, chain, what is known. */
import fc from "fast-check";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sha256Hex } from "../../../src/codec/digest.ts";
import { fingerprintSet, RecipientSets } from "../../../src/engine/backup/recipient-sets.ts";
import { objectsToRewrite } from "../../../src/engine/backup/base.ts";
import { type ChainChoice, checkChain } from "../../../src/engine/backup/chain.ts";
import { ContentBook } from "../../../src/engine/backup/content-book.ts";
import { ExtentList, extentsLength, runChunks, volumesOf } from "../../../src/engine/backup/extents.ts";
import { LineQueue, type StoredLine } from "../../../src/engine/backup/line-queue.ts";
import type { KnownChunk } from "../../../src/engine/backup/messages.ts";
import { PendingFile } from "../../../src/engine/backup/pending-file.ts";
import { PreviousCatalog } from "../../../src/engine/backup/previous-catalog.ts";
import { ScanLog } from "../../../src/engine/backup/scan-log.ts";
import { SegmentWriter } from "../../../src/engine/backup/segment-writer.ts";
import { ManifestFault } from "../../../src/engine/trust.ts";
import type { Survey } from "../../../src/engine/survey.ts";
import type { Stat } from "../../../src/disk/stat.ts";
import type { SegmentReference } from "../../../src/format/catalog-root.ts";
import { encodeContinuation, encodeEntry, encodeExtents, type Entry, nextChunkOffset } from "../../../src/format/entry.ts";
import { parseCatalogLine } from "../../../src/format/entry-parse.ts";
import { idTimeMs, makeId } from "../../../src/format/id.ts";
import type { ManifestHeader } from "../../../src/format/manifest.ts";
import { CatalogCache } from "../../../src/state/catalog-cache.ts";
import { ContentFilter } from "../../../src/state/content-filter.ts";
import { ContentIndex } from "../../../src/state/content-index.ts";
import { packPieces } from "../../../src/state/piece-records.ts";
import { RunState } from "../../../src/state/run-state.ts";
import { tempDir } from "../../support/temp-dir.ts";

const id = (n: number): string => makeId(1.7e12 + n, Buffer.alloc(10, n));
const digest = (n: number): string => sha256Hex(Buffer.from(String(n)));
const stat: Stat = { type: "file", mode: 0o644, uid: 0, gid: 0, size: 5, mtime: "1.000000000", ctime: "1.000000000", ino: "1", dev: "1", nlink: 1, blocks: 8, rdev: "0:0" };
const segment: SegmentReference = { object: "", offset: 0, length: 0, size: 0, sha256: "", lines: 1, first: "/" };
const entry = (path: string): Entry => ({ path, type: "dir", mode: 0o755, uid: 0, gid: 0, mtime: "1.000000000", ctime: "1.000000000", ino: "1", dev: "1", size: 0 });

describe("LineQueue", () => {
  function collecting(): { queue: LineQueue; drained: () => string[] } {
    let lines: string[] = [];
    const stored = (line: StoredLine): void => void lines.push(line.stored.lines[line.stored.index] ?? "");
    const queue = new LineQueue({ line: ({ text }) => lines.push(text), stored, volumes: () => undefined });
    const drained = (): string[] => {
      queue.drain();
      const taken = lines;
      lines = [];
      return taken;
    };
    return { queue, drained };
  }
  const line = (text: string) => ({ kind: "line", line: { text, path: `/${text}` } }) as const;
  const again = (text: string) => ({ kind: "stored", line: { stored: { segment, lines: [text], index: 0 }, path: `/${text}`, volumes: null } }) as const;

  test("keeps the order: nothing passes an unfinished file, a dropped one holds up nobody", () => {
    const { queue, drained } = collecting();
    queue.push(again("0"));
    const [slow, dropped] = [new PendingFile("/b", stat, {}, true), new PendingFile("/c", stat, {}, true)];
    queue.push(line("a"));
    queue.push({ kind: "file", file: slow });
    queue.push({ kind: "file", file: dropped });
    queue.push(again("d"));
    expect(drained()).toEqual(["0", "a"]);
    dropped.drop();
    expect(drained()).toEqual([]);
    expect(queue.waitingBytes).toBe(1);
    slow.lines = [{ text: "b", path: "/b" }];
    expect(drained()).toEqual(["b", "d"]);
    expect(queue.isEmpty).toBe(true);
    expect(queue.waitingBytes).toBe(0);
  });

  test("a link is settled only when everything before it is; one that becomes a file of its own is waited for", () => {
    const { queue, drained } = collecting();
    const first = new PendingFile("/a", stat, {}, true);
    const own = new PendingFile("/b", stat, {}, true);
    let settled = 0;
    queue.push({ kind: "file", file: first });
    queue.push({ kind: "link", settle: () => (settled++, own) });
    queue.push({ kind: "link", settle: () => (settled++, { text: "c", path: "/c" }) });
    drained();
    expect(settled).toBe(0);
    first.drop();
    expect(drained()).toEqual([]);
    expect(settled).toBe(1);
    own.lines = [{ text: "b", path: "/b" }];
    expect(drained()).toEqual(["b", "c"]);
    expect(settled).toBe(2);
  });
});

test("extents: neighbours become one run, and chunks come back as they went in", () => {
  const chunk = fc.record({ volume: fc.constantFrom(id(1), id(2)), frame: fc.constantFrom(0, 1000), length: fc.integer({ min: 1, max: 70_000 }), isNext: fc.boolean(), hole: fc.constantFrom(0, 0, 4096) });
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 30 }), (wanted) => {
      const list = new ExtentList();
      const chunks: KnownChunk[] = [];
      let before: KnownChunk | undefined;
      for (const [i, { volume, frame, length, isNext, hole }] of wanted.entries()) {
        list.addZero(hole);
        const place = isNext && before !== undefined ? { volume: before.volume, frame: before.frame, offset: nextChunkOffset(before.offset, before.length) } : { volume, frame: [frame, 99] as const, offset: 512 * (i + 1) };
        before = { sha256: digest(i), ...place, length };
        chunks.push(before);
        list.addChunk(before);
      }
      expect(list.extents.flatMap((extent) => ("chunks" in extent ? runChunks(extent) : []))).toEqual(chunks);
      const holes = wanted.reduce((sum, { hole }) => sum + hole, 0);
      expect(extentsLength(list.extents)).toBe(chunks.reduce((sum, { length }) => sum + length, holes));
      expect(new Set(volumesOf(list.extents))).toEqual(new Set(chunks.map(({ volume }) => volume)));
    }),
  );
});

describe("segments", () => {
  const lines = Array.from({ length: 6000 }, (_, i) => `/dir/${String(i).padStart(6, "0")}-with-a-name`).map((path) => ({ path, text: encodeEntry(entry(path)) }));

  function write(cache: CatalogCache, texts: typeof lines, stored: SegmentReference[]): SegmentReference[] {
    const writer = new SegmentWriter(cache, new Map(stored.map((segment) => [segment.sha256, segment])));
    for (const { text, path } of texts) writer.add(text, path);
    writer.seal();
    return writer.segments;
  }

  test("an inserted line makes one segment new, the others are named again", () => {
    const cache = new CatalogCache(join(tempDir(), "catalog"));
    const first = write(cache, lines, []).map((segment) => ({ ...segment, object: id(1) }));
    expect(first.length).toBeGreaterThan(2);
    expect(write(cache, lines, first)).toEqual(first);
    const path = "/dir/003000-x";
    const second = write(cache, [...lines.slice(0, 3001), { path, text: encodeEntry(entry(path)) }, ...lines.slice(3001)], first);
    expect(second.filter(({ object }) => object === "")).toHaveLength(1);
  });

  test("lines of the archive before that come again make the segments that they would make as new ones", () => {
    const cache = new CatalogCache(join(tempDir(), "catalog"));
    const paths = Array.from({ length: 9000 }, (_, i) => `/d/${digest(i).slice(0, 12)}`).toSorted();
    const old = paths.filter((_, i) => i % 3 > 0).map((path) => ({ path, text: encodeEntry(entry(path)) }));
    const first = write(cache, old, []).map((segment) => ({ ...segment, object: id(1) }));
    const runs = fc.array(fc.record({ keep: fc.integer({ min: 0, max: 2500 }), edit: fc.constantFrom("drop", "insert", "nothing") }), { maxLength: 12 });
    fc.assert(
      fc.property(runs, fc.boolean(), (edits, mayName) => {
        const known = mayName ? first : [];
        const writer = new SegmentWriter(cache, new Map(known.map((segment) => [segment.sha256, segment])));
        const previous = new PreviousCatalog(first, cache);
        const all: typeof lines = [];
        const repeat = (): void => {
          all.push({ path: previous.path, text: previous.raw ?? "" });
          writer.addStored(previous.place, previous.path);
          previous.skip();
        };
        for (const { keep, edit } of edits) {
          for (let i = 0; i < keep && previous.raw !== null; i++) repeat();
          if (previous.raw === null) break;
          if (edit === "drop") previous.skip();
          const at = paths.indexOf(all.at(-1)?.path ?? "") + 1;
          const path = paths[at] ?? "";
          if (edit !== "insert" || path >= (previous.raw === null ? "" : previous.path)) continue;
          all.push({ path, text: encodeEntry(entry(path)) });
          writer.add(encodeEntry(entry(path)), path);
        }
        while (previous.raw !== null) repeat();
        writer.seal();
        const plain = write(cache, all, known);
        expect(writer.segments.map(({ sha256, lines: count, first: path, object, size }) => ({ sha256, count, path, object, size }))).toEqual(
          plain.map(({ sha256, lines: count, first: path, object, size }) => ({ sha256, count, path, object, size })),
        );
      }),
      { numRuns: 40 },
    );
  });

  test("the previous catalog gives lines and continuations in order, passing over a segment that is damaged", () => {
    const cache = new CatalogCache(join(tempDir(), "catalog"));
    const writer = new SegmentWriter(cache, new Map());
    for (const { text, path } of lines) writer.add(text, path);
    const big: Entry = { ...entry("/e"), type: "file", size: 4, chunking: { average: 65536, span: 16777216 } };
    writer.add(encodeEntry(big), "/e");
    writer.add(encodeContinuation({ path: "/e", at: 0, extents: [{ zero: 4 }] }), "/e", 0);
    writer.add(encodeEntry(entry("/f")), "/f");
    writer.seal();
    const [, damaged] = writer.segments;
    cache.keep(damaged?.sha256 ?? "", Buffer.from("garbage"));
    const previous = new PreviousCatalog(writer.segments, cache);
    const seen: string[] = [];
    const continuations: number[] = [];
    while (previous.raw !== null) {
      expect(previous.path).toBe(previous.entry.path);
      seen.push(previous.path);
      if (previous.path === "/e") for (const { at } of previous.takeContinuations()) continuations.push(at);
      else previous.skip();
    }
    expect(seen).toHaveLength(lines.length + 2 - (damaged?.lines ?? 0));
    expect(seen.slice(-2)).toEqual(["/e", "/f"]);
    expect(continuations).toEqual([0]);
  });
});

test("of more than 32 catalog objects the emptiest are written again", () => {
  const segments = Array.from({ length: 34 }, (_, i): SegmentReference => ({ object: id(i), offset: 0, length: 1000 - i, size: 1, sha256: digest(i), lines: 1, first: `/${i}` }));
  expect(objectsToRewrite(segments.slice(0, 31))).toEqual([]);
  expect(objectsToRewrite(segments)).toEqual([id(33), id(32), id(31)]);
});

test("recipient sets are named by the order of their first use, whatever the order of the recipients", () => {
  const sets = new RecipientSets();
  const [a, b] = [fingerprintSet(["age1x", "age1y"]), fingerprintSet(["age1y", "age1x"])];
  expect(a).toEqual(b);
  expect([sets.indexOf(a), sets.indexOf(["ff"]), sets.indexOf(b)]).toEqual([0, 1, 0]);
  expect(sets.sets).toEqual([a, ["ff"]]);
});

describe("ContentBook", () => {
  test("names content only in volumes that may be named: reusable, confirmed, or on their way in this run", () => {
    const dir = tempDir();
    const place = (volume: string) => ({ volume, frame: [0, 9] as const, offset: 512, length: 5 });
    const records = (n: number): Buffer => packPieces([[digest(n), place("")]]);
    const index = new ContentIndex(dir);
    index.add(id(1), [records(1)]);
    index.add(id(2), [records(2)]);
    index.close();
    const book = new ContentBook(dir, new ContentFilter().memory, [id(1)]);
    book.load();
    expect(book.find(digest(1))).toEqual({ sha256: digest(1), ...place(id(1)) });
    expect(book.find(digest(2))).toBeNull();
    book.note(id(3), records(3));
    expect(book.find(digest(3))).toMatchObject(place(id(3)));
    book.confirm(id(3));
    book.note(id(3), records(4));
    book.note(id(5), records(5));
    book.close();
    // What no region confirmed is not known to the next run.
    const next = new ContentBook(dir, new ContentFilter().memory, [id(3), id(5)]);
    expect([3, 4, 5].map((n) => next.find(digest(n)) !== null)).toEqual([true, true, false]);
    next.close();
  });
});

describe("ScanLog", () => {
  test("a source that was full and is empty is a problem, one that was always empty or is gone with its own is not", () => {
    const told: string[] = [];
    const log = new ScanLog(["/a", "/b", "/c"], [], ({ path }) => told.push(path));
    for (const path of ["/a", "/a/x", "/b", "/b/y", "/c"]) log.sawPrevious(path);
    for (const path of ["/a", "/a/x", "/b", "/c"]) log.entry(path, { ...stat, type: "dir" });
    for (const path of ["/a", "/b", "/c"]) log.checkSource(path);
    expect(told).toEqual(["/b"]);
    expect(log.problems).toMatchObject({ total: 1, items: [{ code: "E_EMPTY" }] });
  });

  test("a source that is usually full stays a problem the night after, when the archive before held nothing of it either", () => {
    const log = new ScanLog(["/a"], [{ path: "/a", entries: 12 }], () => undefined);
    log.sawPrevious("/a");
    log.entry("/a", { ...stat, type: "dir" });
    log.checkSource("/a");
    expect(log.problems.items).toMatchObject([{ path: "/a", code: "E_EMPTY", message: expect.stringContaining("held 12 entries") }]);
  });

  test("more problems than are listed are counted", () => {
    const log = new ScanLog([], [], () => undefined);
    for (let i = 0; i < 1500; i++) log.problem(`/${i}`, "EIO", "no");
    expect(log.report()).toMatchObject({ problemsTotal: 1500, problems: { length: 1000 } });
  });
});

describe("checkChain", () => {
  const WRITER = "1".repeat(32);
  const none: ChainChoice = { takeOver: false, newChain: false };
  const seen = (n: number, writer = WRITER): Survey["archives"][number] => {
    // Only the fields that the check reads.
    const header = { id: id(n), sequence: idTimeMs(id(n)), writer } as unknown as ManifestHeader;
    return { header, sha256: digest(n), signer: "ed25519:own", regions: ["a"] };
  };
  const end = (n: number) => ({ id: id(n), sha256: digest(n), sequence: idTimeMs(id(n)) });
  const survey = (...archives: Survey["archives"]): Survey => ({ archives, faulty: [], lost: [], records: [], recordFaults: [] });

  function check(found: Survey, options: { latest?: number; choice?: Partial<ChainChoice>; allAnswer?: boolean } = {}): ReturnType<typeof checkChain> {
    const state = new RunState(tempDir());
    try {
      if (options.latest !== undefined) state.noteLatest(end(options.latest));
      return checkChain(found, state, WRITER, { ...none, ...options.choice }, options.allAnswer ?? true);
    } finally {
      state.close();
    }
  }
  const refusing = (code: string) => expect.objectContaining({ code, exitStatus: 5 });

  test("follows the newest archive, also one that the state does not know", () => {
    expect(check(survey())).toBeNull();
    expect(check(survey(seen(2), seen(1)))).toEqual(end(2));
    expect(check(survey(seen(2)), { latest: 1 })).toEqual(end(2));
    expect(check(survey(seen(2)), { latest: 2 })).toEqual(end(2));
  });

  test("a rollback is refused only where all regions answer; else what is remembered is followed", () => {
    expect(() => check(survey(seen(1)), { latest: 2 })).toThrow(refusing("E_REFUSED"));
    expect(() => check(survey(), { latest: 2 })).toThrow(refusing("E_REFUSED"));
    expect(check(survey(seen(1)), { latest: 2, allAnswer: false })).toEqual(end(2));
    expect(check(survey(seen(1)), { latest: 2, choice: { newChain: true } })).toEqual(end(1));
  });

  test("another instance's archive is refused until taken over, an unknown signer's until a new chain is begun", () => {
    expect(() => check(survey(seen(2, "2".repeat(32)), seen(1)))).toThrow(refusing("E_CLONE"));
    expect(check(survey(seen(2, "2".repeat(32))), { choice: { takeOver: true } })).toEqual(end(2));
    const strange = (n: number): Survey => ({ ...survey(seen(2)), faulty: [{ id: id(n), region: "a", fault: new ManifestFault("unknown signer", true) }] });
    expect(() => check(strange(3))).toThrow(refusing("E_SIGNER"));
    expect(check(strange(3), { choice: { newChain: true } })).toEqual(end(2));
    expect(check(strange(1))).toEqual(end(2));
  });
});

describe("PendingFile", () => {
  const span = 16_777_216;
  const chunks = (at: number, lengths: number[], endsAt?: number) => ({
    kind: "span" as const,
    number: 0,
    at,
    stat: { ...stat, size: 3 * span },
    extents: encodeExtents([{ volume: id(1), frame: [0, 9] as const, offset: 512, chunks: lengths.map((length) => [length, digest(1)] as const) }]),
    length: lengths.reduce((sum, length) => sum + length, 0),
    volumes: [id(1)],
    bytesRead: 0,
    bytesPacked: 0,
    endsAt,
  });

  test("a file cut short between the reading of its spans covers just what its size says", () => {
    const file = new PendingFile("/f", { ...stat, size: 3 * span }, {}, true);
    file.expectSpans({ ...stat, size: 3 * span }, 3);
    file.addSpan(chunks(2 * span, [span]));
    file.addSpan(chunks(0, [span]));
    file.addSpan(chunks(span, [100, span - 100], span + 100));
    expect(file.completeSpans(65_536, span).size).toBe(span + 100);
    expect(file.lines?.map(({ at }) => at)).toEqual([undefined, 0, span]);
    expect(parseCatalogLine(file.lines?.[2]?.text ?? "")).toMatchObject({ at: span, extents: [{ chunks: [[100, digest(1)]] }] });
  });

  test("holes are written out, and a file put in place of another is not taken for it", () => {
    const file = new PendingFile("/f", { ...stat, size: 2 * span }, {}, true);
    file.expectSpans({ ...stat, size: 2 * span }, 2);
    for (const at of [0, span]) file.addSpan({ ...chunks(at, [span]), extents: encodeExtents([{ zero: span }]), volumes: [] });
    expect(file.completeSpans(65_536, span).size).toBe(2 * span);
    expect(file.lines).toHaveLength(3);
    expect([file.isKeptAs("1:1"), file.isKeptAs("1:2")]).toEqual([true, false]);
  });
});
