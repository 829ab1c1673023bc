/** The text of a file for /etc/cron.d: one line for each time of each job (crontab(5)). */
import { ColdkeepError } from "../../errors.ts";
import { cronFields, type CronSlot, cronSlots, parseCronDays, spreadMinutes } from "./calendar.ts";
import { headLines, type ScheduleFile, type ScheduleJob, type SchedulePlan } from "./plan.ts";

export const CRON_DIR = "/etc/cron.d";
/** What cron takes for a command; it drops a longer line without a word. */
const COMMAND_BYTES_MAX = 990;

/** Cron skips files whose names have a dot; a host label has no `_`, so two hosts never share a file. */
export function cronPath(host: string): string {
  return `${CRON_DIR}/coldkeep-${host.replaceAll(".", "_")}`;
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** `[ ! -O file ] || …` and the like: takes the variables of a file into the environment, where the test holds. */
function readEnvironment(test: "-O" | "-r", file: string): string {
  const path = shellWord(file);
  return `[ ! ${test} ${path} ] || { set -a; . ${path}; set +a; }`;
}

/** The shell words that run the job: behind every service of this machine, and as the user of the plan. */
function jobCommand({ choices: { user }, environmentFile, program }: SchedulePlan, job: ScheduleJob): string {
  const aside = "nice -n 10 ionice -c 2 -n 7";
  const words = [...program, ...job.args].map(shellWord).join(" ");
  if (user === "root") return `${aside} ${words}`;
  // May read every file, and nothing else that an ordinary user may not. The file is read as that user too, who may have written it.
  const only = "-all,+dac_read_search";
  const drop = `setpriv --reuid=${user} --regid=$(id -g ${user}) --init-groups --no-new-privs --inh-caps=${only} --ambient-caps=${only} --bounding-set=${only}`;
  return `${aside} ${drop} sh -c ${shellWord(`${readEnvironment("-r", environmentFile)}; exec ${words}`)}`;
}

function command(plan: SchedulePlan, job: ScheduleJob): string {
  // What a run said is kept until its status is known: cron mails every output, and 6 (an earlier run still makes
  // progress) is nothing to mail.
  const line = [
    "cd /",
    // Only a file of root's own: its lines are run.
    ...(plan.choices.user === "root" ? [readEnvironment("-O", plan.environmentFile)] : []),
    `out=$(${jobCommand(plan, job)} 2>&1)`,
    "s=$?",
    `[ $s -eq 6 ] || { [ -z "$out" ] || printf '%s\\n' "$out"; exit $s; }`,
  ].join("; ");
  // To cron an unescaped % is the end of the line.
  const escaped = line.replaceAll("%", "\\%");
  if (Buffer.byteLength(escaped) <= COMMAND_BYTES_MAX) return escaped;
  throw new ColdkeepError("E_CONFIG", `the crontab line to ${job.kind} ${plan.host} would be longer than the ${COMMAND_BYTES_MAX} bytes cron reads`, {
    hint: "Shorten the paths of the configuration and the program, or use --systemd.",
  });
}

/** The one crontab file of a plan. Throws E_CONFIG where a line would be too long for cron. */
export function cronFile(plan: SchedulePlan): ScheduleFile {
  // A fixed delay for each host, since cron has no random one.
  const delayMinutes = spreadMinutes(plan.host, plan.randomDelayMs / 60_000);
  const lines = plan.jobs.flatMap((job) => cronSlots(job.calendar, delayMinutes).map((slot) => `${cronFields(slot)} root ${command(plan, job)}`));
  const text = `${[
    ...headLines(plan),
    "SHELL=/bin/sh",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    // Without it a run under another user would look for its home in root's.
    ...(plan.choices.user === "root" ? [] : [`HOME=${plan.state}`]),
    "# A success prints nothing; what a failure prints goes to the user below, or to whom MAILTO names.",
    "# MAILTO=ops@example.net",
    ...lines,
  ].join("\n")}\n`;
  return { path: cronPath(plan.host), text };
}

/** The jobs and times of a crontab file as `cronFile` wrote it; lines of another form are none of ours. */
export function readCronFile(text: string): { kind: ScheduleJob["kind"]; slot: CronSlot }[] {
  return text.split("\n").flatMap((line) => {
    const [, minute, hour, days, kind] = /^(\d+) (\d+) \* \* (\*|[\d,]+) root .* (backup|verify) --config /.exec(line) ?? [];
    if (kind !== "backup" && kind !== "verify") return [];
    return [{ kind, slot: { minute: Number(minute), hour: Number(hour), days: parseCronDays(days ?? "*") } }];
  });
}
