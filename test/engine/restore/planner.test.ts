import { describe, expect, test } from "vitest";
import type { CatalogLine, Entry } from "../../../src/format/entry.ts";
import { parseCatalogLine } from "../../../src/format/entry-parse.ts";
import { isContinuation } from "../../../src/format/entry.ts";
import { decodeFile } from "../../../src/engine/restore/file-line.ts";
import { LISTS, type Adoption, type RestorePlan } from "../../../src/engine/restore/messages.ts";
import { decodePiece } from "../../../src/engine/restore/piece-line.ts";
import { Planner } from "../../../src/engine/restore/planner.ts";
import { readList } from "../../../src/engine/restore/work-list.ts";
import { tempDir } from "../../support/temp-dir.ts";

const VOLUME = "20261123t184112345z-aaaaaaaaaaaaaaaa";
const DIGEST = "0".repeat(64);

function entry(path: string, fields: Partial<Entry> = {}): Entry {
  return { path, type: "file", mode: 0o644, uid: 0, gid: 0, mtime: "1.000000000", ctime: "1.000000000", ino: "1", dev: "1", size: 0, ...fields };
}

function piece(path: string): Entry {
  return entry(path, { size: 5, sha256: DIGEST, extents: [{ volume: VOLUME, frame: [0, 100], offset: 512, length: 5 }] });
}

function chunked(path: string, size: number, spans: [at: number, lengths: number[]][]): CatalogLine[] {
  const runs = spans.map(([at, lengths], i) => {
    const hole = (spans[i + 1]?.[0] ?? size) - at - lengths.reduce((sum, length) => sum + length, 0);
    const run = { volume: VOLUME, frame: [0, 100] as const, offset: 512, chunks: lengths.map((length) => [length, DIGEST] as const) };
    return { path, at, extents: hole > 0 ? [run, { zero: hole }] : [run] };
  });
  return [entry(path, { size, chunking: { average: 65_536, span: 16_777_216 } }), ...runs];
}

type Planned = RestorePlan & { lines(list: string): string[]; paths(list: string): string[] };

function plan(lines: Iterable<CatalogLine>, paths: string[] = [], adoptions: Adoption[] = []): Planned {
  const planDir = tempDir();
  const planned = new Planner({ planDir, paths, adoptions }).run(lines);
  const read = (list: string): string[] => readList(planDir, list);
  const pathOf = (line: string): string => {
    const taken = decodePiece(line) ?? decodeFile(line) ?? parseCatalogLine(line);
    return "run" in taken || "piece" in taken || !isContinuation(taken) ? taken.path : "";
  };
  return { ...planned, lines: read, paths: (list) => read(list).map(pathOf) };
}

const TREE: CatalogLine[] = [
  entry("/", { type: "dir" }),
  entry("/a", { type: "dir" }),
  piece("/a/first"),
  ...chunked("/a/large", 30_000_000, [[0, [65_536, 70_000]], [16_777_216, [100]]]),
  entry("/b", { type: "dir" }),
  entry("/b/again", { hardlink: "/a/first" }),
  entry("/b/again too", { hardlink: "/a/first" }),
  entry("/b/large", { hardlink: "/a/large", size: 30_000_000 }),
  entry("/b/link", { type: "symlink", target: "x" }),
  entry("/b/linked link", { type: "symlink", hardlink: "/b/link" }),
];

describe("everything", () => {
  test("goes where it is worked on", () => {
    const all = plan(TREE);
    expect(all).toMatchObject({ entries: 10, files: 2, bytes: 30_000_005, missing: [], orphans: [], losses: [], volumes: [VOLUME], lists: [{ volume: VOLUME, list: VOLUME }] });
    expect(all.paths(VOLUME)).toEqual(["/a/first", "/a/large", "/a/large"]);
    expect(all.lines(VOLUME).flatMap((line) => decodePiece(line)?.at ?? [])).toEqual([0, 16_777_216]);
    expect(all.paths(LISTS.links)).toEqual(["/b/again", "/b/again too", "/b/large"]);
    expect(all.paths(LISTS.symlinkLinks)).toEqual(["/b/linked link"]);
    expect(all.paths(LISTS.directories)).toEqual(["/", "/a", "/b"]);
  });

  test("a volume that ten thousands of files are in is several lists", () => {
    const lines = Array.from({ length: 60_000 }, (_, i) => piece(`/${String(i).padStart(6, "0")}`));
    const { lists } = plan(lines);
    expect(lists.length).toBeGreaterThan(2);
    expect(new Set(lists.map(({ list }) => list)).size).toBe(lists.length);
    expect(lists.every(({ volume }) => volume === VOLUME)).toBe(true);
  });
});

describe("some paths", () => {
  test("with the directories above, and what is missing by name", () => {
    const some = plan(TREE, ["/a/first", "/nope", "/b/link"]);
    expect(some.missing).toEqual(["/nope"]);
    expect(some.paths(VOLUME)).toEqual(["/a/first"]);
    expect(some.paths(LISTS.directories)).toEqual(["/", "/a", "/b"]);
  });

  test("links without their first name say so; adopted, one becomes the file and the others its links", () => {
    const { orphans } = plan(TREE, ["/b"]);
    expect(orphans).toEqual([{ first: "/a/first", link: "/b/again" }, { first: "/a/large", link: "/b/large" }]);
    const adopted = plan(TREE, ["/b"], orphans);
    expect(adopted).toMatchObject({ orphans: [], files: 2, bytes: 30_000_005 });
    expect(adopted.paths(VOLUME)).toEqual(["/b/again", "/b/large", "/b/large"]);
    expect(adopted.paths(LISTS.large)).toEqual(["/b/large"]);
    expect(adopted.lines(LISTS.links).map((line) => parseCatalogLine(line))).toEqual([expect.objectContaining({ path: "/b/again too", hardlink: "/b/again" })]);
    expect(adopted.paths(LISTS.directories)).toEqual(["/", "/b"]);
  });

  test("a first name that never comes leaves the link a link, to be lost by name", () => {
    const lines = [entry("/b", { type: "dir" }), entry("/b/again", { hardlink: "/a/none" })];
    const adopted = plan(lines, ["/b"], plan(lines, ["/b"]).orphans);
    expect(adopted.paths(LISTS.links)).toEqual(["/b/again"]);
  });

  test("spans of a file before the first wanted one are passed over", () => {
    const [, ...spans] = chunked("/a/large", 30_000_000, [[0, [100]]]);
    expect(plan([...spans, piece("/b")], ["/b"]).paths(VOLUME)).toEqual(["/b"]);
    expect(() => plan([...spans, piece("/b")])).toThrow("is no file in chunks");
  });
});

test("the journal's place is left out, with its volumes accounted for", () => {
  const other = VOLUME.replace("aaaa", "bbbb");
  const mine = { ...piece("/.coldkeep-restore/done"), extents: [{ volume: other, frame: [0, 1] as const, offset: 0, length: 5 }] };
  const planned = plan([entry("/.coldkeep-restore", { type: "dir" }), mine, piece("/.coldkeep-restores")]);
  expect(planned).toMatchObject({ entries: 1, lists: [{ volume: VOLUME }], volumes: [other, VOLUME], losses: [{ count: 2 }] });
});
