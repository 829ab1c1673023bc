/** Reads an archive's catalog: the root, and only the segments that are asked for, kept in a cache on this machine. */
import { sha256Hex } from "../codec/digest.ts";
import { decompressFrame } from "../codec/zstd.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import type { CatalogRoot, SegmentReference } from "../format/catalog-root.ts";
import { parseCatalogRoot, ROOT_BYTES_MAX } from "../format/catalog-root-parse.ts";
import { parseCatalogLine } from "../format/entry-parse.ts";
import { isContinuation, type CatalogLine } from "../format/entry.ts";
import { isWithin } from "../format/entry-path.ts";
import type { ListedObject } from "../format/manifest.ts";
import { comparePaths } from "../format/path-order.ts";
import { LINE_BYTES_MAX } from "../format/segment.ts";
import type { CatalogCache } from "../state/catalog-cache.ts";
import { MIB } from "../units.ts";
import { eachOf, type Manifest } from "./manifests.ts";
import type { SealedReader } from "./object-source.ts";

const FETCHES_AT_ONCE = 8;
/** Segments this near to each other are fetched as one range. */
const GAP_BYTES = 128 * 1024;
const RANGE_BYTES_MAX = 8 * MIB;

type Range = { object: ListedObject; offset: number; length: number; segments: SegmentReference[] };

export class CatalogReader {
  readonly root: CatalogRoot;
  readonly #objects: ReadonlyMap<string, ListedObject>;
  readonly #reader: SealedReader;
  readonly #cache: CatalogCache;

  private constructor(root: CatalogRoot, objects: ReadonlyMap<string, ListedObject>, reader: SealedReader, cache: CatalogCache) {
    this.root = root;
    this.#objects = objects;
    this.#reader = reader;
    this.#cache = cache;
  }

  /** Fetches and checks the root. Throws E_OBJECT, E_FORMAT, E_IDENTITY. */
  static async open(manifest: Manifest, reader: SealedReader, cache: CatalogCache): Promise<CatalogReader> {
    const { root: place, id, vault, host } = manifest.header;
    const objects = new Map(manifest.objects.map((object) => [object.id, object]));
    const object = objects.get(place.object);
    if (object?.kind !== "catalog") throw new ColdkeepError("E_FORMAT", `archive ${id} does not list its own catalog root`);
    // zstd makes what it cannot compress hardly longer.
    if (place.length > ROOT_BYTES_MAX + MIB) throw new ColdkeepError("E_FORMAT", `the catalog root of ${id} is ${place.length} bytes long, more than it may be`);
    const frame = await reader.read(object, place.offset, place.length);
    const text = open(frame, Math.min(place.size, ROOT_BYTES_MAX), `the catalog root of ${id}`);
    if (text.length !== place.size || sha256Hex(text) !== place.sha256) throw new ColdkeepError("E_OBJECT", `the catalog root of ${id} does not match its digest`);
    const root = parseCatalogRoot(text, `archive ${id}`);
    if (root.head.id !== id || root.head.vault !== vault || root.head.host !== host) {
      throw new ColdkeepError("E_FORMAT", `the catalog of archive ${id} says it is that of ${root.head.id} of ${root.head.host}`);
    }
    return new CatalogReader(root, objects, reader, cache);
  }

  /** Catalog objects the root names. */
  catalogObjects(manifest: Manifest): Set<string> {
    return new Set(this.root.segments.map((segment) => segment.object)).add(manifest.header.root.object);
  }

  /** The segments that may hold `paths` or what lies below them; all of them for no path. */
  segmentsFor(paths: readonly string[]): SegmentReference[] {
    if (paths.length === 0 || paths.includes("/")) return this.root.segments;
    return this.root.segments.filter((segment, i) => paths.some((path) => this.#mayHold(segment, this.root.segments[i + 1], path)));
  }

  #mayHold(segment: SegmentReference, next: SegmentReference | undefined, path: string): boolean {
    const endsBefore = next !== undefined && comparePaths(next.first, path) < 0 && !isWithin(next.first, path);
    const beginsAfter = comparePaths(segment.first, path) > 0 && !isWithin(segment.first, path);
    return !endsBefore && !beginsAfter;
  }

  /** Makes sure that segments are in the cache, fetching what is not. Throws E_OBJECT, E_FORMAT. */
  async fetch(segments: readonly SegmentReference[]): Promise<void> {
    await this.#fetchAll(segments.filter((segment) => this.#cache.text(segment.sha256, segment.size) === undefined));
  }

  /** The same for a reader that can do without a segment that proves damaged in the cache. Throws E_OBJECT, E_FORMAT. */
  async fetchAbsent(segments: readonly SegmentReference[]): Promise<void> {
    await this.#fetchAll(segments.filter(({ sha256 }) => !this.#cache.has(sha256)));
  }

  async #fetchAll(missing: readonly SegmentReference[]): Promise<void> {
    await eachOf(this.#ranges(missing), FETCHES_AT_ONCE, (range) => this.#fetchRange(range));
  }

  #ranges(segments: readonly SegmentReference[]): Range[] {
    const ranges: Range[] = [];
    const ordered = segments.toSorted((a, b) => (a.object === b.object ? a.offset - b.offset : a.object < b.object ? -1 : 1));
    for (const segment of ordered) {
      const object = this.#objects.get(segment.object);
      if (object?.kind !== "catalog") throw new ColdkeepError("E_FORMAT", `catalog object ${segment.object} is not in the manifest's list`);
      const last = ranges.at(-1);
      const end = segment.offset + segment.length;
      if (last?.object === object && segment.offset - (last.offset + last.length) <= GAP_BYTES && end - last.offset <= RANGE_BYTES_MAX) {
        last.length = end - last.offset;
        last.segments.push(segment);
      } else ranges.push({ object, offset: segment.offset, length: segment.length, segments: [segment] });
    }
    return ranges;
  }

