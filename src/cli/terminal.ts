/**
 * The only file that writes to stdout and stderr. stdout is data, stderr is talk. Control characters and secrets are
 * taken out of everything on the way. A reader that goes away (EPIPE) is no error to report: nobody is left to read it.
 */
import type { Writable } from "node:stream";
import { printable, printableLines } from "../commands/printable.ts";
import type { Terminal, Tone, VerdictLine } from "../commands/terminal-port.ts";
import { ColdkeepError, type ErrorCode, systemCode } from "../errors.ts";
import { Progress } from "./progress.ts";
import type { Questions } from "./questions.ts";

export type OutputStream = Writable & { isTTY?: boolean; columns?: number };

export type TerminalOptions = {
  stdout: OutputStream;
  stderr: OutputStream;
  quiet: boolean;
  verbose: boolean;
  debug: boolean;
  json: boolean;
  /** `--no-color`. */
  noColor?: boolean;
  /** Absent where standard input is no terminal. */
  questions?: Questions | undefined;
  env: Readonly<Record<string, string | undefined>>;
};

/** What an error is to a person and to a program. */
export type ErrorReport = { code: ErrorCode; message: string; hint?: string | undefined; stack?: string | undefined };

/** Thrown by `data` once the reader of stdout has gone, so that a long listing stops. */
export class OutputClosed extends Error {
  static {
    this.prototype.name = "OutputClosed";
  }
}

const SCHEMA_VERSION = 1;
const COLORS: Record<Tone, number> = { good: 32, doubtful: 33, bad: 31 };
const SECRETS = /(?:AGE-SECRET-KEY-|ed25519-secret:)[^\s"'\\]*/gi;

function painted(text: string, color: number): string {
  return `\x1b[${color}m${text}\x1b[0m`;
}

function withoutSecrets(text: string): string {
  return text.replace(SECRETS, "[a secret key]");
}

export class ProcessTerminal implements Terminal {
  readonly isTerminal: boolean;
  readonly wantsJson: boolean;
  readonly canAsk: boolean;
  readonly #options: TerminalOptions;
  readonly #color: boolean;
  readonly #colorOut: boolean;
  readonly #progress: Progress | undefined;
  #closed = false;
  #outputError: Error | undefined;
  #documentPrinted = false;

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.isTerminal = options.stderr.isTTY === true;
    this.wantsJson = options.json;
    this.canAsk = this.isTerminal && options.questions !== undefined && !options.quiet && !options.json;
    const mayColor = options.noColor !== true && !options.env["NO_COLOR"] && options.env["TERM"] !== "dumb";
    this.#color = this.isTerminal && mayColor;
    this.#colorOut = options.stdout.isTTY === true && mayColor;
    // A terminal may not know its width, as in some containers; the progress line would then never stop being cleared.
    const canProgress = this.isTerminal && (options.stderr.columns ?? 0) > 0 && options.env["TERM"] !== "dumb";
    this.#progress = canProgress && !options.quiet && !options.json ? new Progress(options.stderr, this.#color) : undefined;
    options.stdout.on("error", (error) => {
      this.#closed = true;
      if (systemCode(error) !== "EPIPE") this.#outputError ??= error;
    });
    // Nothing can be said any more, and nobody is there to hear it.
    options.stderr.on("error", () => {});
  }

  data(text: string): void {
    if (this.#closed) throw new OutputClosed();
    this.#out(`${printableLines(withoutSecrets(text))}\n`);
  }

  report(lines: readonly (string | VerdictLine)[]): void {
    if (this.#closed) throw new OutputClosed();
    const safe = (text: string): string => printableLines(withoutSecrets(text));
    const shown = (line: string | VerdictLine): string => {
      if (typeof line === "string") return safe(line);
      const word = this.#colorOut ? painted(safe(line.word), COLORS[line.tone]) : safe(line.word);
      return `${safe(line.before)}${word}${safe(line.after)}`;
    };
    this.#out(`${lines.map(shown).join("\n")}\n`);
  }

  secretData(text: string): void {
    if (this.#closed) throw new OutputClosed();
    this.#out(`${printableLines(text)}\n`);
  }

  json(document: Record<string, unknown>): void {
    if (this.#documentPrinted) throw new ColdkeepError("E_INTERNAL", "a second JSON document was about to be printed");
    this.#documentPrinted = true;
    this.#out(`${printableLines(withoutSecrets(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document })))}\n`);
  }

  say(text: string): void {
    if (!this.#options.quiet) this.#err(text);
  }

  status(text: string): void {
    if (!this.#options.quiet && (this.isTerminal || this.#options.verbose)) this.#err(text);
  }

  detail(text: string): void {
    if (this.#options.verbose) this.#err(text);
  }

  warn(text: string, hint?: string): void {
    this.#err(text, "warning", 33);
    if (hint !== undefined) this.#err(hint, "hint", 36);
  }

  async ask(question: string, signal: AbortSignal): Promise<string> {
    const { questions } = this.#options;
    if (questions === undefined) throw new ColdkeepError("E_INTERNAL", "a question was asked where nobody can answer");
    this.#options.stderr.write(`${printable(withoutSecrets(question))} `);
    return questions.answer(signal);
  }

  progress(text: string): void {
    this.#progress?.update(printable(withoutSecrets(text)));
  }

  /** The end of a failed run: on stderr, and with `--json` as the one document, where none was printed yet. */
  fail(report: ErrorReport): void {
    this.stop();
    this.#err(report.message, "error", 31);
    if (report.hint !== undefined) this.#err(report.hint, "hint", 36);
    if (this.#options.debug && report.stack !== undefined) {
      for (const line of report.stack.split("\n")) this.#err(`  ${line.trim()}`);
    }
    const { code, message, hint } = report;
    if (this.wantsJson && !this.#documentPrinted) this.json({ error: { code, message, ...(hint !== undefined && { hint }) } });
  }

  /** Why stdout could not be written, as on a full disk. A reader that went away is no such reason. */
  get outputError(): Error | undefined {
    return this.#outputError;
  }

  /** Takes the progress line away. */
  stop(): void {
    this.#progress?.stop();
    this.#options.questions?.close();
  }

  /** Resolves when everything written has left the process, or cannot any more. */
  async flush(): Promise<void> {
    for (const stream of [this.#options.stdout, this.#options.stderr]) {
      await new Promise<void>((resolve) => {
        if (stream.destroyed || !stream.writable) resolve();
        else stream.write("", () => resolve());
      });
    }
  }

  #out(text: string): void {
    if (this.#closed) return;
    // Where both go to one terminal, the progress line would stand in the middle of the data.
    if (this.#progress) this.#progress.around(() => this.#options.stdout.write(text));
    else this.#options.stdout.write(text);
  }

  #err(text: string, label?: string, color?: number): void {
    const shown = label !== undefined && color !== undefined && this.#color ? painted(label, color) : label;
    const line = `${shown === undefined ? "" : `coldkeep: ${shown}: `}${printable(withoutSecrets(text))}\n`;
    const write = (): void => {
      if (!this.#options.stderr.destroyed) this.#options.stderr.write(line);
    };
    if (this.#progress) this.#progress.around(write);
    else write();
  }
}
