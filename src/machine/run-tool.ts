/** Child tools: a program by its name, arguments without a shell, a fixed locale, a time-out, and what it said last. */
import { spawn } from "node:child_process";
import { ColdkeepError } from "../errors.ts";

const KIB = 1024;
/** Kept of what a tool printed: whole for what is parsed, the end for what is shown. */
const STDOUT_MAX_BYTES = 64 * KIB * KIB;
const STDERR_KEPT_BYTES = 16 * KIB;
const KILL_AFTER_MS = 5000;
const USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export type ToolOrder = {
  /** Program and arguments. */
  argv: readonly [string, ...string[]];
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Beside PATH, HOME, LC_ALL and TZ. Secrets go here or to a private file, never into `argv`. */
  env?: Readonly<Record<string, string>> | undefined;
  cwd?: string | undefined;
  /** Written to its stdin, which is then closed. Default: nothing. */
  input?: string | Buffer | undefined;
};

export type ToolResult = {
  /** Null where a signal ended it. */
  status: number | null;
  stdout: string;
  /** The last 16 KiB. */
  stderr: string;
  timedOut: boolean;
  durationMs: number;
};

/** What every child tool sees of the environment: nothing of ours but the path, so that its output can be parsed everywhere. */
export function toolEnvironment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { PATH = USUAL_PATH, HOME = "/root" } = process.env;
  return { PATH, HOME, LC_ALL: "C.UTF-8", LANG: "C.UTF-8", TZ: "UTC", ...more };
}

/** The last lines of what a tool said, for a message. */
export function lastLines({ stdout, stderr }: Pick<ToolResult, "stdout" | "stderr">, count = 20): string[] {
  const text = stderr.trim() === "" ? stdout : stderr;
  return text.trimEnd().split("\n").slice(-count);
}

/**
 * Runs a tool to its end, in a process group of its own that a time-out or the signal ends whole. Throws E_NOT_FOUND where there is
 * no such program, the signal's reason, and E_DISK where it prints more than 64 MiB; any exit status is a result.
 */
export async function runTool(order: ToolOrder): Promise<ToolResult> {
  const { argv: [program, ...args], timeoutMs, signal, env, cwd, input } = order;
  signal?.throwIfAborted();
  const startedAt = performance.now();
  const child = spawn(program, args, { env: toolEnvironment(env), cwd, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const killGroup = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // It has ended by itself.
    }
  };
  let hardKill: NodeJS.Timeout | undefined;
  const end = (): void => {
    killGroup("SIGTERM");
    hardKill ??= setTimeout(() => killGroup("SIGKILL"), KILL_AFTER_MS);
  };
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, timeoutMs);
  signal?.addEventListener("abort", end, { once: true });
  const out: Buffer[] = [];
  let outBytes = 0;
  let err = Buffer.alloc(0);
  child.stdout.on("data", (bytes: Buffer) => {
    outBytes += bytes.length;
    if (outBytes <= STDOUT_MAX_BYTES) out.push(bytes);
    else end();
  });
  child.stderr.on("data", (bytes: Buffer) => {
    err = Buffer.concat([err, bytes]).subarray(-STDERR_KEPT_BYTES);
  });
  // A tool need not read what it is given.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    signal?.throwIfAborted();
    if (outBytes > STDOUT_MAX_BYTES) throw new ColdkeepError("E_DISK", `${program} printed more than 64 MiB`);
    return { status, stdout: Buffer.concat(out).toString(), stderr: err.toString(), timedOut, durationMs: performance.now() - startedAt };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new ColdkeepError("E_NOT_FOUND", `there is no program "${program}"`, { hint: `Install what brings ${program}, or put it into the PATH.`, cause: error });
    }
    throw error;
  } finally {
    clearTimeout(timer);
    clearTimeout(hardKill);
    signal?.removeEventListener("abort", end);
  }
}

/** As `runTool`, for a tool whose failure is one of ours: throws E_DISK with its last lines when its exit status is not 0. Returns stdout. */
export async function runToolWell(order: ToolOrder): Promise<string> {
  const result = await runTool(order);
  if (result.status === 0 && !result.timedOut) return result.stdout;
  const how = result.timedOut ? `did not end within ${order.timeoutMs / 1000} s` : `failed with exit status ${result.status ?? "none"}`;
  throw new ColdkeepError("E_DISK", `${order.argv.join(" ")} ${how}: ${lastLines(result, 5).join(" | ")}`);
}
