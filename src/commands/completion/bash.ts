/** The completion script of bash: it needs nothing but bash itself. */
import type { CommandTree, ValueKind, VerbWord } from "./tree.ts";

/** What the function does for a value: candidates go into COMPREPLY. */
function offer(kind: ValueKind): string {
  if (kind === "files") return "_coldkeep_paths -f";
  if (kind === "directories") return "_coldkeep_paths -d";
  return kind === "none" ? ":" : `_coldkeep_words "${kind.join(" ")}"`;
}

function valueCases(verb: VerbWord): string[] {
  return verb.options.flatMap(({ names, value }) => (value === null ? [] : names.map((name) => `    "${verb.words} ${name}") ${offer(value.kind)}; return ;;`)));
}

function wordCase({ words, options, operand }: VerbWord): string {
  const flags = `_coldkeep_words "${options.flatMap(({ names }) => names).join(" ")}"`;
  const rest = operand === null ? flags : `if [[ $cur == -* ]]; then ${flags}; else ${offer(operand)}; fi`;
  return `    "${words}") ${rest} ;;`;
}

export function bashScript({ first, groups, verbs, flags }: CommandTree): string {
  const names = flags.flatMap((flag) => flag.names);
  const known = [...verbs.map(({ words }) => words), ...groups.keys()];
  return `# Completion of coldkeep for bash. Use: source <(coldkeep completion bash)
_coldkeep_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_coldkeep_paths() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_coldkeep() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} verb="" word i
  COMPREPLY=()
  # bash takes --option=value for three words.
  if [[ $cur == "=" ]]; then cur=""; elif [[ $prev == "=" ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${verb:+$verb }\${COMP_WORDS[i]}"
    case $word in
      ${known.map((words) => `"${words}"`).join("|")}) verb=$word ;;
    esac
  done
  case "$verb $prev" in
${verbs.flatMap(valueCases).join("\n")}
  esac
  case $verb in
    "") if [[ $cur == -* ]]; then _coldkeep_words "${names.join(" ")}"; else _coldkeep_words "${first.map(({ word }) => word).join(" ")}"; fi ;;
${[...groups].map(([name, words]) => `    "${name}") _coldkeep_words "${words.map(({ word }) => word).join(" ")} --help" ;;`).join("\n")}
${verbs.map(wordCase).join("\n")}
  esac
}

complete -F _coldkeep coldkeep
`;
}
