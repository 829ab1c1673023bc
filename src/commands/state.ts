/** `coldkeep state rebuild`: after the state was lost, or when it is not to be trusted. */
import { rebuildState } from "../engine/state-rebuild.ts";
import { EXIT } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { Outcome } from "./outcome.ts";
import { ownConfig } from "./own-config.ts";
import type { StateRebuildOptions } from "./verb-options.ts";

export async function run(context: CommandContext, _args: readonly string[], options: StateRebuildOptions): Promise<Outcome> {
  const { terminal, signal } = context;
  const loaded = ownConfig(context, options.config);
  const report = await rebuildState({ loaded, emit: emitTo(terminal), signal });
  if (terminal.wantsJson) terminal.json({ state: loaded.config.state, ...report });
  else if (report.archive === null) terminal.say(`there is no archive yet, so ${loaded.config.state} is empty now`);
  else {
    const after = report.checkpoints.length === 0 ? "" : ` and ${report.checkpoints.length} unfinished runs after it`;
    terminal.say(`learnt from archive ${report.archive}${after}: ${report.objects} objects, ${report.pieces} pieces of content, ${report.segments} catalog segments`);
  }
  return { exitStatus: EXIT.done, summary: { archive: report.archive, regions: {}, counts: {} } };
}
