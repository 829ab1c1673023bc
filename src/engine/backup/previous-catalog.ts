/** The catalog of the archive before, read line by line beside the walk. */
import { isContinuation, type Continuation, type Entry } from "../../format/entry.ts";
import { parseCatalogLine } from "../../format/entry-parse.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";

/** A line as stored, and what it says. */
export type StoredLine<T> = { raw: string; line: T };

/**
 * A cursor over entries in order. A segment that is not in the cache, or damaged there, is passed over: its files then count
 * as new, are read, and found to be stored already.
 */
export class PreviousCatalog {
  readonly #segments: readonly SegmentReference[];
  readonly #cache: CatalogCache;
  #nextSegment = 0;
  #lines: string[] = [];
  #nextLine = 0;
  #entry: StoredLine<Entry> | null = null;

  constructor(segments: readonly SegmentReference[], cache: CatalogCache) {
    this.#segments = segments;
    this.#cache = cache;
    this.#advance();
  }

  /** The entry the cursor stands at, or null at the end. */
  get entry(): StoredLine<Entry> | null {
    return this.#entry;
  }

  /** The continuation lines of the current entry, one at a time; then the cursor stands at the next entry. */
  *takeContinuations(): Generator<StoredLine<Continuation>> {
    const path = this.#entry?.line.path;
    for (;;) {
      const next = this.#readLine();
      if (next === null) {
        this.#entry = null;
        return;
      }
      if (!isContinuation(next.line)) {
        this.#entry = { raw: next.raw, line: next.line };
        return;
      }
      if (next.line.path === path) yield { raw: next.raw, line: next.line };
    }
  }

  /** Passes over the current entry. */
  skip(): void {
    this.#advance();
  }

  #advance(): void {
    for (;;) {
      const next = this.#readLine();
      if (next === null) {
        this.#entry = null;
        return;
      }
      if (isContinuation(next.line)) continue;
      this.#entry = { raw: next.raw, line: next.line };
      return;
    }
  }

  #readLine(): StoredLine<Entry | Continuation> | null {
    for (;;) {
      const raw = this.#lines[this.#nextLine++];
      if (raw !== undefined && raw !== "") return { raw, line: parseCatalogLine(raw) };
      if (raw !== undefined) continue;
      const segment = this.#segments[this.#nextSegment++];
      if (segment === undefined) return null;
      const text = this.#cache.text(segment.sha256, segment.size);
      this.#lines = text === undefined ? [] : text.toString().split("\n");
      this.#nextLine = 0;
    }
  }
}
