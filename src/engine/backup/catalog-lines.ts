/**
 * The segments of a catalog that grows in two places at once: at the end of what the walk has found, and among the program's own
 * entries, which come before nearly all of that and are ready last.
 */
import { OWN_DIRECTORY } from "../../format/own-directory.ts";
import { comparePaths } from "../../format/path-order.ts";
import type { CatalogLineText } from "./pending-file.ts";
import type { StoredPlace } from "./previous-catalog.ts";
import type { SegmentWriter, WrittenSegment } from "./segment-writer.ts";

export class CatalogLines {
  readonly #walked: SegmentWriter;
  /** Null where the archive has no dumps. */
  readonly #own: SegmentWriter | null;
  /** How many segments come before the own ones; null while the walk has not passed their place. */
  #before: number | null = null;

  constructor(walked: SegmentWriter, own: SegmentWriter | null) {
    this.#walked = walked;
    this.#own = own;
  }

  /** A line of the walk. */
  add(line: string, path: string, at?: number): void {
    this.#pass(path);
    this.#walked.add(line, path, at);
  }

  /** A line of the walk that the archive before has. */
  addStored(place: StoredPlace, path: string, at?: number): void {
    this.#pass(path);
    this.#walked.addStored(place, path, at);
  }

  /** A line of the program's own. */
  addOwn({ text, path, at }: CatalogLineText): void {
    this.#own?.add(text, path, at);
  }

  /** A segment ends where the own ones come in. */
  #pass(path: string): void {
    if (this.#own === null || this.#before !== null || comparePaths(path, OWN_DIRECTORY) < 0) return;
    this.#walked.seal();
    this.#before = this.#walked.segments.length;
  }

  /** Ends the open segments, after which `finished` has every line. */
  seal(): void {
    this.#walked.seal();
    this.#own?.seal();
  }

  /** The segments that have ended, in order, and how many entries they hold. */
  finished(): { segments: WrittenSegment[]; entries: number } {
    const { segments, entries } = this.#walked;
    const before = this.#before ?? segments.length;
    return { segments: [...segments.slice(0, before), ...(this.#own?.segments ?? []), ...segments.slice(before)], entries: entries + (this.#own?.entries ?? 0) };
  }
}
