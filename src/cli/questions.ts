/** Answers typed on standard input, a line each. Nothing is read before the first question. */
import { createInterface, type Interface } from "node:readline/promises";
import { ColdkeepError } from "../errors.ts";

const LEFT = "the input ended before every question was answered; nothing was written";

/** A terminal can be told not to show what is typed. */
export type Input = NodeJS.ReadableStream & { setRawMode?: (raw: boolean) => unknown };

const ENTER = /[\r\n]/;
const CTRL_C = "\x03";
const CTRL_D = "\x04";
const CTRL_U = "\x15";
const BACKSPACE = /[\x08\x7f]/;

export class Questions {
  readonly #open: () => Input;
  /** Typed ahead of the question it answers. */
  #ahead = "";
  #interface: Interface | undefined;
  #lines: AsyncIterator<string> | undefined;

  /** `open` gives the input when the first answer is needed. */
  constructor(open: () => Input) {
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

  /**
   * The next line as it was typed, which does not show on the terminal; `show` puts the question there, once nothing shows any
   * more. `interrupt` is called for Ctrl-C, which is a key here.
   * Throws as `answer`.
   */
  async secret(show: () => void, signal: AbortSignal, interrupt: () => void): Promise<string> {
    signal.throwIfAborted();
    this.#interface?.close();
    this.#interface = this.#lines = undefined;
    const input = this.#open();
    const typed = Promise.withResolvers<string>();
    const editor = new SecretLine(interrupt);
    const take = (chunk: Buffer | string): void => {
      const text = this.#ahead + chunk.toString();
      this.#ahead = "";
      const end = editor.type(text);
      if (end === null) return;
      this.#ahead = text.slice(end);
      if (editor.left) typed.reject(new ColdkeepError("E_INTERRUPTED", LEFT));
      else typed.resolve(editor.text);
    };
    const leave = (): void => typed.reject(new ColdkeepError("E_INTERRUPTED", LEFT));
    const stop = (): void => typed.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    input.setRawMode?.(true);
    // A stream that was paused stays so for a new listener.
    input.on("data", take).on("end", leave).resume();
    try {
      show();
      take("");
      return await typed.promise;
    } finally {
      input.pause();
      input.off("data", take).off("end", leave);
      input.setRawMode?.(false);
      signal.removeEventListener("abort", stop);
    }
  }

  close(): void {
    this.#interface?.close();
  }
}

/** What raw keys make of a line. */
class SecretLine {
  readonly #interrupt: () => void;
  #characters: string[] = [];
  /** Whether the person left instead of ending the line. */
  left = false;

  constructor(interrupt: () => void) {
    this.#interrupt = interrupt;
  }

  get text(): string {
    return this.#characters.join("");
  }

  /** Takes keys. Returns where the line ended in them, behind its end; null while it goes on. */
  type(keys: string): number | null {
    let at = 0;
    for (const key of keys) {
      at += key.length;
      if (ENTER.test(key)) return at;
      if (key === CTRL_D) {
        this.left = true;
        return at;
      }
      if (key === CTRL_C) this.#interrupt();
      else if (key === CTRL_U) this.#characters = [];
      else if (BACKSPACE.test(key)) this.#characters.pop();
      else this.#characters.push(key);
    }
    return null;
  }
}
