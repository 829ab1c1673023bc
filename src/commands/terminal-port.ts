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

export type Terminal = {
  /** Whether a person is watching: stderr is a terminal. */
  readonly isTerminal: boolean;
  /** `--json`: one document on stdout, and no `data`. */
  readonly wantsJson: boolean;
  /** Data for stdout: one or more lines. Names in it go through `printable` first: a newline here ends the line. */
  data(text: string): void;
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
  /** Replaces the progress line; shown on a terminal only, never with `-q` or `--json`. */
  progress(text: string): void;
  /** The end of a failed run: on stderr, and with `--json` as the one document, where none was printed yet. */
  fail(report: ErrorReport): void;
};
