/** Verbs of the program within the test's own process: the same code from argv to exit status, without a start of Node for each. */
import { randomUUID } from "node:crypto";
import { PassThrough } from "node:stream";
import { parseArgv } from "../../src/cli/build-program.ts";
import { ProcessTerminal } from "../../src/cli/terminal.ts";
import { failureOf } from "../../src/commands/failure.ts";
import { COMMANDS } from "../../src/commands/registry.ts";
import { RunLog } from "../../src/engine/monitoring/run-log.ts";
import { Secrets } from "../../src/policy/secrets.ts";
import type { ProgramResult } from "./program.ts";

export type InProcessOptions = { env?: Record<string, string>; cwd?: string; signal?: AbortSignal };

async function textOf(stream: PassThrough): Promise<string> {
  stream.end();
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(pieces).toString();
}

/** Runs one command line. Rejects only for a command line that asks for help. */
export async function runInProcess(argv: readonly string[], options: InProcessOptions = {}): Promise<ProgramResult> {
  const { cwd = "/", signal = new AbortController().signal } = options;
  const env = { ...options.env, NO_COLOR: "1" };
  const parsed = parseArgv(argv, COMMANDS, "0.0.0");
  if (parsed.kind !== "run") throw new Error(`no verb: ${argv.join(" ")}`);
  const [stdout, stderr] = [new PassThrough({ highWaterMark: 1 << 26 }), new PassThrough({ highWaterMark: 1 << 26 })];
  // As if a person watched: what nobody waits for takes a low priority, and that would be this process's for good.
  Object.assign(stderr, { isTTY: true });
  const secrets = new Secrets(env);
  const runId = randomUUID();
  const log = new RunLog(runId, parsed.verb, secrets);
  const terminal = new ProcessTerminal({ stdout, stderr, env, toJournal: false, log, secrets, ...parsed.flags });
  const crash = new Promise<never>(() => undefined);
  let status: number;
  try {
    status = await parsed.run({ terminal, signal, crash, env, cwd, uid: process.geteuid?.() ?? 0, program: ["coldkeep"], version: "0.0.0", now: () => Date.now(), runId, verbosity: "normal", log, secrets });
  } catch (error) {
    const { exitStatus, report } = failureOf(error, signal);
    if (report !== null) terminal.fail(report);
    status = exitStatus;
  }
  terminal.stop();
  const ended = { out: await textOf(stdout), err: await textOf(stderr) };
  return { status, signal: null, stdout: ended.out, stderr: ended.err, json: <T>() => JSON.parse(ended.out) as T };
}
