/** Runs a command from outside and measures it with everything it starts. */
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const rusage = fileURLToPath(new URL("./rusage.ts", import.meta.url));

const KILL_AFTER_MS = 5000;

export type Cost = {
  wallMs: number;
  /** User and system time of the command and its children. */
  cpuMs: number;
  /** Largest resident set of one process. */
  peakBytes: number;
};

export type Measured = Cost & { stdout: string };

export type Command = { argv: readonly [string, ...string[]]; env: Record<string, string> };

/** Measures commands, with their scratch in one folder. */
export class Meter {
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #isCold: boolean;
  #count = 0;

  /** With `isCold` nothing is in the page cache when a command begins. */
  constructor(folder: string, signal: AbortSignal, isCold = false) {
    this.#folder = folder;
    this.#signal = signal;
    this.#isCold = isCold;
  }

  /** Throws, with what the command said, when it does not exit 0, and when the signal is given. */
  async run({ argv, env }: Command): Promise<Measured> {
    this.#signal.throwIfAborted();
    if (this.#isCold) emptyPageCache();
    const file = join(this.#folder, `usage-${this.#count++}.json`);
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", rusage, file, ...argv], {
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C.UTF-8", HOME: this.#folder, TMPDIR: this.#folder, ...env },
      cwd: this.#folder,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    // The command is a child of the measuring process: both end with their group.
    let killer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      endGroup(child.pid, "SIGTERM");
      killer = setTimeout(() => endGroup(child.pid, "SIGKILL"), KILL_AFTER_MS);
    };
    this.#signal.addEventListener("abort", stop, { once: true });
    const text = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (piece: string) => (text.stdout += piece));
    child.stderr.setEncoding("utf8").on("data", (piece: string) => (text.stderr += piece));
    await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
    clearTimeout(killer);
    this.#signal.removeEventListener("abort", stop);
    this.#signal.throwIfAborted();
    const usage = parseUsage(file);
    if (usage?.status === 0) return { ...usage, stdout: text.stdout };
    throw new Error(`${argv.join(" ")} ended with ${usage?.status}:\n${text.stdout.slice(-2000)}\n${text.stderr.slice(-4000)}`);
  }
}

/** Documentation/admin-guide/sysctl/vm.rst of Linux: 3 drops pages, directory entries and inodes that are clean. */
function emptyPageCache(): void {
  execFileSync("sync");
  writeFileSync("/proc/sys/vm/drop_caches", "3");
}

function endGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It has just ended.
  }
}

function parseUsage(file: string): (Cost & { status: number | null }) | undefined {
  try {
    const value: Cost & { status: number | null } = JSON.parse(readFileSync(file, "utf8"));
    rmSync(file);
    return value;
  } catch {
    return undefined;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
