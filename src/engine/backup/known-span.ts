/** What the archive before holds of a span: chunks by digest, and by where they began. */
import { parseCatalogLine } from "../../format/entry-parse.ts";
import { extentLength, isContinuation } from "../../format/entry.ts";
import { runChunks } from "./extents.ts";
import type { KnownChunk } from "./messages.ts";

export class KnownSpan {
  readonly #byDigest = new Map<string, KnownChunk>();
  readonly #byStart = new Map<number, KnownChunk>();

  /** `line`: the span's continuation line; undefined where there is none. Throws E_FORMAT. */
  constructor(line: string | undefined) {
    const parsed = line === undefined ? undefined : parseCatalogLine(line);
    if (parsed === undefined || !isContinuation(parsed)) return;
    let at = parsed.at;
    let last = -1;
    for (const extent of parsed.extents) {
      if ("chunks" in extent) {
        for (const chunk of runChunks(extent)) {
          this.#byDigest.set(chunk.sha256, chunk);
          this.#byStart.set(at, chunk);
          last = at;
          at += chunk.length;
        }
      } else {
        this.#byStart.delete(last);
        at += extentLength(extent);
      }
    }
    this.#byStart.delete(last);
  }

  withDigest(sha256: string): KnownChunk | undefined {
    return this.#byDigest.get(sha256);
  }

  /**
   * The chunk that began at this place in the file and ended because of its own bytes: where they are the same today, so is its
   * end. Not one that ended because the data did.
   */
  beginningAt(at: number): KnownChunk | undefined {
    return this.#byStart.get(at);
  }
}
