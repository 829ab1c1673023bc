/** `coldkeep report`: what a host's archives and runs came to over a period, as a page or a document. */
import { resolve } from "node:path";
import { writePage } from "../engine/new-page.ts";
import { reportPage } from "../engine/report-page.ts";
import { hostReport } from "../engine/report.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { openVault } from "./open.ts";
import { localFactsFor, promised } from "./promised.ts";
import type { ReportOptions } from "./verb-options.ts";

const DEFAULT_PERIOD_MS = 90 * 86_400_000;

export async function run(context: CommandContext, _args: readonly string[], options: ReportOptions): Promise<ExitStatus> {
  const { terminal, signal, cwd } = context;
  using vault = await openVault(context, options);
  const { objectives, copies, loaded } = promised(context, options, vault);
  const host = vault.host();
  const nowMs = context.now();
  const local = localFactsFor(context, loaded, host, nowMs);
  const own = loaded?.config.host === host ? loaded : null;
  const fromMs = nowMs - (options.period ?? DEFAULT_PERIOD_MS);
  const report = await hostReport(vault, host, { copies, objectives, local, nowMs, fromMs, loaded: own, signal });
  if (terminal.wantsJson) terminal.json(report);
  else if (options.to === undefined) terminal.data(reportPage(report).trimEnd());
  else {
    writePage(resolve(cwd, options.to), reportPage(report));
    terminal.say(`${options.to} holds the report`);
  }
  return EXIT.done;
}
