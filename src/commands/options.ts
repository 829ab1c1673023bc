/** Options as values: what is read from argv, its type, its help. One table a verb; `OptionsOf` is what its body gets. */
import { ColdkeepError } from "../errors.ts";
import { didYouMean } from "../policy/closest.ts";

export type OptionSpec<Value> = {
  /** What the help calls the value; absent for a flag. */
  readonly placeholder?: string;
  readonly help: string;
  readonly required?: true;
  /** All words it can be. */
  readonly choices?: readonly string[];
  /** Makes the value of what stood on the command line, in order; `flag` is for messages. Throws E_USAGE. */
  read(given: readonly string[], flag: string): Value;
};

/** Option name in camel case → its spec; `takeOver` is `--take-over`. */
export type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>;

export type OptionsOf<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]: Specs[Name] extends OptionSpec<infer Value> ? Value : never;
};

/** `--take-over` of `takeOver`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function usage(message: string, hint?: string): ColdkeepError {
  return new ColdkeepError("E_USAGE", message, { hint });
}

/** The value of an option that may be given once. */
function single(given: readonly string[], flag: string): string | undefined {
  if (given.length > 1) throw usage(`${flag} is given ${given.length} times`, "Give it once.");
  if (given[0] === "") throw usage(`${flag} has an empty value`, "Give it a value, or leave it out.");
  return given[0];
}

/** Present or not. */
export function flag(help: string): OptionSpec<boolean> {
  return { help, read: (given) => given.length > 0 };
}

export function text(placeholder: string, help: string): OptionSpec<string | undefined> {
  return { placeholder, help, read: single };
}

/** A value without which the verb does not run. */
export function requiredText(placeholder: string, help: string): OptionSpec<string> {
  const read = (given: readonly string[], name: string): string => {
    const value = single(given, name);
    if (value === undefined) throw usage(`${name} is missing`, `Give ${name} ${placeholder}.`);
    return value;
  };
  return { placeholder, help, required: true, read };
}

/** An option that may be repeated. */
export function list(placeholder: string, help: string): OptionSpec<readonly string[]> {
  const read = (given: readonly string[], name: string): readonly string[] => {
    for (const value of given) single([value], name);
    return given;
  };
  return { placeholder, help: `${help} (repeatable)`, read };
}

/** One of a few words. */
export function choice<Word extends string>(words: readonly Word[], fallback: Word, help: string): OptionSpec<Word> {
  const read = (given: readonly string[], name: string): Word => {
    const value = single(given, name) ?? fallback;
    const word = words.find((each) => each === value);
    if (word === undefined) throw usage(`${name} cannot be "${value}"`, `It is one of ${words.join(", ")}.${didYouMean(value, words)}`);
    return word;
  };
  return { placeholder: words.join("|"), choices: words, help: `${help} (default ${fallback})`, read };
}

/** A value with a form of its own; `parse` gives undefined for any other text. */
export function parsed<Value>(placeholder: string, help: string, parse: (value: string) => Value | undefined, form: string): OptionSpec<Value | undefined> {
  const read = (given: readonly string[], name: string): Value | undefined => {
    const value = single(given, name);
    if (value === undefined) return undefined;
    const result = parse(value);
    if (result === undefined) throw usage(`${name} cannot be "${value}"`, form);
    return result;
  };
  return { placeholder, help, read };
}
