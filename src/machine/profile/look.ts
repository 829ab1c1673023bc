/** A look at one system: its root directory, its files, its tools; what cannot be seen is a gap, never an error. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { messageOf, systemCode } from "../../errors.ts";
import { MIB } from "../../units.ts";
import { isProgram, runTool } from "../run-tool.ts";

export type Gap = { what: string; why: string };

/** Files a profile reads are small; what is larger is no file of that kind. */
const FILE_BYTES_MAX = 64 * MIB;
/** Codes that say that nothing is there. */
const ABSENT = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

export class Look {
  /** The system's root directory. */
  readonly root: string;
  /** Whether that is the system that runs: its tools and its /proc can be asked. */
  readonly isLive: boolean;
  readonly gaps: Gap[] = [];
  readonly #signal: AbortSignal | undefined;
  readonly #known = new Set<string>();

  constructor(root = "/", signal?: AbortSignal) {
    this.root = root;
    this.isLive = root === "/";
    this.#signal = signal;
  }

  /** A look at the same system whose gaps are of no interest. */
  quietly(): Look {
    return new Look(this.root, this.#signal);
  }

  /** Notes what could not be found out; the same twice is noted once. */
  gap(what: string, why: unknown): void {
    const reason = why instanceof Error ? messageOf(why) : String(why);
    if (this.#known.has(`${what}\0${reason}`)) return;
    this.#known.add(`${what}\0${reason}`);
    this.gaps.push({ what, why: reason });
  }

  /** Where a path of the system lies for us. */
  at(path: string): string {
    return this.isLive ? path : join(this.root, path);
  }

  /** Calls `work`; what it throws is null: silently where nothing is there, else with a gap. */
  #try<T>(path: string, work: (real: string) => T): T | null {
    try {
      return work(this.at(path));
    } catch (error) {
      if (!ABSENT.has(systemCode(error) ?? "")) this.gap(path, error);
      return null;
    }
  }

  bytes(path: string): Buffer | null {
    return this.#try(path, (real) => {
      const { size } = lstatSync(real);
      if (size > FILE_BYTES_MAX) throw new Error(`is ${size} bytes long, more than is read`);
      return readFileSync(real);
    });
  }

  /** Null where the file is missing, and where it cannot be read, which is a gap. */
  text(path: string): string | null {
    return this.bytes(path)?.toString() ?? null;
  }

  /** Names in a directory, sorted; none where it is missing. */
  names(path: string): string[] {
    return this.#try(path, (real) => readdirSync(real).sort()) ?? [];
  }

  stat(path: string): Stats | null {
    return this.#try(path, (real) => lstatSync(real));
  }

  /** Target of a symbolic link as it is written. */
  link(path: string): string | null {
    return this.#try(path, (real) => readlinkSync(real));
  }

  /** What a tool prints, where this is the live system and the tool ends well; null where there is no such tool, and with a gap where it fails. */
  async tool(what: string, argv: readonly [string, ...string[]], timeoutMs: number, goodStatuses: readonly number[] = [0]): Promise<string | null> {
    if (!this.isLive || !isProgram(argv[0])) return null;
    try {
      const { status, stdout, stderr, timedOut } = await runTool({ argv, timeoutMs, signal: this.#signal });
      if (timedOut) this.gap(what, `${argv[0]} did not end within ${timeoutMs / 1000} s`);
      else if (status === null || !goodStatuses.includes(status)) this.gap(what, `${argv[0]}: ${stderr.trim().split("\n").at(-1) ?? ""}`);
      else return stdout;
    } catch (error) {
      if (this.#signal?.aborted === true) throw error;
      this.gap(what, error);
    }
    return null;
  }
}
