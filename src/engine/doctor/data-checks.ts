/** Whether the databases of the configuration can be dumped: their tools, their answer, and what they hold. */
import type { CommandConfig } from "../../config/data-schema.ts";
import type { Config } from "../../config/schema.ts";
import { planDatabase } from "../../machine/databases/plan.ts";
import { isProgram } from "../../machine/run-tool.ts";
import { statePaths } from "../../state/state-paths.ts";
import { type Check, checkedBy, fail, ok } from "./check.ts";

function checkCommand({ name, argv: [program] }: CommandConfig): Check {
  const what = `command ${name}`;
  return isProgram(program) ? ok(what, `${program} can be run`) : fail(what, `there is no program ${program}`, "Correct `run` of this command in the configuration.");
}

/** One check a database and a command. */
export async function checkData({ databases, commands, state }: Config, signal: AbortSignal): Promise<Check[]> {
  const asked = databases.map((config) => {
    const what = `database ${config.type} ${config.name}`;
    return checkedBy(what, async () => {
      const { fact, dumps } = await planDatabase(config, statePaths(state).spool, signal);
      return ok(what, `version ${fact.version} answers; ${dumps.length} dumps would be made`);
    });
  });
  return [...(await Promise.all(asked)), ...commands.map(checkCommand)];
}
