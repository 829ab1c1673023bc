/** Many lines for stdout, gathered so that each does not cost a system call. */
import type { Terminal } from "./terminal-port.ts";

const HELD_CHARACTERS_MAX = 64 * 1024;

/** Lines go out in pieces of 64 Ki characters; `end` sends the rest. */
export class LinePrinter {
  readonly #terminal: Terminal;
  #lines: string[] = [];
  #held = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** `line` is safe to print already. */
  print(line: string): void {
    this.#lines.push(line);
    this.#held += line.length;
    if (this.#held > HELD_CHARACTERS_MAX) this.end();
  }

  end(): void {
    if (this.#lines.length > 0) this.#terminal.data(this.#lines.join("\n"));
    this.#lines = [];
    this.#held = 0;
  }
}
