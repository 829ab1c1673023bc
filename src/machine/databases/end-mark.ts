/** A stream without the mark that Redis ends a transfer of unknown length with, and which its client leaves in place on stdout. */
import type { DumpSink } from "./source.ts";

const MARK_BYTES = 40;
const MARK = /^[0-9a-f]{40}$/;

export class EndMarkStripper {
  readonly #sink: DumpSink;
  #held = Buffer.alloc(0);

  constructor(sink: DumpSink) {
    this.#sink = sink;
  }

  /** Passes on all but the last bytes, which may be the mark. */
  async add(bytes: Buffer): Promise<void> {
    const all = Buffer.concat([this.#held, bytes]);
    const end = Math.max(0, all.length - MARK_BYTES);
    this.#held = Buffer.from(all.subarray(end));
    if (end > 0) await this.#sink(all.subarray(0, end));
  }

  /** The end of the stream: 40 hex digits end no RDB file, whose last bytes are a checksum. */
  async finish(): Promise<void> {
    if (!MARK.test(this.#held.toString("latin1"))) await this.#sink(this.#held);
  }
}
