/** What the walk has found and the scan has not taken yet, in the scan's thread. */
import type { MessagePort } from "node:worker_threads";
import type { WalkItem } from "../../disk/walk.ts";
import { fromPortableError } from "../portable-error.ts";
import type { WalkToScan } from "./messages.ts";
import { unpackBatch, type WalkBatch } from "./walk-batch.ts";

export class WalkFeed {
  readonly #port: MessagePort;
  readonly #batches: WalkBatch[] = [];
  #items: WalkItem[] = [];
  #next = 0;
  #hasEnded = false;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  /** Takes what the walk says. Throws the error that ended it. */
  take(message: WalkToScan): void {
    if (message.kind === "items") this.#batches.push(message.batch);
    else if (message.kind === "end") this.#hasEnded = true;
    else throw fromPortableError(message.error);
  }

  /** The next item; "later" when the walk has to find one first, null at its end. */
  next(): WalkItem | "later" | null {
    while (this.#next >= this.#items.length) {
      const batch = this.#batches.shift();
      if (batch === undefined) return this.#hasEnded ? null : "later";
      this.#items = unpackBatch(batch);
      this.#next = 0;
      this.#port.postMessage(null);
    }
    return this.#items[this.#next++] ?? null;
  }
}
