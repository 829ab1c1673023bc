/** Catalog lines in path order, some of them still waiting for a packer; what is complete at the front flows on. */
import type { CatalogLineText, PendingFile } from "./pending-file.ts";

/** A further name of a file that came earlier: settled when it reaches the front. */
export type LinkItem = { kind: "link"; settle: () => CatalogLineText | PendingFile };
export type QueueItem = { kind: "line"; line: CatalogLineText; volumes: ReadonlySet<string> | null } | { kind: "file"; file: PendingFile } | LinkItem;

export class LineQueue {
  #items: QueueItem[] = [];
  #head = 0;
  #bytes = 0;

  /** Bytes of finished lines that wait behind an unfinished one. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#head === this.#items.length;
  }

  push(item: QueueItem): void {
    this.#items.push(item);
    if (item.kind === "line") this.#bytes += item.line.text.length;
  }

  /** Hands out what is complete at the front. */
  drain(take: (line: CatalogLineText, volumes: ReadonlySet<string> | null) => void): void {
    while (this.#head < this.#items.length) {
      const item = this.#items[this.#head];
      if (item === undefined || !this.#takeItem(item, take)) break;
      this.#head++;
    }
    if (this.#head > 4096 || this.#head === this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  #takeItem(item: QueueItem, take: (line: CatalogLineText, volumes: ReadonlySet<string> | null) => void): boolean {
    if (item.kind === "line") {
      this.#bytes -= item.line.text.length;
      take(item.line, item.volumes);
      return true;
    }
    if (item.kind === "link") return this.#settleLink(item, take);
    if (item.file.lines === null) return false;
    for (const line of item.file.lines) take(line, item.file.volumes);
    return true;
  }

  #settleLink(link: LinkItem, take: (line: CatalogLineText, volumes: ReadonlySet<string> | null) => void): boolean {
    const settled = link.settle();
    if ("text" in settled) {
      take(settled, null);
      return true;
    }
    // Its first name could not be kept: this one becomes a file of its own.
    const item: QueueItem = { kind: "file", file: settled };
    this.#items[this.#head] = item;
    return this.#takeItem(item, take);
  }
}
