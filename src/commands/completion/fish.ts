/** The completion script of fish. */
import type { CommandTree, OptionWord, VerbWord } from "./tree.ts";

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function named(names: readonly string[]): string {
  return names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)).join(" ");
}

function valueOf({ value }: OptionWord): string {
  if (value === null) return "";
  if (value.kind === "files") return " -r -F";
  if (value.kind === "directories") return " -x -a '(__fish_complete_directories)'";
  return value.kind === "none" ? " -x" : ` -x -a ${quoted(value.kind.join(" "))}`;
}

/** A condition under which a line counts: the words before, as `__coldkeep_at` compares them. */
function at(words: string): string {
  return `-n ${quoted(`__coldkeep_at ${words}`.trim())}`;
}

function verbLines({ words, options, operand }: VerbWord): string[] {
  const lines = options.map((option) => `complete -c coldkeep ${at(words)} ${named(option.names)}${valueOf(option)} -d ${quoted(option.help)}`);
  return operand === "files" ? [...lines, `complete -c coldkeep ${at(words)} -F`] : lines;
}

export function fishScript({ first, groups, verbs, flags }: CommandTree): string {
  const words = (before: string, list: readonly { word: string; summary: string }[]): string[] =>
    list.map(({ word, summary }) => `complete -c coldkeep ${at(before)} -a ${word} -d ${quoted(summary)}`);
  return `# Completion of coldkeep for fish. Use: coldkeep completion fish | source
function __coldkeep_at -d 'whether these words, and no more, say which verb it is'
  set -l said
  for word in (commandline -opc)[2..-1]
    set -l next (string join -- ' ' $said $word)
    contains -- $next ${[...groups.keys(), ...verbs.map((verb) => verb.words)].map(quoted).join(" ")}
    and set said (string split -- ' ' $next)
  end
  test "$said" = "$argv"
end

complete -c coldkeep -f
${flags.map((flag) => `complete -c coldkeep ${at("")} ${named(flag.names)} -d ${quoted(flag.help)}`).join("\n")}
${words("", first).join("\n")}
${[...groups].flatMap(([name, list]) => words(name, list)).join("\n")}
${verbs.flatMap(verbLines).join("\n")}
`;
}
