/**
 * Runs the program from outside, as a person or cron would: its own process, a bare environment, no terminal, no
 * standard input. `COLDKEEP_TEST_PROGRAM` names another build of it to test (a `.js` file or an executable).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemCode } from "../../src/errors.ts";
import { afterUse, fileTempDir, removeTree } from "./temp-dir.ts";

export { tempDir } from "./temp-dir.ts";
export { makeTree, treeDigest } from "./tree.ts";

const sourceProgram = fileURLToPath(new URL("../../bin/coldkeep.js", import.meta.url));
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;

export type ProgramOptions = {
  /** Default: a fresh directory, removed afterwards. */
  cwd?: string;
  /** Added to the bare environment, which holds PATH, LC_ALL, TMPDIR and a fresh HOME; give HOME here to keep one between runs. */
  env?: Record<string, string>;
  /** Sent to standard input; without it, input is /dev/null. */
  input?: string | Uint8Array;
  /** Standard input stays open, for the test to write to. */
  typing?: true;
  /** After this time the program is killed and the promise rejects. Default: 60,000. */
  timeoutMs?: number;
  /** Runs as this user and group, without others (root only). The checkout must be readable for it. */
  uid?: number;
  /** Put before the program: `["strace", "-f", "-o", file]`. */
  wrapper?: string[];
};

export type ProgramResult = {
  /** Exit status, or null after a signal. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** The one JSON document on stdout. Throws, showing both outputs, when there is not exactly one. */
  json<T = Record<string, unknown>>(): T;
};

export type RunningProgram = {
  child: ChildProcess;
  /** Resolves when the program has ended and its output is closed. */
  result: Promise<ProgramResult>;
  /** What it has written so far. */
  output(): { stdout: string; stderr: string };
};

function commandLine(args: string[]): [string, ...string[]] {
  const program = process.env["COLDKEEP_TEST_PROGRAM"];
  if (program === undefined || program === "") return [process.execPath, "-C", "dev", sourceProgram, ...args];
  return program.endsWith(".js") ? [process.execPath, program, ...args] : [program, ...args];
}

let compileCache: string | undefined;

function bareEnvironment(home: string, options: ProgramOptions): Record<string, string> {
  const path = process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin";
  const environment: Record<string, string> = { PATH: path, HOME: home, LC_ALL: "C.UTF-8", TMPDIR: tmpdir() };
  // One compile cache for a whole test file; without it root's program would use the real one of the machine.
  if (options.uid === undefined) environment["NODE_COMPILE_CACHE"] = compileCache ??= fileTempDir();
  const coverage = process.env["NODE_V8_COVERAGE"];
  if (coverage !== undefined) environment["NODE_V8_COVERAGE"] = coverage;
  return { ...environment, ...options.env };
}

function parseOnlyDocument(result: ProgramResult): unknown {
  try {
    return JSON.parse(result.stdout);
  } catch (cause) {
    const shown = `stdout:\n${result.stdout.slice(0, 4000)}\nstderr:\n${result.stderr.slice(0, 4000)}`;
    throw new Error(`standard output is not one JSON document (status ${result.status})\n${shown}`, { cause });
  }
}

/** Ends the program with everything it or its wrapper started: they are a process group of their own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (systemCode(error) !== "ESRCH") throw error;
  }
}

/**
 * The folder of every home, made once: where each lay in the temporary folder itself, that would change with every run, and with
 * it the entries above the sources of tests whose nights must have no change.
 */
let homes: string | undefined;

function makeHomes(): string {
  const folder = mkdtempSync(join(tmpdir(), "coldkeep-homes-"));
  chmodSync(folder, 0o755);
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts the program and returns at once, for tests that signal or watch it. A program still running after the test is killed. */
export function startColdkeep(args: string[], options: ProgramOptions = {}): RunningProgram {
  homes ??= makeHomes();
  const home = mkdtempSync(join(homes, "home-"));
  if (options.uid !== undefined) chownSync(home, options.uid, options.uid);
  const [command, ...rest] = [...(options.wrapper ?? []), ...commandLine(args)] as [string, ...string[]];
  const child = spawn(command, rest, {
    cwd: options.cwd ?? home,
    env: bareEnvironment(home, options),
    detached: true,
    stdio: [options.input === undefined && !options.typing ? "ignore" : "pipe", "pipe", "pipe"],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  const pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const text = (name: keyof typeof pieces): string => Buffer.concat(pieces[name]).toString();
  const result = new Promise<ProgramResult>((resolve, reject) => {
    let trouble: Error | undefined;
    const stop = (reason: string): void => {
      trouble ??= new Error(`${reason}: coldkeep ${args.join(" ")}\n${text("stderr").slice(-4000)}`);
      killGroup(child);
    };
    const limitMs = options.timeoutMs ?? 60_000;
    const timer = setTimeout(() => stop(`still running after ${limitMs} ms`), limitMs);
    let bytes = 0;
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.on("data", (piece: Buffer) => {
        bytes += piece.length;
        if (bytes > OUTPUT_BYTES_MAX) stop("endless output");
        else pieces[name].push(piece);
      });
    }
    child.on("error", (error) => (trouble ??= error));
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      removeTree(home);
      if (trouble) return reject(trouble);
      const ended: ProgramResult = {
        status,
        signal,
        stdout: text("stdout"),
        stderr: text("stderr"),
        json: <T>() => parseOnlyDocument(ended) as T,
      };
      resolve(ended);
    });
  });
  // A program may end without reading its input; the broken pipe is its right.
  child.stdin?.on("error", () => undefined);
  if (!options.typing) child.stdin?.end(options.input);
  afterUse(() => killGroup(child));
  return { child, result, output: () => ({ stdout: text("stdout"), stderr: text("stderr") }) };
}

/** Runs the program to its end. Rejects only when it could not start, ran out of time or wrote without end. */
export function runColdkeep(args: string[], options: ProgramOptions = {}): Promise<ProgramResult> {
  return startColdkeep(args, options).result;
}

/** Waits until `check` holds, asking every 10 ms; throws naming `what` after `limitMs`. */
export async function waitUntil(what: string, check: () => boolean, limitMs = 30_000): Promise<void> {
  const deadlineMs = Date.now() + limitMs;
  while (!check()) {
    if (Date.now() > deadlineMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
