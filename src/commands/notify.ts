/** `coldkeep notify test`: does an alarm arrive. */
import { surroundingsOf } from "../config/surroundings.ts";
import { sendTestAlarm } from "../engine/monitoring/run-record.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { ownConfig } from "./own-config.ts";
import { printable } from "./printable.ts";
import type { NotifyTestOptions } from "./verb-options.ts";

export async function run(context: CommandContext, _args: readonly string[], options: NotifyTestOptions): Promise<ExitStatus> {
  const { terminal, secrets, signal } = context;
  const { config, path } = ownConfig(context, options.config);
  if (config.notify.length === 0) throw new ColdkeepError("E_NOT_FOUND", `${path} names nobody to notify`, { hint: "Add a `notify` list with a ping or a webhook; docs/monitoring.md shows how." });
  terminal.progress(`sending a test to ${config.notify.length} targets`);
  const reports = await sendTestAlarm(surroundingsOf(config), secrets, options.event, signal);
  signal.throwIfAborted();
  if (terminal.wantsJson) terminal.json({ event: options.event, targets: reports });
  else for (const { target, fault } of reports) terminal.data(`${printable(target)}: ${fault === null ? "delivered" : printable(fault)}`);
  const failed = reports.filter(({ fault }) => fault !== null).length;
  if (failed === 0) return EXIT.done;
  terminal.warn(`${failed} of ${reports.length} did not take the message`, "Check address, file and network; the line of each says what happened.");
  return EXIT.failed;
}
