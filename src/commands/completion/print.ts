/** `coldkeep completion SHELL`: the script, for the shell to read. */
import { EXIT } from "../../errors.ts";
import type { Command, CommandBody, CommandGroup } from "../command.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { type CommandTree, commandTree } from "./tree.ts";
import { zshScript } from "./zsh.ts";

export type Shell = "bash" | "zsh" | "fish";

const SCRIPTS: Record<Shell, (tree: CommandTree) => string> = { bash: bashScript, zsh: zshScript, fish: fishScript };

export function printing(shell: Shell, commands: readonly (Command | CommandGroup)[]): CommandBody<unknown> {
  return ({ terminal }) => {
    terminal.data(SCRIPTS[shell](commandTree(commands)).trimEnd());
    return Promise.resolve(EXIT.done);
  };
}
