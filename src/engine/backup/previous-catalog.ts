/** The catalog of the archive before, read line by line beside the walk; a line is parsed only where its text does not do. */
import { isContinuation, type Entry } from "../../format/entry.ts";
import { parseCatalogLine } from "../../format/entry-parse.ts";
import { continuationPlace, isContinuationText, plainPath } from "../../format/kept-line.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";

/** Where a line stands: its number among the lines of its segment. */
export type StoredPlace = { segment: SegmentReference; lines: readonly string[]; index: number };

/** A continuation line, and the place in the file it is for. */
export type StoredContinuation = { place: StoredPlace; raw: string; at: number };

/**
 * A cursor over entries in order. A segment that is not in the cache, or damaged there, is passed over: its files then count
 * as new, are read, and found to be stored already.
 */
export class PreviousCatalog {
  readonly #segments: readonly SegmentReference[];
  readonly #cache: CatalogCache;
  #nextSegment = 0;
  #segment: SegmentReference | null = null;
  #lines: readonly string[] = [];
  #index = -1;
  #path: string | undefined;
  #entry: Entry | undefined;

  constructor(segments: readonly SegmentReference[], cache: CatalogCache) {
    this.#segments = segments;
    this.#cache = cache;
    this.skip();
  }

  /** The line of the entry the cursor stands at, or null at the end. */
  get raw(): string | null {
    return this.#lines[this.#index] ?? null;
  }

  /** The path of that entry. Only where `raw` is not null. */
  get path(): string {
    return (this.#path ??= plainPath(this.raw ?? "") ?? this.entry.path);
  }

  /** That entry, parsed. Only where `raw` is not null. Throws E_FORMAT. */
  get entry(): Entry {
    if (this.#entry !== undefined) return this.#entry;
    const line = parseCatalogLine(this.raw ?? "");
    if (isContinuation(line)) throw new TypeError("the cursor stands at a continuation line");
    return (this.#entry = line);
  }

  /** Where the line of that entry stands. Only where `raw` is not null. */
  get place(): StoredPlace {
    if (this.#segment === null) throw new TypeError("the cursor is at the end");
    return { segment: this.#segment, lines: this.#lines, index: this.#index };
  }

  /** The continuation lines of the current entry, one at a time; then the cursor stands at the next entry. */
  *takeContinuations(): Generator<StoredContinuation> {
    while (this.#next()) {
      const raw = this.raw ?? "";
      if (!isContinuationText(raw)) return;
      yield { place: this.place, raw, at: continuationPlace(raw) };
    }
  }

  /** Passes over the current entry with its continuation lines. */
  skip(): void {
    while (this.#next() && isContinuationText(this.raw ?? ""));
  }

  #next(): boolean {
    this.#path = undefined;
    this.#entry = undefined;
    this.#index++;
    while (this.#index >= this.#lines.length) {
      const segment = this.#segments[this.#nextSegment++];
      if (segment === undefined) {
        this.#segment = null;
        this.#lines = [];
        return false;
      }
      const lines = this.#cache.text(segment.sha256, segment.size)?.toString().split("\n") ?? [];
      // Every line ends in a line feed.
      if (lines.at(-1) === "") lines.pop();
      this.#segment = segment;
      this.#lines = lines;
      this.#index = 0;
    }
    return true;
  }
}
