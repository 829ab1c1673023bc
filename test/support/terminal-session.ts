/** The program on a terminal of its own (a pty by `script`), and a person who types at it. */
import { type ProgramOptions, type ProgramResult, startColdkeep, waitUntil } from "./program.ts";

/** Put before a program: it then runs on a terminal so many columns wide. */
export function onTerminal(columns: number): string[] {
  return ["bash", "-c", `exec script -qec "stty cols ${columns}; $(printf "%q " "$@")" /dev/null`, "bash"];
}

export class TerminalSession {
  readonly #running;
  /** How much of the screen was waited for already. */
  #seen = 0;

  constructor(args: string[], options: ProgramOptions & { columns?: number } = {}) {
    const { columns = 100, ...rest } = options;
    this.#running = startColdkeep(args, { ...rest, env: { TERM: "xterm", ...rest.env }, wrapper: onTerminal(columns), typing: true });
  }

  /** All that was shown until now, without the carriage returns of a terminal. */
  get screen(): string {
    return this.#running.output().stdout.replaceAll("\r", "");
  }

  /** Waits for a prompt after what was waited for before, and types a line. */
  async answer(prompt: string, line: string): Promise<void> {
    await this.until(prompt);
    this.type(`${line}\n`);
  }

  async until(text: string): Promise<void> {
    await waitUntil(`"${text}" on the terminal`, () => this.screen.includes(text, this.#seen));
    this.#seen = this.screen.indexOf(text, this.#seen) + text.length;
  }

  type(keys: string): void {
    this.#running.child.stdin?.write(keys);
  }

  async end(): Promise<ProgramResult> {
    const result = await this.#running.result;
    return { ...result, stdout: result.stdout.replaceAll("\r", "") };
  }
}
