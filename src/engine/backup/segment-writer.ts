/** Cuts catalog lines into segments, keeps what the previous archive already stored, and compresses the rest (format §8.2). */
import { crc32 } from "node:zlib";
import { sha256Hex } from "../../codec/digest.ts";
import { FrameCompressor } from "../../codec/zstd.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { cutKey, cutsBefore } from "../../format/segment.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";
import type { StoredPlace } from "./previous-catalog.ts";

/** Half of a line is digests, which no level makes smaller: 6 takes four times the time of 1 and saves a seventieth. */
const CATALOG_LEVEL = 1;

/** A segment of the archive being written; `object` is empty until it has one. */
export type WrittenSegment = SegmentReference;

/** A segment of the archive before whose first `count` lines have come again, from its beginning on. */
type Following = { segment: SegmentReference; lines: readonly string[]; count: number };

export class SegmentWriter {
  readonly segments: WrittenSegment[] = [];
  /** Entries whose lines are in `segments`. */
  entries = 0;
  readonly #cache: CatalogCache;
  readonly #stored: ReadonlyMap<string, SegmentReference>;
  readonly #compressor = new FrameCompressor(CATALOG_LEVEL);
  #lines: string[] = [];
  #bytes = 0;
  #first: { path: string; at: number | undefined } | null = null;
  /** Instead of open lines: as long as an old segment comes again, its text need not be made. */
  #following: Following | null = null;
  #openEntries = 0;

  /** `stored`: segments of the previous archive that may be named again, by digest. */
  constructor(cache: CatalogCache, stored: ReadonlyMap<string, SegmentReference>) {
    this.#cache = cache;
    this.#stored = stored;
  }

  add(line: string, path: string, at?: number): void {
    const lineBytes = Buffer.byteLength(line) + 1;
    if (this.#beginsWith(lineBytes, path, at)) this.seal();
    else this.#unfollow();
    if (at === undefined) this.#openEntries++;
    this.#first ??= { path, at };
    this.#lines.push(line);
    this.#bytes += lineBytes;
  }

  /** Adds a line of the archive before. */
  addStored({ segment, lines, index }: StoredPlace, path: string, at?: number): void {
    const following = this.#following;
    if (following?.segment === segment && following.count === index) {
      following.count++;
      if (at === undefined) this.#openEntries++;
      return;
    }
    const line = lines[index] ?? "";
    if (index > 0 || !this.#beginsWith(Buffer.byteLength(line) + 1, path, at)) return this.add(line, path, at);
    this.seal();
    this.#following = { segment, lines, count: 1 };
    if (at === undefined) this.#openEntries++;
  }

  /** Whether a segment begins with this line: the same question that was asked when the archive before was written. */
  #beginsWith(lineBytes: number, path: string, at: number | undefined): boolean {
    const following = this.#following;
    if (following !== null && following.count < following.lines.length) this.#unfollow();
    const openBytes = this.#following?.segment.size ?? this.#bytes;
    return openBytes === 0 || cutsBefore(openBytes, lineBytes, crc32(cutKey(path, at)), at !== undefined);
  }

  /** Goes on with the lines that came again as with new ones. */
  #unfollow(): void {
    if (this.#following === null) return;
    const { segment, lines, count } = this.#following;
    this.#following = null;
    this.#lines = lines.slice(0, count);
    this.#bytes = count === lines.length ? segment.size : this.#lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
    this.#first = { path: segment.first, at: segment.at };
  }

  /** Ends the open segment. */
  seal(): void {
    if (this.#following !== null && !this.#repeat(this.#following)) this.#unfollow();
    if (this.#first !== null) this.#end(this.#first);
    this.entries += this.#openEntries;
    this.#openEntries = 0;
  }

  #end({ path, at }: { path: string; at: number | undefined }): void {
    const text = Buffer.from(`${this.#lines.join("\n")}\n`);
    const sha256 = sha256Hex(text);
    const known = this.#stored.get(sha256);
    if (known !== undefined) this.segments.push({ ...known, first: path, at });
    else {
      const frame = this.#compressor.compress(text);
      this.#cache.keep(sha256, frame);
      this.segments.push({ object: "", offset: 0, length: frame.length, size: text.length, sha256, lines: this.#lines.length, first: path, at });
    }
    this.#lines = [];
    this.#bytes = 0;
    this.#first = null;
  }

  /** Names an old segment that came again whole, or has its frame written again; false where it has to be made anew. */
  #repeat({ segment, lines, count }: Following): boolean {
    if (count < lines.length) return false;
    const known = this.#stored.get(segment.sha256);
    const frame = known === undefined ? this.#cache.frame(segment.sha256) : undefined;
    if (known === undefined && frame === undefined) return false;
    this.segments.push({ ...(known ?? { ...segment, object: "", offset: 0, length: frame?.length ?? 0 }), first: segment.first, at: segment.at });
    this.#following = null;
    return true;
  }
}
