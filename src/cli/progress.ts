/** The progress line on a terminal. The library behind it is loaded when there is something to show, and never before. */
import type { Ora } from "ora";

type ProgressStream = NodeJS.WritableStream & { columns?: number };

/** What the spinner and its blank take of the line. */
const MARGIN = 3;

export class Progress {
  readonly #stream: ProgressStream;
  readonly #hasColor: boolean;
  #spinner: Ora | undefined;
  #text = "";
  #loading = false;
  #stopped = false;

  constructor(stream: ProgressStream, hasColor: boolean) {
    this.#stream = stream;
    this.#hasColor = hasColor;
  }

  /** Shows `text` in place of what was shown. */
  update(text: string): void {
    if (this.#stopped) return;
    // One line at the most, or each update would scroll the terminal.
    this.#text = text.slice(0, Math.max(0, (this.#stream.columns ?? 0) - MARGIN));
    if (this.#spinner) this.#spinner.text = this.#text;
    else void this.#start();
  }

  async #start(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const { default: ora } = await import("ora");
    if (this.#stopped) return;
    // Standard input stays as it is: in raw mode Ctrl-C would have to wait for the event loop.
    this.#spinner = ora({ text: this.#text, stream: this.#stream, discardStdin: false, isEnabled: true, color: this.#hasColor ? "cyan" : false }).start();
  }

  /** Lets another line onto the terminal: the progress line gives way and comes back below it. */
  around(write: () => void): void {
    this.#spinner?.clear();
    write();
    this.#spinner?.render();
  }

  /** Takes the line away for good. */
  stop(): void {
    this.#stopped = true;
    this.#spinner?.stop();
  }
}
