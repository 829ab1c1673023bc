/** `coldkeep health`: whether this machine does what it is for. */
import { checkHealth, type HealthResult } from "../engine/health.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import { formatDuration } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { ownConfig } from "./own-config.ts";
import { printable } from "./printable.ts";
import type { VerdictLine } from "./terminal-port.ts";
import type { HealthOptions } from "./verb-options.ts";

export async function run(context: CommandContext, _args: readonly string[], options: HealthOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const loaded = ownConfig(context, options.config);
  let ended = 0;
  const onResult = ({ name, ok }: HealthResult): void => terminal.progress(`${++ended} checked; ${printable(name)} ${ok ? "is well" : "failed"}`);
  const checks = await checkHealth({ loaded, only: options.only, again: options.wait, onResult, signal });
  const failed = checks.filter(({ ok }) => !ok).length;
  const counts = { ok: checks.length - failed, failed };
  if (terminal.wantsJson) terminal.json({ counts, checks });
  else terminal.report([...checks.map(healthLine), `${counts.ok} well, ${counts.failed} failed`]);
  return failed === 0 ? EXIT.done : EXIT.failed;
}

/** One check as a line, with what was measured. */
export function healthLine({ name, kind, ok, why, ms, measured }: HealthResult): VerdictLine {
  const figures = Object.entries(measured).map(([what, value]) => `${what} ${value}`);
  const text = [why ?? kind, ...figures].join(", ");
  return { before: "", word: ok ? "OK" : "FAIL", tone: ok ? "good" : "bad", after: `${ok ? "    " : "  "}${printable(name)}: ${printable(text)} (${formatDuration(ms)})` };
}
