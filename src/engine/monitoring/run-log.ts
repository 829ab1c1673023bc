/** What is said during a run, kept: as lines of JSON in a file, and the last of it in memory for whoever is told of the run's end. */
import type { LogLevel } from "../../config/watch-schema.ts";
import { LogFile } from "../../disk/log-file.ts";
import { messageOf } from "../../errors.ts";
import type { Secrets } from "../../policy/secrets.ts";

const WEIGHT: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const LINES_KEPT = 200;

/** Fields of a line beside its time, level and message. */
export type LogFields = Readonly<Record<string, unknown>>;

export class RunLog {
  readonly #runId: string;
  readonly #verb: string;
  readonly #secrets: Secrets;
  readonly #lines: string[] = [];
  #host: string | null = null;
  #file: LogFile | undefined;
  #level: LogLevel = "info";
  #trouble: string | null = null;

  /** `verb` as on the command line. */
  constructor(runId: string, verb: string, secrets: Secrets) {
    this.#runId = runId;
    this.#verb = verb;
    this.#secrets = secrets;
  }

  /** Whether lines go to a file already: the one of the command line wins over the configured one. */
  get isOpen(): boolean {
    return this.#file !== undefined;
  }

  /** Why the log is not written, for one warning: a run goes on without it. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Lines go to `path` from now on, made with mode 0600 where it is missing. */
  open(path: string, level: LogLevel): void {
    this.#level = level;
    try {
      this.#file = new LogFile(path);
    } catch (error) {
      this.#trouble = `cannot write the log ${path}: ${messageOf(error)}`;
    }
  }

  /** Whose run it is, once that is known. */
  nameHost(host: string | null): void {
    this.#host = host;
  }

  note(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (WEIGHT[level] >= WEIGHT.info && fields["event"] === undefined) this.#keep(message);
    if (this.#file === undefined || WEIGHT[level] < WEIGHT[this.#level]) return;
    const line = { time: new Date().toISOString(), level, runId: this.#runId, verb: this.#verb, ...(this.#host !== null && { host: this.#host }), message, ...fields };
    try {
      this.#file.append(this.#secrets.without(JSON.stringify(line)));
    } catch (error) {
      this.#trouble = `cannot write the log: ${messageOf(error)}`;
      this.#file.close();
      this.#file = undefined;
    }
  }

  /** The last lines that were said, the oldest first. */
  lastLines(count: number): string[] {
    return count === 0 ? [] : this.#lines.slice(-count);
  }

  #keep(message: string): void {
    this.#lines.push(this.#secrets.without(message));
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
  }
}
