/** From a configuration and what stood on the command line to the files of a schedule. */
import { dirname, join } from "node:path";
import { hostKeysDir } from "../../config/keys.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { ColdkeepError } from "../../errors.ts";
import { parseCalendar } from "../../policy/schedule/calendar.ts";
import { cronFile } from "../../policy/schedule/crontab.ts";
import type { ScheduleChoices, ScheduleFile, ScheduleFlavour, ScheduleJob, SchedulePlan } from "../../policy/schedule/plan.ts";
import { systemdFiles } from "../../policy/schedule/systemd-units.ts";
import { parseRegionUrl } from "../../storage/region-url.ts";

export type ScheduleOrder = {
  loaded: LoadedConfig;
  /** The command line that starts this program. */
  program: readonly string[];
  choices: ScheduleChoices;
};

/** A run that every region's deadline has passed has this long to end by itself. */
const BEYOND_DEADLINES_MS = 12 * 3_600_000;
/** What database clients and other tools need that a run starts. */
const SHARED_PATHS = ["/tmp", "/var/tmp", "/run"];
const ENVIRONMENT_FILE = "credentials.env";

/** Throws E_CONFIG where a path cannot stand in a unit or a crontab. */
export function planSchedule({ loaded, program, choices }: ScheduleOrder): SchedulePlan {
  const { config, path, dir } = loaded;
  const { schedule } = config;
  const timeoutMs = Math.max(...config.regions.map(({ deadlineMs }) => deadlineMs)) + BEYOND_DEADLINES_MS;
  const jobs: ScheduleJob[] = [{ kind: "backup", calendar: parseCalendar(choices.at ?? schedule.at), args: ["backup", "--config", path], timeoutMs }];
  if (schedule.verify !== undefined) {
    const { level, sample } = schedule.verify;
    const args = ["verify", "--config", path, "--level", level, ...(sample === undefined ? [] : ["--sample", `${sample}%`])];
    jobs.push({ kind: "verify", calendar: parseCalendar(schedule.verify.at), args, timeoutMs });
  }
  const plan: SchedulePlan = {
    host: config.host,
    config: path,
    choices,
    jobs,
    randomDelayMs: schedule.randomDelayMs,
    program,
    state: config.state,
    writable: [hostKeysDir(dir), ...directoryRegions(loaded), ...watchFolders(loaded), ...SHARED_PATHS],
    environmentFile: join(dir, ENVIRONMENT_FILE),
  };
  for (const word of [path, config.state, ...program, ...plan.writable]) refuseControls(word);
  return plan;
}

function directoryRegions({ config }: LoadedConfig): string[] {
  return config.regions.map(({ url }) => parseRegionUrl(url)).flatMap((url) => (url.kind === "directory" ? [url.path] : []));
}

/** Where metrics and log go: the folders, because files are replaced and rotated. */
function watchFolders({ config }: LoadedConfig): string[] {
  return [config.metrics?.textfile, config.log?.file].flatMap((file) => (file === undefined ? [] : [dirname(file)]));
}

/** A line break would end the line of a unit or crontab and begin another. */
function refuseControls(path: string): void {
  if (!/[\0-\x1f\x7f]/.test(path)) return;
  throw new ColdkeepError("E_CONFIG", `the path ${JSON.stringify(path)} has control characters, which no unit or crontab can hold`, { hint: "Move it to a path without them." });
}

export function filesOf(plan: SchedulePlan, flavour: ScheduleFlavour): ScheduleFile[] {
  return flavour === "systemd" ? systemdFiles(plan) : [cronFile(plan)];
}

/** S3 regions whose credentials a scheduled run finds in the environment file or nowhere: their URL names neither file nor profile. */
export function regionsByEnvironment({ config }: LoadedConfig): string[] {
  return config.regions.filter(({ url: text }) => {
    const url = parseRegionUrl(text);
    return url.kind === "s3" && url.credentialsFile === undefined && url.profile === undefined;
  }).map(({ name }) => name);
}
