/** Catalog lines in path order, some of them still waiting for a packer; what is complete at the front flows on. */
import type { CatalogLineText, PendingFile } from "./pending-file.ts";
import type { StoredPlace } from "./previous-catalog.ts";

/** A line of the archive before that stays as it is, and the volumes it names: one, several, or none. */
export type StoredLine = { stored: StoredPlace; path: string; at?: number | undefined; volumes: string | ReadonlySet<string> | null };
/** A further name of a file that came earlier: settled when it reaches the front. */
export type LinkItem = { kind: "link"; settle: () => CatalogLineText | PendingFile };
export type QueueItem = { kind: "line"; line: CatalogLineText } | { kind: "stored"; line: StoredLine } | { kind: "file"; file: PendingFile } | LinkItem;

/** Where the lines flow to. */
export type LineSink = {
  line(line: CatalogLineText): void;
  stored(line: StoredLine): void;
  /** Every volume the lines of a file name. */
  volumes(ids: Iterable<string>): void;
};

function textLength({ stored }: StoredLine): number {
  return stored.lines[stored.index]?.length ?? 0;
}

export class LineQueue {
  readonly #sink: LineSink;
  #items: QueueItem[] = [];
  #head = 0;
  #bytes = 0;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /** Bytes of finished lines that wait behind an unfinished one. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#items.length;
  }

  push(item: QueueItem): void {
    if (this.isEmpty && item.kind === "stored") return this.#sink.stored(item.line);
    this.#items.push(item);
    if (item.kind === "line") this.#bytes += item.line.text.length;
    else if (item.kind === "stored") this.#bytes += textLength(item.line);
  }

  /** Hands out what is complete at the front. */
  drain(): void {
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head];
      if (item === undefined || !this.#takeItem(item)) break;
      this.#head++;
    }
    if (this.#head > 4096 || this.#head === this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  #takeItem(item: QueueItem): boolean {
    switch (item.kind) {
      case "line":
        this.#bytes -= item.line.text.length;
        this.#sink.line(item.line);
        return true;
      case "stored":
        this.#bytes -= textLength(item.line);
        this.#sink.stored(item.line);
        return true;
      case "link":
        return this.#settleLink(item);
      case "file":
        if (item.file.lines === null) return false;
        if (item.file.lines.length > 0) this.#sink.volumes(item.file.volumes);
        for (const line of item.file.lines) this.#sink.line(line);
        return true;
    }
  }

  #settleLink(link: LinkItem): boolean {
    const settled = link.settle();
    if ("text" in settled) {
      this.#sink.line(settled);
      return true;
    }
    // Its first name could not be kept: this one becomes a file of its own.
    const item: QueueItem = { kind: "file", file: settled };
    this.#items[this.#head] = item;
    return this.#takeItem(item);
  }
}
