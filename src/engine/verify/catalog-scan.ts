/** Reads every line of the catalogs: what each volume must hold, and whether a catalog and its manifest name the same objects. */
import { extentLength, isContinuation, nextChunkOffset, type CatalogLine, type ChunkRun, type Entry, type Extent } from "../../format/entry.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { isWithin } from "../../format/entry-path.ts";
import { comparePaths } from "../../format/path-order.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";
import { catalogLines } from "../catalog-reader.ts";
import type { ScanRequest } from "./messages.ts";
import type { PieceListWriter } from "./piece-list.ts";

/** What is remembered of a segment: archives share most of them, and each is read once. */
type SegmentFacts = {
  volumes: Set<string>;
  entries: number;
  lines: number;
  /** Its first line, and whether that continues the file of an earlier segment. */
  first: { path: string; at: number | null };
  lastPath: string;
  /** The last entry when it is no directory: nothing may lie below it. */
  leaf: string;
  /** The chunked file that may go on in the next segment. */
  open: { path: string; size: number } | null;
  /** Where its leading continuation lines reach, when they belong to an entry of an earlier segment. */
  leadEnd: number;
  faults: string[];
};

const FAULTS_MAX = 100;
/** Far beyond any object, and what a record of a piece list can hold. */
const POSITION_MAX = 2 ** 48 - 1;

/** Volume ids and pieces of one line. */
class SegmentScan {
  readonly facts: SegmentFacts;
  readonly #lists: PieceListWriter;
  readonly #wanted: ReadonlySet<string> | null;

  constructor(lists: PieceListWriter, wanted: ReadonlySet<string> | null) {
    this.#lists = lists;
    this.#wanted = wanted;
    this.facts = { volumes: new Set(), entries: 0, lines: 0, first: { path: "", at: null }, lastPath: "", leaf: "", open: null, leadEnd: 0, faults: [] };
  }

  take(line: CatalogLine): void {
    const { facts } = this;
    if (facts.lines++ === 0) facts.first = { path: line.path, at: isContinuation(line) ? line.at : null };
    facts.lastPath = line.path;
    if (isContinuation(line)) return this.#continuation(line.path, line.at, line.extents);
    facts.entries++;
    facts.leaf = line.type === "dir" ? "" : line.path;
    facts.open = line.chunking === undefined ? null : { path: line.path, size: line.size };
    this.#piece(line);
  }

  #piece({ extents, sha256 }: Entry): void {
    for (const extent of extents ?? []) {
      if (!("length" in extent) || sha256 === undefined) continue;
      const { volume, frame, offset, length } = extent;
      this.#need(volume, { position: frame[0], frameLength: frame[1], offset, length, sha256 });
    }
  }

  #continuation(path: string, at: number, extents: readonly Extent[]): void {
    const { facts } = this;
    const end = extents.reduce((sum, extent) => sum + extentLength(extent), at);
    if (facts.open === null && facts.entries === 0 && path === facts.first.path) facts.leadEnd = Math.max(facts.leadEnd, end);
    else if (facts.open?.path !== path) this.#fault(`${path}: content of a file that has no entry before it`);
    else if (end > facts.open.size) this.#fault(`${path}: content beyond the end of the file`);
    for (const extent of extents) {
      if ("zero" in extent) continue;
      if ("length" in extent) this.#fault(`${path}: a piece without a digest`);
      else this.#run(extent);
    }
  }

  #run({ volume, frame, offset: first, chunks }: ChunkRun): void {
    let offset = first;
    for (const [length, sha256] of chunks) {
      this.#need(volume, { position: frame[0], frameLength: frame[1], offset, length, sha256 });
      offset = nextChunkOffset(offset, length);
    }
  }

  #need(volume: string, piece: Parameters<PieceListWriter["add"]>[1]): void {
    this.facts.volumes.add(volume);
    if (piece.position > POSITION_MAX) return this.#fault(`a frame at ${piece.position} lies in no object`);
    if (this.#wanted === null || this.#wanted.has(volume)) this.#lists.add(volume, piece);
  }

  #fault(what: string): void {
    if (this.facts.faults.length < FAULTS_MAX) this.facts.faults.push(what);
  }
}

