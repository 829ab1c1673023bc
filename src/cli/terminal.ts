/**
 * The only file that writes to stdout and stderr. stdout is data, stderr is talk. Control characters and secrets are
 * taken out of everything on the way. A reader that goes away (EPIPE) is no error to report: nobody is left to read it.
 */
import type { Writable } from "node:stream";
import { printable, printableLines } from "../commands/printable.ts";
import { type ErrorReport, OutputClosed, type Terminal, type Tone, type VerdictLine } from "../commands/terminal-port.ts";
import type { LogLevel } from "../config/watch-schema.ts";
import type { RunLog } from "../engine/monitoring/run-log.ts";
import { ColdkeepError, systemCode } from "../errors.ts";
import type { Secrets } from "../policy/secrets.ts";
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
  /** Whether stderr is the journal, which takes a priority before each line (sd-daemon(3)). */
  toJournal: boolean;
  /** Gets every line of talk too, whether it is shown or not. */
  log: RunLog;
  secrets: Secrets;
};

/** The journal's priorities, those of syslog(3). */
const PRIORITY: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 };

const COLORS = { warning: 33, hint: 36, error: 31 };
type Label = keyof typeof COLORS;

const SCHEMA_VERSION = 1;
const TONES: Record<Tone, number> = { good: 32, doubtful: 33, bad: 31 };

function painted(text: string, color: number): string {
  return `\x1b[${color}m${text}\x1b[0m`;
}

export class ProcessTerminal implements Terminal {
  readonly isTerminal: boolean;
  readonly columns: number | undefined;
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
    this.columns = options.stdout.isTTY === true && (options.stdout.columns ?? 0) > 0 ? options.stdout.columns : undefined;
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
    this.#out(`${printableLines(this.#options.secrets.without(text))}\n`);
  }

  report(lines: readonly (string | VerdictLine)[]): void {
    if (this.#closed) throw new OutputClosed();
    const safe = (text: string): string => printableLines(this.#options.secrets.without(text));
    const shown = (line: string | VerdictLine): string => {
      if (typeof line === "string") return safe(line);
      const word = this.#colorOut ? painted(safe(line.word), TONES[line.tone]) : safe(line.word);
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
    this.#out(`${printableLines(this.#options.secrets.without(JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document })))}\n`);
  }

  say(text: string): void {
    this.#talk("info", text, !this.#options.quiet);
  }

  status(text: string): void {
    this.#talk("info", text, !this.#options.quiet && (this.isTerminal || this.#options.verbose));
  }

  detail(text: string): void {
    this.#talk("debug", text, this.#options.verbose);
  }

  warn(text: string, hint?: string): void {
    this.#talk("warn", text, true, "warning", hint);
  }

  async ask(question: string, signal: AbortSignal): Promise<string> {
    const { questions } = this.#options;
    if (questions === undefined) throw new ColdkeepError("E_INTERNAL", "a question was asked where nobody can answer");
    this.#options.stderr.write(`${printable(this.#options.secrets.without(question))} `);
    return questions.answer(signal);
  }

  async askSecret(question: string, signal: AbortSignal): Promise<string> {
    const { questions, stderr, secrets } = this.#options;
    if (questions === undefined) throw new ColdkeepError("E_INTERNAL", "a secret was asked for where nobody can answer");
    const show = (): void => void stderr.write(`${printable(secrets.without(question))} `);
    try {
      return await questions.secret(show, signal, () => process.kill(process.pid, "SIGINT"));
    } finally {
      // Enter was not shown either.
      stderr.write("\n");
    }
  }

  progress(text: string): void {
    this.#progress?.update(printable(this.#options.secrets.without(text)));
  }

  fail(report: ErrorReport): void {
    this.stop();
    const { code, message, hint, stack } = report;
    this.#talk("error", message, true, "error", hint, code);
    if (this.#options.debug && stack !== undefined) {
      for (const line of stack.split("\n")) this.#err("error", `  ${line.trim()}`);
    }
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

  /** One thing to say: to the log always, to stderr where it is `shown`. */
  #talk(level: LogLevel, text: string, shown: boolean, label?: Label, hint?: string, code?: string): void {
    const { log } = this.#options;
    log.note(level, printable(text), { ...(code !== undefined && { code }), ...(hint !== undefined && { hint: printable(hint) }) });
    if (!shown) return;
    this.#err(level, text, label);
    if (hint !== undefined) this.#err(level, hint, "hint");
  }

  #err(level: LogLevel, text: string, label?: Label): void {
    const { stderr, secrets, toJournal } = this.#options;
    const shown = label !== undefined && this.#color ? painted(label, COLORS[label]) : label;
    const priority = toJournal ? `<${PRIORITY[level]}>` : "";
    // What a tool said fills several lines; further ones are set in, so that none can be taken for a line of ours.
    const lines = label === "error" ? secrets.without(text).split("\n") : [secrets.without(text)];
    const line = lines.map((each, at) => `${priority}${at > 0 ? "  " : shown === undefined ? "" : `coldkeep: ${shown}: `}${printable(each)}\n`).join("");
    const write = (): void => {
      if (!stderr.destroyed) stderr.write(line);
    };
    if (this.#progress) this.#progress.around(write);
    else write();
  }
}
