/** What a command may say, and where it goes; `cli/terminal.ts` does it. Every text loses its control characters on the way. */

import type { ErrorCode } from "../errors.ts";

/** What an error is to a person and to a program. */
export type ErrorReport = { code: ErrorCode; message: string; hint?: string | undefined; stack?: string | undefined };

/** Thrown by `data` once the reader of stdout has gone, so that a long listing stops. */
export class OutputClosed extends Error {
  static {
    this.prototype.name = "OutputClosed";
  }
}

export type Tone = "good" | "doubtful" | "bad";

/** A line of data about one word, which has a colour where stdout is a terminal; the word alone says it all. */
export type VerdictLine = { before: string; word: string; tone: Tone; after: string };

export type Terminal = {
  /** Whether a person is watching: stderr is a terminal. */
  readonly isTerminal: boolean;
  /** Characters in a line of stdout, where that is a terminal that knows. */
  readonly columns: number | undefined;
  /** `--json`: one document on stdout, and no `data`. */
  readonly wantsJson: boolean;
  /** Data for stdout: one or more lines. Names in it go through `printable` first: a newline here ends the line. */
  data(text: string): void;
  /** Data with verdicts in it. */
  report(lines: readonly (string | VerdictLine)[]): void;
  /** The same for the one thing that is meant to show secret keys: a kit being printed. */
  secretData(text: string): void;
  /** The one document of `--json`, on stdout; `schemaVersion` is added. Throws E_INTERNAL when called twice. */
  json(document: Record<string, unknown>): void;
  /** One line on stderr, unless `-q`. */
  say(text: string): void;
  /** One line on how a routine run went: on stderr, on a terminal or with `-v` only, so that cron has nothing to mail. */
  status(text: string): void;
  /** One line on stderr with `-v` only. */
  detail(text: string): void;
  /** `coldkeep: warning: …`, and a `hint:` line; also with `-q`. */
  warn(text: string, hint?: string): void;
  /** Whether a person can be asked: at a terminal, without `-q` and `--json`. */
  readonly canAsk: boolean;
  /**
   * Asks on stderr and resolves to the answer, without blanks around it. Only where `canAsk`.
   * Throws E_INTERRUPTED at the end of the input, and the signal's reason.
   */
  ask(question: string, signal: AbortSignal): Promise<string>;
  /** The same for a secret, which does not show while it is typed and is taken as it is, blanks included. */
  askSecret(question: string, signal: AbortSignal): Promise<string>;
  /** Replaces the progress line; shown on a terminal only, never with `-q` or `--json`. */
  progress(text: string): void;
  /** The end of a failed run: on stderr, and with `--json` as the one document, where none was printed yet. */
  fail(report: ErrorReport): void;
};
