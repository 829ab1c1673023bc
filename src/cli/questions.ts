/** Answers typed on standard input, a line each. Nothing is read before the first question. */
import { createInterface, type Interface } from "node:readline/promises";
import { ColdkeepError } from "../errors.ts";

const LEFT = "the input ended before every question was answered; nothing was written";

export class Questions {
  readonly #open: () => NodeJS.ReadableStream;
  #interface: Interface | undefined;
  #lines: AsyncIterator<string> | undefined;

  /** `open` gives the input when the first answer is needed. */
  constructor(open: () => NodeJS.ReadableStream) {
    this.#open = open;
  }

  /** The next line, without blanks around it. Throws E_INTERRUPTED at the end of the input, and the signal's reason. */
  async answer(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    // The terminal keeps its own line editing: in raw mode Ctrl-C would be a key, and not a signal.
    this.#interface ??= createInterface({ input: this.#open(), terminal: false });
    this.#lines ??= this.#interface[Symbol.asyncIterator]();
    const aborted = Promise.withResolvers<never>();
    const stop = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      const line = await Promise.race([this.#lines.next(), aborted.promise]);
      if (line.done === true) throw new ColdkeepError("E_INTERRUPTED", LEFT);
      return line.value.trim();
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  close(): void {
    this.#interface?.close();
  }
}
