/** `coldkeep publish-program`: the single executable into every region, for a bare machine. */
import { resolve } from "node:path";
import { configPath, loadConfig } from "../config/load.ts";
import { publishProgram } from "../engine/publish-program.ts";
import type { ExitStatus } from "../errors.ts";
import { programLine } from "../format/kit.ts";
import { formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { PublishProgramOptions } from "./verb-options.ts";

export async function run(context: CommandContext, _args: readonly string[], options: PublishProgramOptions): Promise<ExitStatus> {
  const { terminal, env, uid, cwd, signal } = context;
  const loaded = loadConfig(configPath(options.config, env, uid));
  const program = options.program === undefined ? undefined : resolve(cwd, options.program);
  const { exitStatus, ...report } = await publishProgram({ loaded, program, emit: emitTo(terminal), signal });
  const kitLine = programLine(report.sha256);
  if (terminal.wantsJson) {
    terminal.json({ ...report, kitLine });
    return exitStatus;
  }
  const regions = Object.entries(report.regions).map(([name, state]) => `${name} ${state}`);
  terminal.status(`program ${report.version} for ${report.platform}, ${formatSize(report.sizeBytes)}; regions: ${regions.join(", ")}`);
  terminal.status("With this line in the kit, `sh recover.sh --fetch-program` takes this program and no other:");
  terminal.data(kitLine);
  return exitStatus;
}
