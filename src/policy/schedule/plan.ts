/** What a schedule is to do, before it becomes units or a crontab; and how its files are told from those of others. */
import type { Calendar } from "./calendar.ts";

export type ScheduleJob = {
  kind: "backup" | "verify";
  calendar: Calendar;
  /** What follows the program on the command line. */
  args: readonly string[];
  /** After this time the run is ended, ms. */
  timeoutMs: number;
};

/** What the command line decided; it is kept in the files, so that `status` can tell whether they are up to date. */
export type ScheduleChoices = {
  /** In place of the configuration's `schedule.at`. */
  at?: string | undefined;
  /** `root`, or a user who gets nothing but the right to read every file. */
  user: string;
};

export type SchedulePlan = {
  host: string;
  /** Absolute path of the configuration. */
  config: string;
  choices: ScheduleChoices;
  jobs: readonly ScheduleJob[];
  /** Runs start up to this long after the time of the calendar, ms. */
  randomDelayMs: number;
  /** The command line that starts this program. */
  program: readonly string[];
  /** Absolute path of the state folder. */
  state: string;
  /** Absolute paths that a run writes to besides the state; one that is missing is no fault. */
  writable: readonly string[];
  /** File with `NAME=value` lines, credentials among them; need not exist. */
  environmentFile: string;
};

export type ScheduleFlavour = "systemd" | "cron";

/** A file of a schedule: its absolute path and its text. */
export type ScheduleFile = { path: string; text: string };

const MARKER_START = "# Written by `coldkeep schedule install` for ";

/** The first line of every file of a schedule: it says whose the file is. */
export function marker(config: string): string {
  return `${MARKER_START}${config}; \`coldkeep schedule remove\` takes it away.`;
}

const CHOICES_START = "# Installed with: ";

/** The first lines of every file of a schedule. */
export function headLines({ config, choices: { at, user } }: SchedulePlan): string[] {
  return [marker(config), `${CHOICES_START}${at === undefined ? "" : `--at "${at}" `}--user ${user}`];
}

/** The choices a file was made with, undefined where it does not say so. */
export function choicesOf(text: string): ScheduleChoices | undefined {
  const line = text.split("\n", 2)[1] ?? "";
  const [, at, user] = (line.startsWith(CHOICES_START) && /^(?:--at "([^"]+)" )?--user (\S+)$/.exec(line.slice(CHOICES_START.length))) || [];
  return user === undefined ? undefined : { at, user };
}

/** Whose a file is: of this configuration's schedule, of another's, or of somebody else. */
export function ownerOf(text: string, config: string): "ours" | "other-configuration" | "foreign" {
  const [first = ""] = text.split("\n", 1);
  if (first === marker(config)) return "ours";
  return first.startsWith(MARKER_START) ? "other-configuration" : "foreign";
}