export class CatalogScan {
  readonly #cache: CatalogCache;
  readonly #lists: PieceListWriter;
  readonly #wanted: ReadonlySet<string> | null;
  readonly #facts = new Map<string, SegmentFacts>();

  /** `wanted`: volumes to list pieces of; null: all. */
  constructor(cache: CatalogCache, lists: PieceListWriter, wanted: ReadonlySet<string> | null) {
    this.#cache = cache;
    this.#lists = lists;
    this.#wanted = wanted;
  }

  /** What is wrong with an archive's catalog, in words; its segments are in the cache. Throws E_FORMAT, E_DISK. */
  check(request: ScanRequest): string[] {
    const faults: string[] = [];
    const named = new Set<string>();
    let entries = 0;
    let before = NOTHING;
    for (const segment of request.segments) {
      const facts = this.#read(segment);
      entries += facts.entries;
      for (const volume of facts.volumes) named.add(volume);
      faults.push(...facts.faults, ...placeFaults(segment, facts, before));
      before = endOf(facts, before);
    }
    const stated = request.entries.find((count) => count !== entries);
    if (stated !== undefined) faults.push(`the catalog holds ${entries} entries where ${stated} are announced`);
    const catalogs = new Set(request.segments.map(({ object }) => object)).add(request.rootObject);
    faults.push(...compareSets("volume", named, request.volumes), ...compareSets("catalog object", catalogs, request.catalogs));
    return faults.slice(0, FAULTS_MAX);
  }

  #read(segment: SegmentReference): SegmentFacts {
    const known = this.#facts.get(segment.sha256);
    if (known !== undefined) return known;
    const scan = new SegmentScan(this.#lists, this.#wanted);
    for (const line of catalogLines([segment], this.#cache)) scan.take(line);
    this.#facts.set(segment.sha256, scan.facts);
    return scan.facts;
  }
}

/** What the lines before a segment leave open. */
type End = { lastPath: string; open: SegmentFacts["open"]; leaf: string };

const NOTHING: End = { lastPath: "", open: null, leaf: "" };

/** A segment of continuation lines alone goes on with what was open before it. */
function endOf(facts: SegmentFacts, before: End): End {
  return facts.entries === 0 ? { ...before, lastPath: facts.lastPath } : facts;
}

/** Whether a segment fits behind the ones before it; within a segment `catalogLines` checks that. */
function placeFaults(segment: SegmentReference, facts: SegmentFacts, before: End): string[] {
  const faults: string[] = [];
  const { path, at } = facts.first;
  const what = `the segment that begins with ${path.toWellFormed()}`;
  if (facts.lines !== segment.lines) faults.push(`${what} has ${facts.lines} lines, not ${segment.lines}`);
  const order = before.lastPath === "" ? -1 : comparePaths(before.lastPath, path);
  if (order > 0 || (order === 0 && at === null)) faults.push(`${what} is out of order`);
  if (at === null && before.leaf !== "" && isWithin(path, before.leaf)) faults.push(`${what} lies below ${before.leaf.toWellFormed()}, which is no directory`);
  if (at !== null && (before.open?.path !== path || facts.leadEnd > before.open.size)) faults.push(`${what} goes on with a file that is not open, or beyond its end`);
  return faults;
}

function compareSets(what: string, named: ReadonlySet<string>, listed: readonly string[]): string[] {
  const known = new Set(listed);
  return [
    ...[...named].filter((id) => !known.has(id)).map((id) => `the catalog names ${what} ${id}, which the manifest does not list`),
    ...listed.filter((id) => !named.has(id)).map((id) => `the manifest lists ${what} ${id}, which the catalog does not name`),
  ];
}
