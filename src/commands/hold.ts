/** `coldkeep hold` and `coldkeep release`. */
import { type HoldReport, holdArchive, releaseArchive } from "../engine/hold.ts";
import { recordSigner } from "../engine/record-signer.ts";
import { OpenVault } from "../engine/open-vault.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { authorityOf } from "./open.ts";
import type { HoldOptions } from "./verb-options.ts";

async function record(context: CommandContext, options: HoldOptions, work: typeof holdArchive): Promise<HoldReport> {
  const { terminal, signal } = context;
  const authority = await authorityOf(context, options);
  const signer = recordSigner(authority);
  const emit = emitTo(terminal);
  using vault = await OpenVault.open({ authority, host: options.host, waitsForAll: true, emit, signal });
  return await work({ vault, archive: options.archive, reason: options.reason ?? "", signer, emit, signal });
}

function conclude({ terminal }: CommandContext, report: HoldReport, said: string): ExitStatus {
  if (terminal.wantsJson) terminal.json(report);
  else terminal.say(said);
  return Object.values(report.regions).every((state) => state === "recorded") ? EXIT.done : EXIT.partial;
}

export async function runHold(context: CommandContext, _args: readonly string[], options: HoldOptions): Promise<ExitStatus> {
  const report = await record(context, options, holdArchive);
  const said = report.records.length > 0 ? `archive ${report.archive} is held: no prune ends it until \`coldkeep release\`` : `archive ${report.archive} is held for that reason already`;
  return conclude(context, report, said);
}

export async function runRelease(context: CommandContext, _args: readonly string[], options: HoldOptions): Promise<ExitStatus> {
  const report = await record(context, options, releaseArchive);
  const said = report.records.length > 0 ? `archive ${report.archive} is released: the next prune judges it by the rule` : `archive ${report.archive} was not held`;
  return conclude(context, report, said);
}
