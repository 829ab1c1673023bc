/** `coldkeep status`: one screen on whether this host could be restored tonight; `--fleet`: a line for every host. */
import { configPath, loadConfig } from "../config/load.ts";
import { fleetStatus } from "../engine/fleet.ts";
import { hostStatus, NOTHING_LOCAL, type HostStatus } from "../engine/status.ts";
import type { OpenVault } from "../engine/open-vault.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import { requiredCopies } from "../policy/copies.ts";
import type { Objectives } from "../policy/readiness.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { fleetDocument, fleetLines, isSilent } from "./fleet-text.ts";
import { openVault } from "./open.ts";
import { NAGIOS_UNKNOWN, nagiosLine } from "./status-nagios.ts";
import { statusDocument, statusLines } from "./status-text.ts";
import type { StatusOptions } from "./verb-options.ts";

/** What holds where no configuration says otherwise. */
const DEFAULT_OBJECTIVES: Objectives = { rpoMs: 26 * 3_600_000, rtoMs: null, verifyEveryMs: null, drillEveryMs: null };

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
  const { objectives, copies } = promised(context, options, vault);
  return options.fleet ? reportFleet(context, vault, objectives) : reportHost(context, options, vault, objectives, copies);
}

/** What the host's own configuration promises; a kit knows of no promise, so the usual one is taken. */
function promised(context: CommandContext, options: StatusOptions, vault: OpenVault): { objectives: Objectives; copies: number } {
  const hasConfig = options.kit === undefined && options.signer.length === 0;
  const config = hasConfig ? loadConfig(configPath(options.config, context.env, context.uid)).config : undefined;
  const objectives = config?.objectives ?? DEFAULT_OBJECTIVES;
  return { objectives: { ...objectives, rpoMs: options.rpo ?? objectives.rpoMs }, copies: config?.copies ?? requiredCopies(undefined, vault.regions.length) };
}

async function reportHost(context: CommandContext, { nagios }: StatusOptions, vault: OpenVault, objectives: Objectives, copies: number): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const nowMs = context.now();
  const status = await hostStatus(vault, vault.host(), { copies, objectives, local: NOTHING_LOCAL, nowMs, emit: emitTo(terminal), signal });
  if (nagios) {
    const { line, exitStatus } = nagiosLine(status, objectives, nowMs);
    terminal.data(line);
    return exitStatus;
  }
  if (terminal.wantsJson) terminal.json(statusDocument(status, objectives, nowMs));
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
