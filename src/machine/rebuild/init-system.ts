/** Starting, stopping and enabling services: through systemd where it runs, else through their own scripts in /etc/init.d. */
import { accessSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import { lastLines, runTool, type ToolResult } from "../run-tool.ts";

const START_MS = 180_000;
const SHORT_MS = 60_000;
const SCRIPTS = "/etc/init.d";
/** A script starts its service as at boot: this program's umask, time zone and locale would go on in it. */
const AS_AT_BOOT = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", "sh", "-c", 'umask 022; exec "$@"', "sh"] as const;

/** What became of a service. `said`: the last lines of what was run, where it failed. */
export type ServiceOutcome = { unit: string; ok: boolean; how: string; said: string[] };

/** systemd's own test for being the running init (sd_booted(3)). */
export function systemdRuns(): boolean {
  return existsSync("/run/systemd/system");
}

/** The script of a service, where it has one. */
function scriptOf(unit: string): string | undefined {
  const path = join(SCRIPTS, unit.replace(/\.service$/, "").replace(/@.*$/, ""));
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}

function outcome(unit: string, how: string, result: ToolResult): ServiceOutcome {
  const ok = result.status === 0 && !result.timedOut;
  return { unit, ok, how, said: ok ? [] : lastLines(result, 10) };
}

async function control(verb: "start" | "stop" | "restart", unit: string, signal: AbortSignal): Promise<ServiceOutcome> {
  if (systemdRuns()) return outcome(unit, `systemctl ${verb} ${unit}`, await runTool({ argv: ["systemctl", verb, unit], timeoutMs: START_MS, signal }));
  const script = scriptOf(unit);
  if (script === undefined) return { unit, ok: false, how: "none", said: ["systemd does not run here, and the service has no script in /etc/init.d"] };
  return outcome(unit, `${script} ${verb}`, await runTool({ argv: [...AS_AT_BOOT, script, verb], timeoutMs: START_MS, signal }));
}

export function startService(unit: string, signal: AbortSignal): Promise<ServiceOutcome> {
  return control("start", unit, signal);
}

/** Starts it anew, so that it reads its configuration. */
export function restartService(unit: string, signal: AbortSignal): Promise<ServiceOutcome> {
  return control("restart", unit, signal);
}

export function stopService(unit: string, signal: AbortSignal): Promise<ServiceOutcome> {
  return control("stop", unit, signal);
}

/** What starts a unit here, which several may have in common: the unit itself, or a script; undefined where nothing does. `known`: names of unit files. */
export function starterOf(unit: string, known: ReadonlyMap<string, string>): string | undefined {
  if (!systemdRuns()) return scriptOf(unit);
  return known.has(unit) || known.has(unit.replace(/@.*(?=\.)/, "@")) ? unit : undefined;
}

/** Makes systemd read its units again; without it, nothing has to be read. */
export async function reloadUnits(signal: AbortSignal): Promise<void> {
  if (systemdRuns()) await runTool({ argv: ["systemctl", "daemon-reload"], timeoutMs: SHORT_MS, signal });
}

/** Sets what starts with the machine; works on files alone, so also where systemd does not run. */
export async function setEnabled(unit: string, state: "enabled" | "disabled" | "masked", signal: AbortSignal): Promise<ServiceOutcome> {
  const verb = state === "enabled" ? "enable" : state === "disabled" ? "disable" : "mask";
  return outcome(unit, `systemctl ${verb} ${unit}`, await runTool({ argv: ["systemctl", verb, unit], timeoutMs: SHORT_MS, signal }));
}

/** State of each unit file, as `systemctl list-unit-files` says it; empty where that cannot be asked. */
export async function unitStates(signal: AbortSignal): Promise<Map<string, string>> {
  const result = await runTool({ argv: ["systemctl", "list-unit-files", "--no-legend", "--no-pager", "--plain"], timeoutMs: SHORT_MS, signal }).catch(() => null);
  signal.throwIfAborted();
  const rows = (result?.stdout ?? "").split("\n").map((line) => line.trim().split(/\s+/));
  return new Map(rows.flatMap(([unit, state]) => (unit === undefined || unit === "" || state === undefined ? [] : [[unit, state] as const])));
}
