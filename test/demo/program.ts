/** Runs the program as a person would: its own process, and no environment of the caller that could lead it elsewhere. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../bin/coldkeep.js", import.meta.url));

export type Run = {
  status: number | null;
  /** The document on standard output, null where there is none. */
  document: Record<string, unknown> | null;
  stderr: string;
  durationMs: number;
};

/** A program that keeps everything it writes of its own accord below one folder. */
export class Program {
  readonly #environment: Record<string, string>;
  readonly #cwd: string;
  readonly #signal: AbortSignal;

  constructor(folder: string, signal: AbortSignal) {
    const home = join(folder, "home");
    mkdirSync(home);
    this.#cwd = folder;
    this.#signal = signal;
    this.#environment = {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: home,
      XDG_CACHE_HOME: join(home, "cache"),
      NODE_COMPILE_CACHE: join(home, "cache"),
      TMPDIR: folder,
      LC_ALL: "C.UTF-8",
    };
  }

  /** Runs a verb with `--json` to its end, whatever its exit status. Throws when it could not be started, or the demo was stopped. */
  async run(...args: string[]): Promise<Run> {
    const begin = performance.now();
    this.#signal.throwIfAborted();
    const child = spawn(process.execPath, [program, ...args, "--json"], { cwd: this.#cwd, env: this.#environment, stdio: ["ignore", "pipe", "pipe"] });
    const stop = (): boolean => child.kill("SIGTERM");
    this.#signal.addEventListener("abort", stop, { once: true });
    const pieces: Buffer[] = [];
    const words: Buffer[] = [];
    child.stdout.on("data", (piece: Buffer) => pieces.push(piece));
    child.stderr.on("data", (piece: Buffer) => words.push(piece));
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    this.#signal.removeEventListener("abort", stop);
    this.#signal.throwIfAborted();
    return { status, document: parseDocument(Buffer.concat(pieces).toString()), stderr: Buffer.concat(words).toString(), durationMs: performance.now() - begin };
  }
}

function parseDocument(text: string): Record<string, unknown> | null {
  if (text.trim() === "") return null;
  const value: unknown = JSON.parse(text);
  return typeof value === "object" && value !== null ? { ...value } : null;
}

/** A number of the document, 0 where it is missing. */
export function numberIn(run: Run, key: string): number {
  const value = run.document?.[key];
  return typeof value === "number" ? value : 0;
}

/** A list of texts of the document, empty where it is missing. */
export function listIn(run: Run, key: string): string[] {
  const value = run.document?.[key];
  return Array.isArray(value) ? value.map(String) : [];
}
