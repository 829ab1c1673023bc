/** `schedule print`, `schedule install`, `schedule remove`, `schedule status`. */
import { configPath, loadConfig } from "../config/load.ts";
import { type InstalledFile, installSchedule, removeSchedule } from "../engine/schedule/install.ts";
import { filesOf, planSchedule, type ScheduleOrder } from "../engine/schedule/plan.ts";
import { type JobStatus, scheduleStatus } from "../engine/schedule/status.ts";
import { isSystemdRunning } from "../engine/schedule/systemctl.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { ScheduleFlavour } from "../policy/schedule/plan.ts";
import { formatLocalTime } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { printable } from "./printable.ts";
import type { ScheduleOptions, ScheduleStatusOptions } from "./verb-options.ts";

const ROOT = "root";

function orderOf(context: CommandContext, options: ScheduleStatusOptions & Partial<ScheduleOptions>): ScheduleOrder {
  const loaded = loadConfig(configPath(options.config, context.env, context.uid));
  return { loaded, program: context.program, choices: { at: options.at, user: options.user ?? ROOT } };
}

function flavourOf(options: ScheduleOptions): ScheduleFlavour {
  if (options.systemd) return "systemd";
  return options.cron || !isSystemdRunning() ? "cron" : "systemd";
}

/** Prints the files that `install` would write: one as it is, several each under a line with its path. */
export async function runPrint(context: CommandContext, _args: readonly string[], options: ScheduleOptions): Promise<ExitStatus> {
  const { terminal } = context;
  const flavour = flavourOf(options);
  const files = filesOf(planSchedule(orderOf(context, options)), flavour);
  const [only] = files;
  if (terminal.wantsJson) terminal.json({ flavour, files });
  else if (files.length === 1 && only !== undefined) {
    terminal.say(only.path);
    terminal.data(only.text.trimEnd());
  } else terminal.data(files.map(({ path, text }) => `# ${printable(path)}\n${text}`).join("\n").trimEnd());
  return EXIT.done;
}

export async function runInstall(context: CommandContext, _args: readonly string[], options: ScheduleOptions): Promise<ExitStatus> {
  const { terminal, uid } = context;
  const flavour = flavourOf(options);
  const files = installSchedule({ ...orderOf(context, options), flavour, uid, emit: emitTo(terminal) });
  if (terminal.wantsJson) terminal.json({ flavour, files });
  else tellFiles(terminal, files);
  return EXIT.done;
}

export async function runRemove(context: CommandContext, _args: readonly string[], options: ScheduleStatusOptions): Promise<ExitStatus> {
  const { terminal, uid } = context;
  const files = removeSchedule({ ...orderOf(context, options), uid });
  if (terminal.wantsJson) terminal.json({ files });
  else if (files.length === 0) terminal.say("no schedule is installed");
  else tellFiles(terminal, files);
  return EXIT.done;
}

function tellFiles(terminal: CommandContext["terminal"], files: readonly InstalledFile[]): void {
  for (const { path, state } of files) terminal.say(`${state.padEnd(9)}  ${path}`);
}

export async function runStatus(context: CommandContext, _args: readonly string[], options: ScheduleStatusOptions): Promise<ExitStatus> {
  const { terminal } = context;
  const status = scheduleStatus(orderOf(context, options), context.now());
  if (terminal.wantsJson) terminal.json({ installed: status !== null, current: status?.isCurrent ?? null, flavour: status?.flavour ?? null, files: status?.files ?? [], jobs: (status?.jobs ?? []).map(documentOf) });
  else if (status === null) terminal.data("not installed; `coldkeep schedule install` does it");
  else terminal.data([`installed  ${status.flavour}`, ...status.files.map((path) => `file       ${printable(path)}`), ...status.jobs.map(jobLine)].join("\n"));
  if (status?.isCurrent === false) terminal.warn("what is installed is not what the configuration and this program would install now", "Run `coldkeep schedule install` again, with the options of the line `Installed with` in its files.");
  return EXIT.done;
}

function documentOf({ job, isActive, isRunning, lastResult, lastExitStatus, ...times }: JobStatus): Record<string, unknown> {
  const utc = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return { job, active: isActive, running: isRunning, nextRun: utc(times.nextRunMs), lastRun: utc(times.lastRunMs), lastResult, lastExitStatus };
}

function jobLine({ job, isActive, isRunning, lastResult, lastExitStatus, ...times }: JobStatus): string {
  const next = times.nextRunMs === null ? (isActive ? "time not known" : "never: the timer is not active") : formatLocalTime(times.nextRunMs);
  const last = times.lastRunMs === null ? "not known" : formatLocalTime(times.lastRunMs);
  const result = isRunning ? ", running" : lastResult === null ? "" : `, ${lastResult} (exit status ${lastExitStatus})`;
  return `${job.padEnd(9)}  next ${next}; last ${last}${result}`;
}
