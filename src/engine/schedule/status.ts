/** Whether runs start by themselves on this host, when the next one does, and how the last one ended. */
import { nextRunMs } from "../../policy/schedule/calendar.ts";
import { readCronFile } from "../../policy/schedule/crontab.ts";
import { choicesOf, type ScheduleFlavour, type ScheduleJob } from "../../policy/schedule/plan.ts";
import { unitStem } from "../../policy/schedule/systemd-units.ts";
import { presentFiles, readOwn } from "./install.ts";
import { filesOf, planSchedule, type ScheduleOrder } from "./plan.ts";
import { isSystemdRunning, parseSystemdTime, unitProperties } from "./systemctl.ts";

export type JobStatus = {
  job: ScheduleJob["kind"];
  /** Whether it will start by itself. */
  isActive: boolean;
  /** Milliseconds since 1970; null where nobody knows. */
  nextRunMs: number | null;
  lastRunMs: number | null;
  isRunning: boolean;
  /** What systemd makes of the last run: `success`, `exit-code`, `timeout` and so on; cron keeps no record, and before a first run there is none. */
  lastResult: string | null;
  lastExitStatus: number | null;
};

export type ScheduleStatus = {
  flavour: ScheduleFlavour;
  files: string[];
  /** Whether installing again, with the same choices, would change nothing. */
  isCurrent: boolean;
  jobs: JobStatus[];
};

const KINDS = ["backup", "verify"] as const;
/** What is said of a job as long as nobody knows better. */
const UNKNOWN = { isActive: false, nextRunMs: null, lastRunMs: null, isRunning: false, lastResult: null, lastExitStatus: null };

/** What is installed of this configuration's schedule; null when nothing is. Throws E_REFUSED, E_DISK. */
export function scheduleStatus(order: ScheduleOrder, nowMs: number): ScheduleStatus | null {
  const plan = planSchedule(order);
  for (const flavour of ["systemd", "cron"] as const) {
    const texts = new Map(presentFiles(plan, flavour).map((path) => [path, readOwn(path, plan.config) ?? ""]));
    if (texts.size === 0) continue;
    const files = [...texts.keys()];
    const jobs = flavour === "systemd" ? unitJobs(plan.host, files) : cronJobs([...texts.values()], nowMs);
    return { flavour, files, isCurrent: isCurrent(order, flavour, texts), jobs };
  }
  return null;
}

function isCurrent(order: ScheduleOrder, flavour: ScheduleFlavour, texts: ReadonlyMap<string, string>): boolean {
  const [text = ""] = texts.values();
  const wanted = filesOf(planSchedule({ ...order, choices: choicesOf(text) ?? order.choices }), flavour);
  return wanted.length === texts.size && wanted.every((file) => texts.get(file.path) === file.text);
}

function cronJobs(texts: readonly string[], nowMs: number): JobStatus[] {
  const lines = texts.flatMap(readCronFile);
  return KINDS.flatMap((job): JobStatus[] => {
    const slots = lines.filter(({ kind }) => kind === job).map(({ slot }) => slot);
    return slots.length === 0 ? [] : [{ ...UNKNOWN, job, isActive: true, nextRunMs: nextRunMs(slots, nowMs) }];
  });
}

function unitJobs(host: string, files: readonly string[]): JobStatus[] {
  const kinds = KINDS.filter((kind) => files.some((path) => path.endsWith(`/${unitStem(host, kind)}.timer`)));
  return kinds.map((kind) => unitStatus(unitStem(host, kind), kind));
}

function unitStatus(stem: string, job: ScheduleJob["kind"]): JobStatus {
  // Nobody can be asked, and nothing will start.
  if (!isSystemdRunning()) return { ...UNKNOWN, job };
  const timer = unitProperties(`${stem}.timer`, ["ActiveState", "NextElapseUSecRealtime"]);
  const service = unitProperties(`${stem}.service`, ["ActiveState", "Result", "ExecMainStatus", "ExecMainStartTimestamp", "ExecMainExitTimestamp"]);
  const endedMs = parseSystemdTime(service.get("ExecMainExitTimestamp"));
  return {
    job,
    isActive: timer.get("ActiveState") === "active",
    nextRunMs: parseSystemdTime(timer.get("NextElapseUSecRealtime")),
    lastRunMs: parseSystemdTime(service.get("ExecMainStartTimestamp")),
    isRunning: service.get("ActiveState") === "activating",
    lastResult: endedMs === null ? null : (service.get("Result") ?? null),
    lastExitStatus: endedMs === null ? null : Number(service.get("ExecMainStatus")),
  };
}
