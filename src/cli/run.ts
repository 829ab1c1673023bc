/** One run of the program: command line → verb → exit status, with every failure reported in one way. */
import { isSea } from "node:sea";
import { isatty } from "node:tty";
import type { CommandContext } from "../commands/command.ts";
import { COMMANDS } from "../commands/registry.ts";
import { ColdkeepError, EXIT, type ExitStatus, messageOf, systemCode } from "../errors.ts";
import { type OutputFlags, parseArgv, type ParsedArgv } from "./build-program.ts";
import { Questions } from "./questions.ts";
import { type ErrorReport, OutputClosed, ProcessTerminal } from "./terminal.ts";

const DEFECT_HINT = "This is a defect of coldkeep: run it again with --debug and report what it prints.";

/** Runs a command line to its end; everything written has left the process when this resolves. */
export async function runProgram(argv: readonly string[], version: string): Promise<ExitStatus> {
  // State, plans and spools hold the names of files: nobody else's business, whatever the user's umask says.
  process.umask(0o077);
  let parsed: ParsedArgv | undefined;
  let usage: unknown;
  try {
    parsed = parseArgv(argv, COMMANDS, version);
  } catch (error) {
    usage = error;
  }
  const terminal = openTerminal(parsed?.kind === "run" ? parsed.flags : guessFlags(argv));
  const controller = listenForSignals(terminal);
  process.once("uncaughtException", (error) => process.exit(report(error, terminal, controller.signal)));
  const status = parsed === undefined ? report(usage, terminal, controller.signal) : await run(parsed, terminal, controller.signal, version);
  terminal.stop();
  await terminal.flush();
  return terminal.outputError === undefined || status !== EXIT.done ? status : reportOutput(terminal, terminal.outputError);
}

function openTerminal(flags: OutputFlags): ProcessTerminal {
  const questions = isatty(0) ? new Questions(() => process.stdin) : undefined;
  return new ProcessTerminal({ stdout: process.stdout, stderr: process.stderr, questions, env: process.env, ...flags });
}

/** How to report that the command line was not understood. */
function guessFlags(argv: readonly string[]): OutputFlags {
  const end = argv.indexOf("--");
  const words = end < 0 ? argv : argv.slice(0, end);
  return { quiet: false, verbose: false, debug: words.includes("--debug"), json: words.includes("--json"), noColor: words.includes("--no-color") };
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

async function run(parsed: ParsedArgv, terminal: ProcessTerminal, signal: AbortSignal, version: string): Promise<ExitStatus> {
  try {
    if (parsed.kind === "run") return await parsed.run(contextOf(terminal, signal, version));
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

function contextOf(terminal: ProcessTerminal, signal: AbortSignal, version: string): CommandContext {
  return { terminal, signal, env: process.env, cwd: process.cwd(), uid: process.geteuid?.() ?? 0, program: ownCommandLine(), version, now: () => Date.now() };
}

/** A single-file executable is Node and the program in one. */
function ownCommandLine(): string[] {
  const [, script] = process.argv;
  return isSea() || script === undefined ? [process.execPath] : [process.execPath, script];
}

function report(error: unknown, terminal: ProcessTerminal, signal: AbortSignal): ExitStatus {
  // Whatever failed after a signal most likely failed because of it.
  const shown: unknown = signal.aborted && !isInterruption(error) ? signal.reason : error;
  // Data that did not arrive is no success, but whoever stopped reading need not be told.
  if (shown instanceof OutputClosed) return EXIT.failed;
  const stack = error instanceof Error ? stackOf(error) : undefined;
  if (shown instanceof ColdkeepError) {
    terminal.fail({ code: shown.code, message: shown.message, hint: shown.hint, stack });
    return shown.exitStatus;
  }
  terminal.fail({ ...describeForeign(shown), stack });
  return EXIT.failed;
}

function isInterruption(error: unknown): boolean {
  return error instanceof ColdkeepError && error.code === "E_INTERRUPTED";
}

/** An error nobody gave words to: the system's own, or a defect. */
function describeForeign(error: unknown): ErrorReport {
  if (error instanceof Error && systemCode(error) !== undefined && "syscall" in error) return { code: "E_DISK", message: messageOf(error) };
  const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
  return { code: "E_INTERNAL", message: `${name}${messageOf(error)}`, hint: DEFECT_HINT };
}

function stackOf(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}

function reportOutput(terminal: ProcessTerminal, error: Error): ExitStatus {
  terminal.fail({ code: "E_DISK", message: `cannot write to standard output: ${error.message}` });
  return EXIT.failed;
}