  async #fetchRange(range: Range): Promise<void> {
    const bytes = await this.#reader.read(range.object, range.offset, range.length);
    for (const segment of range.segments) {
      const start = segment.offset - range.offset;
      const frame = bytes.subarray(start, start + segment.length);
      const text = open(frame, segment.size, `a segment of catalog ${segment.object}`);
      if (sha256Hex(text) !== segment.sha256) throw new ColdkeepError("E_OBJECT", `a segment of catalog ${segment.object} does not match its digest`);
      this.#cache.keep(segment.sha256, frame);
    }
  }

  /** The lines of segments that were fetched, in order. Throws E_FORMAT for a malformed one. */
  *lines(segments: readonly SegmentReference[]): Generator<CatalogLine> {
    yield* catalogLines(segments, this.#cache);
  }
}

/** Decompresses a frame whose bytes are authentic: what is wrong with it, its writer did. Throws E_FORMAT. */
function open(frame: Buffer, maxBytes: number, what: string): Buffer {
  try {
    return decompressFrame(frame, maxBytes);
  } catch (cause) {
    throw new ColdkeepError("E_FORMAT", `${what} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/**
 * The lines of segments in a cache, in order. Throws E_DISK when one is gone; E_FORMAT when a line is malformed or out of
 * order, when a path comes twice, or lies below what is no directory.
 */
export function* catalogLines(segments: readonly SegmentReference[], cache: CatalogCache): Generator<CatalogLine> {
  const order = new LineOrder();
  for (const segment of segments) {
    const text = cache.text(segment.sha256, segment.size);
    if (text === undefined) throw new ColdkeepError("E_DISK", `a catalog segment is gone from ${cache.directory}`, { hint: "Run the command again." });
    let isFirst = true;
    for (const raw of text.toString().split("\n")) {
      if (raw === "") continue;
      if (raw.length > LINE_BYTES_MAX) throw new ColdkeepError("E_FORMAT", `a line of the catalog is over ${LINE_BYTES_MAX} bytes long`);
      const line = parseCatalogLine(raw);
      if (isFirst) checkStart(segment, line);
      isFirst = false;
      order.check(line);
      yield line;
    }
  }
}

/** Looking up a path relies on what the root says of where its segments begin. */
function checkStart(segment: SegmentReference, line: CatalogLine): void {
  const at = isContinuation(line) ? line.at : undefined;
  if (segment.first === line.path && segment.at === at) return;
  throw new ColdkeepError("E_FORMAT", `a segment of the catalog begins with ${line.path.toWellFormed()}, and its root says ${segment.first.toWellFormed()}`);
}

class LineOrder {
  #before = "";
  #at = -1;
  /** The last entry that is no directory: all that lies below it would follow at once. */
  #leaf = "";

  check(line: CatalogLine): void {
    const order = this.#before === "" ? -1 : comparePaths(this.#before, line.path);
    const at = isContinuation(line) ? line.at : -1;
    if (order > 0 || (order === 0 && at <= this.#at)) throw new ColdkeepError("E_FORMAT", `the catalog is out of order at ${line.path.toWellFormed()}`);
    if (order < 0 && this.#leaf !== "" && isWithin(line.path, this.#leaf)) {
      throw new ColdkeepError("E_FORMAT", `the catalog has ${line.path.toWellFormed()} below ${this.#leaf.toWellFormed()}, which is no directory`);
    }
    this.#before = line.path;
    this.#at = at;
    if (!isContinuation(line)) this.#leaf = line.type === "dir" ? "" : line.path;
  }
}
