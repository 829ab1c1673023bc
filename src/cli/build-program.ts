/** The command line: the table of verbs → commander → one prepared verb. Nothing here prints, reads or writes. */
import { Command as Program, CommanderError, Option } from "commander";
import type { Command, CommandContext, CommandGroup, ExitCodes, GivenOptions } from "../commands/command.ts";
import { flagNames, GLOBAL_FLAGS, HELP_FLAG, VERSION_FLAG } from "../commands/global-flags.ts";
import { flagOf } from "../commands/options.ts";
import { ColdkeepError, type ExitStatus } from "../errors.ts";
import { didYouMean } from "../policy/closest.ts";

export type OutputFlags = { quiet: boolean; verbose: boolean; debug: boolean; json: boolean; noColor: boolean; logFile: string | undefined };

/** What a command line asks for. `usage` is help that was not asked for: nothing was said of what to do. */
export type ParsedArgv =
  | { kind: "help" | "usage"; text: string }
  | { kind: "run"; verb: string; flags: OutputFlags; run: (context: CommandContext) => Promise<ExitStatus> };

const DOCS = `Exit codes, examples and all options of a verb: coldkeep VERB --help`;

/**
 * Parses a command line against the table of verbs. Throws E_USAGE, with a suggestion where a word is nearly right; all
 * conflicts between options are found here, before anything is read or written.
 */
export function parseArgv(argv: readonly string[], commands: readonly (Command | CommandGroup)[], version: string): ParsedArgv {
  let text = "";
  let parsed: ParsedArgv | undefined;
  const collect = (piece: string): void => {
    text += piece;
  };
  const program = newProgram(version, collect);
  const onRun: OnRun = (verb, command, args, given) => {
    const flags = outputFlags(program, given);
    parsed = { kind: "run", verb, flags, run: command.prepare(args, given) };
  };
  for (const command of commands) addCommand(program, command, onRun);
  try {
    program.parse([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: error.code === "commander.help" && error.exitCode !== 0 ? "usage" : "help", text };
  }
  return parsed ?? { kind: "usage", text: program.helpInformation() };
}

function newProgram(version: string, collect: (text: string) => void): Program {
  const program = configure(new Program("coldkeep"))
    .configureOutput({ writeOut: collect, writeErr: collect, outputError: () => {} })
    .description("Cold backups of a server, encrypted to public keys, kept as identical copies in several regions.")
    .version(version, flagNames(VERSION_FLAG), VERSION_FLAG.help)
    .helpOption(flagNames(HELP_FLAG), HELP_FLAG.help)
    .addHelpText("after", `\n${DOCS}`);
  for (const flag of GLOBAL_FLAGS) program.option(flagNames(flag), flag.help);
  return program;
}

/** Every program in the tree reports its own errors, so that suggestions come from its own words. */
function configure(program: Program): Program {
  return program
    .showSuggestionAfterError(false)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride((error) => {
      throw isUsageError(error) ? usageError(error, program) : error;
    });
}

function isUsageError(error: CommanderError): boolean {
  return error.exitCode !== 0 && error.code !== "commander.help";
}

function usageError(error: CommanderError, program: Program): ColdkeepError {
  const message = error.message.replace(/^error: /, "");
  const word = /^unknown (?:option|command) '([^']*)'/.exec(message)?.[1] ?? "";
  const suggestion = didYouMean(word, message.startsWith("unknown option") ? optionWords(program) : commandWords(program));
  return new ColdkeepError("E_USAGE", message, { hint: `Run \`${fullName(program)} --help\` to see what there is.${suggestion}` });
}

function optionWords(program: Program): string[] {
  const own = program.options.map((option) => option.long ?? "");
  return program.parent ? [...own, ...optionWords(program.parent)] : [...own, "--help"];
}

function commandWords(program: Program): string[] {
  return program.commands.flatMap((command) => [command.name(), ...command.aliases()]);
}

function fullName(program: Program): string {
  return program.parent ? `${fullName(program.parent)} ${program.name()}` : program.name();
}

type OnRun = (verb: string, command: Command, args: readonly string[], given: GivenOptions) => void;

function addCommand(parent: Program, command: Command | CommandGroup, onRun: OnRun): void {
  const program = configure(parent.command(command.name)).description(command.summary).helpOption(flagNames(HELP_FLAG), HELP_FLAG.help);
  if (command.subcommands !== undefined) {
    for (const each of command.subcommands) addCommand(program, each, onRun);
    return;
  }
  program.aliases(command.aliases ?? []).allowExcessArguments(false);
  if (command.arguments !== undefined) program.argument(command.arguments, command.argumentsHelp);
  for (const [name, spec] of Object.entries(command.options)) {
    const option = new Option(spec.placeholder === undefined ? flagOf(name) : `${flagOf(name)} <${spec.placeholder}>`, spec.required ? `${spec.help} (required)` : spec.help);
    // Repetitions are gathered: whether they are allowed is for the option itself to say.
    program.addOption(spec.placeholder === undefined ? option : option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]));
  }
  program.addHelpText("after", verbHelp(command));
  program.action(() => onRun(fullName(program).replace(/^coldkeep /, ""), command, program.args, givenOptions(program)));
}

function givenOptions(program: Program): GivenOptions {
  const given: Record<string, readonly string[]> = {};
  for (const [name, value] of Object.entries(program.opts<Record<string, unknown>>())) {
    if (Array.isArray(value)) given[name] = value.map(String);
    else if (value === true) given[name] = ["true"];
  }
  return given;
}

function outputFlags(program: Program, given: GivenOptions): OutputFlags {
  const options = program.opts<Record<string, unknown>>();
  const flags = { quiet: options["quiet"] === true, verbose: options["verbose"] === true, debug: options["debug"] === true, json: given["json"] !== undefined, noColor: options["color"] === false, logFile: typeof options["logFile"] === "string" ? options["logFile"] : undefined };
  if (flags.quiet && flags.verbose) throw new ColdkeepError("E_USAGE", "--quiet and --verbose exclude each other", { hint: "Give one of the two." });
  return flags;
}

function verbHelp(command: Command): string {
  const examples = command.examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]);
  return ["", "Exit codes:", ...exitLines(command.exitCodes), "", "Examples:", ...examples].join("\n");
}

function exitLines(codes: ExitCodes): string[] {
  return Object.entries(codes)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([status, meaning]) => `  ${status.padStart(3)}  ${meaning}`);
}
