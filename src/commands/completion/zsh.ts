/** The completion script of zsh, over its own `_arguments` and `_describe`. */
import type { CommandTree, OptionWord, ValueKind, VerbWord } from "./tree.ts";

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Brackets end a help text of `_arguments`, and colons begin its next part. */
function help(text: string): string {
  return text.replace(/[[\]\\:]/g, "\\$&");
}

function action(kind: ValueKind): string {
  if (kind === "files") return "_files";
  if (kind === "directories") return "_files -/";
  return kind === "none" ? " " : `(${kind.join(" ")})`;
}

function optionSpecs({ names, help: text, value, repeatable }: OptionWord): string[] {
  const message = value === null ? "" : `:${help(value.placeholder)}:${action(value.kind)}`;
  const others = repeatable || names.length < 2 ? "" : `(${names.join(" ")})`;
  return names.map((name) => quoted(`${others}${repeatable ? "*" : ""}${name}[${help(text)}]${message}`));
}

function verbCase({ words, options, operand }: VerbWord): string {
  const specs = [...options.flatMap(optionSpecs), ...(operand === null ? [] : [quoted(`*: :${action(operand)}`)])];
  return `    ${quoted(words)})\n      _arguments -s ${specs.join(" ")} ;;`;
}

function described(list: readonly { word: string; summary: string }[]): string {
  return list.map(({ word, summary }) => quoted(`${word}:${summary.replaceAll(":", "\\:")}`)).join(" ");
}

export function zshScript({ first, groups, verbs, flags }: CommandTree): string {
  const names = [...groups.keys()].map(quoted).join("|");
  return `#compdef coldkeep
# Completion of coldkeep for zsh. Use: coldkeep completion zsh > a file _coldkeep in a directory of $fpath
_coldkeep_words() {
  local -a words_and_help=("$@")
  _describe -t commands command words_and_help
}

_coldkeep_verb() {
  case $1 in
${verbs.map(verbCase).join("\n")}
  esac
}

_coldkeep_group() {
  local context state line
  local group=$1
  _arguments -C '1: :->word' '*:: :->rest'
  case $state in
    word)
      case $group in
${[...groups].map(([name, list]) => `        ${quoted(name)}) _coldkeep_words ${described(list)} ;;`).join("\n")}
      esac ;;
    rest) _coldkeep_verb "$group $line[1]" ;;
  esac
}

_coldkeep() {
  local curcontext=$curcontext context state line
  _arguments -C -s ${flags.flatMap(optionSpecs).join(" ")} '1: :->word' '*:: :->rest'
  case $state in
    word) _coldkeep_words ${described(first)} ;;
    rest)
      case $line[1] in
        ${names}) _coldkeep_group $line[1] ;;
        *) _coldkeep_verb $line[1] ;;
      esac ;;
  esac
}

if [[ $funcstack[1] == _coldkeep ]]; then _coldkeep "$@"; else compdef _coldkeep coldkeep; fi
`;
}
