/** One run of the program: command line → verb → exit status, with every failure reported in one way. */
import { randomUUID } from "node:crypto";
import { fstatSync } from "node:fs";
import { resolve } from "node:path";
import { isatty } from "node:tty";
import type { CommandContext } from "../commands/command.ts";
import { failureOf } from "../commands/failure.ts";
import { printable } from "../commands/printable.ts";
import { COMMANDS } from "../commands/registry.ts";
import type { Terminal } from "../commands/terminal-port.ts";
import { RunLog } from "../engine/monitoring/run-log.ts";
import { singleFile } from "../engine/single-file.ts";
import { ColdkeepError, EXIT, type ExitStatus, messageOf } from "../errors.ts";
import { Secrets } from "../policy/secrets.ts";
import { type OutputFlags, parseArgv, type ParsedArgv } from "./build-program.ts";
import { Questions } from "./questions.ts";
import { ProcessTerminal } from "./terminal.ts";

/** Runs a command line to its end; everything written has left the process when this resolves. Never throws. */
export async function runProgram(argv: readonly string[], version: string): Promise<ExitStatus> {
  try {
    return await runArgv(argv, version);
  } catch (error) {
    // Outside of every verb. Whatever it is, it must not look like a success.
    process.stderr.write(`coldkeep: error: ${printable(messageOf(error))}\n`);
    return EXIT.failed;
  }
}

async function runArgv(argv: readonly string[], version: string): Promise<ExitStatus> {
  // State, plans and spools hold the names of files: nobody else's business, whatever the user's umask says.
  process.umask(0o077);
  let parsed: ParsedArgv | undefined;
  let usage: unknown;
  try {
    parsed = parseArgv(argv, COMMANDS, version);
  } catch (error) {
    usage = error;
  }
  const secrets = new Secrets(process.env);
  const runId = randomUUID();
  const log = new RunLog(runId, parsed?.kind === "run" ? parsed.verb : "", secrets);
  const terminal = openTerminal(parsed?.kind === "run" ? parsed.flags : guessFlags(argv), log, secrets);
  const controller = listenForSignals(terminal);
  const { promise: crash, reject } = Promise.withResolvers<never>();
  // Whoever runs the verb is told, so that its end is recorded like any other.
  crash.catch(() => undefined);
  process.once("uncaughtException", reject);
  const status = parsed === undefined ? report(usage, terminal, controller.signal) : await run(parsed, { ...processContext(version), terminal, signal: controller.signal, crash, runId, log, secrets });
  if (log.trouble !== null) terminal.warn(log.trouble, "The run itself is not affected.");
  terminal.stop();
  await terminal.flush();
  return terminal.outputError === undefined || status !== EXIT.done ? status : reportOutput(terminal, terminal.outputError);
}

function openTerminal(flags: OutputFlags, log: RunLog, secrets: Secrets): ProcessTerminal {
  if (flags.logFile !== undefined) log.open(resolve(flags.logFile), flags.verbose ? "debug" : "info");
  const questions = isatty(0) ? new Questions(() => process.stdin) : undefined;
  return new ProcessTerminal({ stdout: process.stdout, stderr: process.stderr, questions, env: process.env, toJournal: isJournal(), log, secrets, ...flags });
}

/** Whether stderr is the journal and not, say, a pipe of somebody who was started by systemd (systemd.exec(5)). */
function isJournal(): boolean {
  const stream = process.env["JOURNAL_STREAM"];
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(process.stderr.fd, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/** How to report that the command line was not understood. */
function guessFlags(argv: readonly string[]): OutputFlags {
  const end = argv.indexOf("--");
  const words = end < 0 ? argv : argv.slice(0, end);
  return { quiet: false, verbose: false, debug: words.includes("--debug"), json: words.includes("--json"), noColor: words.includes("--no-color"), logFile: undefined };
}

/** The first signal asks for an orderly end, the second ends the process at once. */
function listenForSignals(terminal: ProcessTerminal): AbortController {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        terminal.stop();
        process.exit(EXIT.interrupted);
      }
      controller.abort(new ColdkeepError("E_INTERRUPTED", `interrupted by ${name}`));
      terminal.say("stopping in good order; a second signal stops at once");
    });
  }
  return controller;
}

async function run(parsed: ParsedArgv, surroundings: Omit<CommandContext, "verbosity">): Promise<ExitStatus> {
  const { terminal, signal } = surroundings;
  try {
    if (parsed.kind === "run") return await parsed.run({ ...surroundings, verbosity: verbosityOf(parsed.flags) });
    if (parsed.kind === "help") {
      terminal.data(parsed.text.trimEnd());
      return EXIT.done;
    }
    for (const line of parsed.text.trimEnd().split("\n")) terminal.say(line);
    return EXIT.usage;
  } catch (error) {
    return report(error, terminal, signal);
  }
}

/** A folder that was removed has no path any more; what is asked for by an absolute one works there all the same. */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return process.env["PWD"] ?? "/";
  }
}

/** A single-file executable is Node and the program in one. */
function ownCommandLine(): string[] {
  const [, script] = process.argv;
  return singleFile !== null || script === undefined ? [process.execPath] : [process.execPath, script];
}

function verbosityOf({ quiet, verbose }: OutputFlags): CommandContext["verbosity"] {
  return quiet ? "quiet" : verbose ? "verbose" : "normal";
}

function processContext(version: string): Pick<CommandContext, "env" | "cwd" | "uid" | "version" | "program" | "now"> {
  return { env: process.env, cwd: currentFolder(), uid: process.geteuid?.() ?? 0, version, program: ownCommandLine(), now: () => Date.now() };
}

function report(error: unknown, terminal: Terminal, signal: AbortSignal): ExitStatus {
  const { exitStatus, report: shown } = failureOf(error, signal);
  if (shown !== null) terminal.fail(shown);
  return exitStatus;
}

function reportOutput(terminal: ProcessTerminal, error: Error): ExitStatus {
  terminal.fail({ code: "E_DISK", message: `cannot write to standard output: ${error.message}` });
  return EXIT.failed;
}
