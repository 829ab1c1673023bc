/** `coldkeep status`: one screen on whether this host could be restored tonight; `--fleet`: a line for every host. */
import { fleetStatus } from "../engine/fleet.ts";
import { formatStatusMetrics } from "../engine/monitoring/status-metrics.ts";
import { hostStatus, type HostStatus } from "../engine/status.ts";
import type { OpenVault } from "../engine/open-vault.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { Objectives } from "../policy/readiness.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { fleetDocument, fleetLines, isSilent } from "./fleet-text.ts";
import { openVault } from "./open.ts";
import { localFactsFor, promised, type Promised } from "./promised.ts";
import { NAGIOS_UNKNOWN, nagiosLine } from "./status-nagios.ts";
import { statusDocument, statusLines } from "./status-text.ts";
import type { StatusOptions } from "./verb-options.ts";

export async function run(context: CommandContext, _args: readonly string[], options: StatusOptions): Promise<ExitStatus> {
  if (!options.nagios) return report(context, options);
  try {
    return await report(context, options);
  } catch (error) {
    if (!(error instanceof ColdkeepError) || error.code === "E_INTERRUPTED") throw error;
    context.terminal.data(`COLDKEEP UNKNOWN - ${error.message}`);
    return NAGIOS_UNKNOWN;
  }
}

async function report(context: CommandContext, options: StatusOptions): Promise<ExitStatus> {
  using vault = await openVault(context, options);
  const promise = promised(context, options, vault);
  // Awaited here: the vault is closed when this returns.
  return options.fleet ? await reportFleet(context, vault, promise.objectives) : await reportHost(context, options, vault, promise);
}

async function reportHost(context: CommandContext, { nagios, prom }: StatusOptions, vault: OpenVault, { objectives, copies, loaded }: Promised): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const nowMs = context.now();
  const host = vault.host();
  const local = localFactsFor(context, loaded, host, nowMs);
  const status = await hostStatus(vault, host, { copies, objectives, local, nowMs, signal });
  if (nagios) {
    const { line, exitStatus } = nagiosLine(status, objectives, nowMs);
    terminal.data(line);
    return exitStatus;
  }
  if (prom) terminal.data(formatStatusMetrics(status, objectives, vault.trust.vault).trimEnd());
  else if (terminal.wantsJson) terminal.json(statusDocument(status, objectives, nowMs));
  else terminal.report(statusLines(status, objectives, nowMs));
  return exitStatusOf(status);
}

function exitStatusOf({ findings }: HostStatus): ExitStatus {
  return findings.length > 0 ? EXIT.threshold : EXIT.done;
}

async function reportFleet(context: CommandContext, vault: OpenVault, { rpoMs }: Objectives): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const nowMs = context.now();
  const hosts = await fleetStatus(vault, nowMs - 2 * rpoMs, emitTo(terminal), signal);
  if (terminal.wantsJson) terminal.json(fleetDocument(hosts, rpoMs, nowMs));
  else terminal.data(fleetLines(hosts, rpoMs, nowMs).join("\n"));
  return hosts.some((host) => isSilent(host, rpoMs, nowMs) || host.faults.length > 0) ? EXIT.threshold : EXIT.done;
}
