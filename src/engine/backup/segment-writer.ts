/** Cuts catalog lines into segments, keeps what the previous archive already stored, and compresses the rest (format §8.2). */
import { crc32 } from "node:zlib";
import { sha256Hex } from "../../codec/digest.ts";
import { compressFrame } from "../../codec/zstd.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { cutKey, cutsBefore } from "../../format/segment.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";

/** Catalogs are small and read often: a better level than the volumes' costs next to nothing. */
const CATALOG_LEVEL = 6;

/** A segment of the archive being written; `object` is empty until it has one. */
export type WrittenSegment = SegmentReference;

export class SegmentWriter {
  readonly segments: WrittenSegment[] = [];
  readonly #cache: CatalogCache;
  readonly #stored: ReadonlyMap<string, SegmentReference>;
  #lines: string[] = [];
  #bytes = 0;
  #first: { path: string; at: number | undefined } | null = null;

  /** `stored`: segments of the previous archive that may be named again, by digest. */
  constructor(cache: CatalogCache, stored: ReadonlyMap<string, SegmentReference>) {
    this.#cache = cache;
    this.#stored = stored;
  }

  add(line: string, path: string, at?: number): void {
    const lineBytes = Buffer.byteLength(line) + 1;
    if (cutsBefore(this.#bytes, lineBytes, crc32(cutKey(path, at)), at !== undefined)) this.seal();
    this.#first ??= { path, at };
    this.#lines.push(line);
    this.#bytes += lineBytes;
  }

  /** Ends the open segment. */
  seal(): void {
    if (this.#first === null) return;
    const text = Buffer.from(`${this.#lines.join("\n")}\n`);
    const sha256 = sha256Hex(text);
    const { path, at } = this.#first;
    const known = this.#stored.get(sha256);
    if (known !== undefined) this.segments.push({ ...known, first: path, at });
    else {
      const frame = compressFrame(text, CATALOG_LEVEL);
      this.#cache.keep(sha256, frame);
      this.segments.push({ object: "", offset: 0, length: frame.length, size: text.length, sha256, lines: this.#lines.length, first: path, at });
    }
    this.#lines = [];
    this.#bytes = 0;
    this.#first = null;
  }
}
