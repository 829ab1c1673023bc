/** The command line as a shell must know it: words, and what may follow each. */
import type { Command, CommandGroup } from "../command.ts";
import { GLOBAL_FLAGS, type GlobalFlag, HELP_FLAG, VERSION_FLAG } from "../global-flags.ts";
import { flagOf } from "../options.ts";

/** What a shell offers for a value. `none`: only a person knows it. */
export type ValueKind = "files" | "directories" | "none" | readonly string[];

export type OptionWord = {
  /** `--config`, and `-q` where it has a short form. */
  readonly names: readonly string[];
  readonly help: string;
  /** Null for a flag. */
  readonly value: { readonly placeholder: string; readonly kind: ValueKind } | null;
  readonly repeatable: boolean;
};

export type VerbWord = {
  /** `config check`; a second name of a verb is a word of its own. */
  readonly words: string;
  readonly summary: string;
  readonly options: readonly OptionWord[];
  /** What stands without a flag: paths, or words nobody but the person knows. Null for nothing. */
  readonly operand: ValueKind | null;
};

export type CommandTree = {
  /** First words, verbs and groups alike. */
  readonly first: readonly { readonly word: string; readonly summary: string }[];
  /** Group → its second words. */
  readonly groups: ReadonlyMap<string, readonly { readonly word: string; readonly summary: string }[]>;
  readonly verbs: readonly VerbWord[];
  /** Flags before a verb. */
  readonly flags: readonly OptionWord[];
};

const KINDS: Record<string, ValueKind> = { FILE: "files", DIR: "directories", PATH: "files" };

function flagWord({ short, long, help, placeholder }: GlobalFlag): OptionWord {
  const value = placeholder === undefined ? null : { placeholder, kind: KINDS[placeholder] ?? ("none" as const) };
  return { names: short === undefined ? [long] : [short, long], help, value, repeatable: false };
}

const COMMON = [...GLOBAL_FLAGS, HELP_FLAG].map(flagWord);

function optionsOf(command: Command): OptionWord[] {
  const own = Object.entries(command.options).map(([name, { placeholder, choices, help }]): OptionWord => {
    const value = placeholder === undefined ? null : { placeholder, kind: choices ?? KINDS[placeholder] ?? ("none" as const) };
    return { names: [flagOf(name)], help, value, repeatable: help.endsWith("(repeatable)") };
  });
  return [...own, ...COMMON];
}

function operandOf({ arguments: operand }: Command): ValueKind | null {
  if (operand === undefined) return null;
  return operand.includes("path") ? "files" : "none";
}

function verbWords(command: Command, before: string): VerbWord[] {
  const names = [command.name, ...(command.aliases ?? [])];
  return names.map((name) => ({ words: `${before}${name}`, summary: command.summary, options: optionsOf(command), operand: operandOf(command) }));
}

export function commandTree(commands: readonly (Command | CommandGroup)[]): CommandTree {
  const groups = commands.flatMap((each) => (each.subcommands === undefined ? [] : [each]));
  const wordsOf = (each: Command | CommandGroup): string[] => [each.name, ...(each.subcommands === undefined ? (each.aliases ?? []) : [])];
  return {
    first: commands.flatMap((each) => wordsOf(each).map((word) => ({ word, summary: each.summary }))),
    groups: new Map(groups.map(({ name, subcommands }) => [name, subcommands.map((each) => ({ word: each.name, summary: each.summary }))])),
    verbs: commands.flatMap((each) => (each.subcommands === undefined ? verbWords(each, "") : each.subcommands.flatMap((verb) => verbWords(verb, `${each.name} `)))),
    flags: [...COMMON, flagWord(VERSION_FLAG)],
  };
}
