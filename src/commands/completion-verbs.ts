/** `coldkeep completion`: the verbs that print a script for a shell, for the table of verbs. */
import { EXIT } from "../errors.ts";
import { type Command, type CommandGroup, defineCommand, type ExitCodes } from "./command.ts";
import type { Shell } from "./completion/print.ts";

/** Where the script goes: for now, and for good. */
const USES: Record<Shell, readonly [readonly [string, string], readonly [string, string]]> = {
  bash: [
    ["coldkeep completion bash", "for this shell alone: source <(coldkeep completion bash)"],
    ["coldkeep completion bash > /etc/bash_completion.d/coldkeep", "for every user, with the package bash-completion"],
  ],
  zsh: [
    ["coldkeep completion zsh", "for this shell alone, after compinit: source <(coldkeep completion zsh)"],
    ["coldkeep completion zsh > /usr/local/share/zsh/site-functions/_coldkeep", "for every user"],
  ],
  fish: [
    ["coldkeep completion fish", "for this shell alone: coldkeep completion fish | source"],
    ["coldkeep completion fish > ~/.config/fish/completions/coldkeep.fish", "for good"],
  ],
};

/** `commands` gives the whole table, which holds these verbs too. */
export function completionVerbs(commonExits: ExitCodes, commands: () => readonly (Command | CommandGroup)[]): CommandGroup {
  const verb = (shell: Shell): Command =>
    defineCommand({
      name: shell,
      summary: `print the completion script of ${shell}`,
      options: {},
      exitCodes: { [EXIT.done]: "printed", ...commonExits },
      examples: USES[shell],
      load: async () => ({ run: (await import("./completion/print.ts")).printing(shell, commands()) }),
    });
  return { name: "completion", summary: "print what a shell needs to complete verbs and options", subcommands: [verb("bash"), verb("zsh"), verb("fish")] };
}
