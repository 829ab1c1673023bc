/** Child tools: a program by its name, arguments without a shell, a fixed locale, a time-out, and what it said last. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { ColdkeepError } from "../errors.ts";

const KIB = 1024;
/** Kept of what a tool printed: whole for what is parsed, the end for what is shown. */
const STDOUT_MAX_BYTES = 64 * KIB * KIB;
const STDERR_KEPT_BYTES = 16 * KIB;
const KILL_AFTER_MS = 5000;
/** After its end, what it printed last is read for so long. */
const PIPES_MS = 1000;
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

/** A tool whose input or output is too much for the memory. */
export type StreamOrder = Omit<ToolOrder, "input"> & {
  input?: string | Buffer | AsyncIterable<Buffer> | undefined;
  /** Takes what it prints, piece by piece; the tool waits until a piece is taken. */
  output?: ((bytes: Buffer) => Promise<void>) | undefined;
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

/** Whether there is a program of this name, or at this path, that can be run: far cheaper than to try. */
export function isProgram(program: string): boolean {
  const places = isAbsolute(program) ? [program] : (toolEnvironment()["PATH"] ?? "").split(delimiter).map((folder) => join(folder, program));
  return places.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The last lines of what a tool said, for a message. */
export function lastLines({ stdout, stderr }: Pick<ToolResult, "stdout" | "stderr">, count = 20): string[] {
  const text = stderr.trim() === "" ? stdout : stderr;
  return text.trimEnd().split("\n").slice(-count);
}

/** A tool that runs, in a process group of its own that is ended whole. */
export class RunningTool {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #program: string;
  readonly #signal: AbortSignal | undefined;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #ended: Promise<number | null>;
  #hardKill: NodeJS.Timeout | undefined;
  #timedOut = false;
  #stderr = Buffer.alloc(0);

  /** Throws the signal's reason. */
  constructor({ argv: [program, ...args], timeoutMs, signal, env, cwd }: Omit<ToolOrder, "input">) {
    signal?.throwIfAborted();
    this.#program = program;
    this.#signal = signal;
    const child = spawn(program, args, { env: toolEnvironment(env), cwd, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    this.child = child;
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      this.end();
    }, timeoutMs);
    signal?.addEventListener("abort", this.end, { once: true });
    child.stderr.on("data", (bytes: Buffer) => {
      this.#stderr = Buffer.concat([this.#stderr, bytes]).subarray(-STDERR_KEPT_BYTES);
    });
    // A tool need not read what it is given.
    child.stdin.on("error", () => undefined);
    this.#ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    this.#ended.catch(() => undefined);
  }

  #killGroup(name: NodeJS.Signals): void {
    try {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, name);
    } catch {
      // It has ended by itself.
    }
  }

  /** Ends it, and all it has started. */
  readonly end = (): void => {
    this.#killGroup("SIGTERM");
    this.#hardKill ??= setTimeout(() => this.#killGroup("SIGKILL"), KILL_AFTER_MS);
  };

  /** What became of it, once it has ended by itself or was ended. Throws E_NOT_FOUND, the signal's reason. */
  async result(): Promise<Omit<ToolResult, "stdout">> {
    try {
      const status = await this.#ended;
      this.#signal?.throwIfAborted();
      return { status, stderr: this.#stderr.toString(), timedOut: this.#timedOut, durationMs: performance.now() - this.#startedAt };
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") {
        throw new ColdkeepError("E_NOT_FOUND", `there is no program "${this.#program}"`, { hint: `Install what brings ${this.#program}, or put it into the PATH.`, cause: error });
      }
      throw error;
    } finally {
      clearTimeout(this.#timer);
      clearTimeout(this.#hardKill);
      this.#signal?.removeEventListener("abort", this.end);
    }
  }
}

async function feed({ child }: RunningTool, input: StreamOrder["input"]): Promise<void> {
  if (input === undefined || typeof input === "string" || Buffer.isBuffer(input)) {
    child.stdin.end(input ?? "");
    return;
  }
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  for await (const bytes of input) {
    if (!child.stdin.writable) return;
    if (!child.stdin.write(bytes)) await Promise.race([once(child.stdin, "drain").catch(() => undefined), gone]);
  }
  child.stdin.end();
}

async function drain(tool: RunningTool, program: string, output: StreamOrder["output"]): Promise<string> {
  if (output === undefined) return gather(tool, program);
  for await (const piece of tool.child.stdout as AsyncIterable<Buffer>) await output(piece);
  return "";
}

/** All of a tool's output. What it started may live on with its pipes open, as a service that a script started does: nobody waits for that. */
async function gather({ child, end }: RunningTool, program: string): Promise<string> {
  const out: Buffer[] = [];
  let bytes = 0;
  child.stdout.on("data", (piece: Buffer) => {
    if ((bytes += piece.length) <= STDOUT_MAX_BYTES) out.push(piece);
    else end();
  });
  child.once("exit", () => setTimeout(() => {
    child.stdout.destroy();
    child.stderr.destroy();
  }, PIPES_MS).unref());
  await new Promise<void>((resolve) => child.stdout.once("close", resolve));
  if (bytes > STDOUT_MAX_BYTES) throw new ColdkeepError("E_DISK", `${program} printed more than 64 MiB`);
  return Buffer.concat(out).toString();
}

/**
 * Runs a tool to its end while its input and output flow. Throws as `runTool` does, and what `input` and `output` throw, with the
 * tool ended.
 */
export async function streamTool(order: StreamOrder): Promise<ToolResult> {
  const tool = new RunningTool(order);
  try {
    const [stdout] = await Promise.all([drain(tool, order.argv[0], order.output), feed(tool, order.input)]);
    return { ...(await tool.result()), stdout };
  } catch (error) {
    tool.end();
    // What ended it says more than how its pipes broke.
    await tool.result();
    throw error;
  }
}

/**
 * Runs a tool to its end, in a process group of its own that a time-out or the signal ends whole. Throws E_NOT_FOUND where there is
 * no such program, the signal's reason, and E_DISK where it prints more than 64 MiB; any exit status is a result.
 */
export async function runTool(order: ToolOrder): Promise<ToolResult> {
  return streamTool(order);
}

/** Throws E_DISK with its last lines when a tool's exit status is not 0. */
export function requireWell(order: Pick<ToolOrder, "argv" | "timeoutMs">, result: ToolResult): void {
  if (result.status === 0 && !result.timedOut) return;
  const how = result.timedOut ? `did not end within ${order.timeoutMs / 1000} s` : `failed with exit status ${result.status ?? "none"}`;
  throw new ColdkeepError("E_DISK", `${order.argv.join(" ")} ${how}: ${lastLines(result, 5).join(" | ")}`);
}

/** As `runTool`, for a tool whose failure is one of ours: throws E_DISK with its last lines when its exit status is not 0. Returns stdout. */
export async function runToolWell(order: ToolOrder): Promise<string> {
  const result = await runTool(order);
  requireWell(order, result);
  return result.stdout;
}
