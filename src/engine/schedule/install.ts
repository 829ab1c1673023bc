/** Putting the files of a schedule in their place, and taking them away again. */
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { syncDirectory, writeFileDurable } from "../../disk/atomic-write.ts";
import { Owners } from "../../disk/owners.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { ownerOf, type ScheduleFile, type ScheduleFlavour, type SchedulePlan } from "../../policy/schedule/plan.ts";
import { hostKeysDir } from "../../config/keys.ts";
import type { Emit } from "../events.ts";
import { filesOf, planSchedule, regionsByEnvironment, type ScheduleOrder } from "./plan.ts";
import { isSystemdRunning, systemctl } from "./systemctl.ts";

export type InstalledFile = { path: string; state: "written" | "unchanged" | "removed" };

const FLAVOURS: readonly ScheduleFlavour[] = ["systemd", "cron"];
const CRON_DAEMONS = ["cron", "crond"].flatMap((name) => ["/usr/sbin", "/sbin", "/usr/bin"].map((folder) => `${folder}/${name}`));

/** The text of one of our files, or null where none is. Throws E_REFUSED where something lies there that we did not write. */
export function readOwn(path: string, config: string): string | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const text = stat.isFile() ? readFileSync(path, "utf8") : "";
  const owner = ownerOf(text, config);
  if (owner === "ours") return text;
  const whose = owner === "foreign" ? "was not written by `coldkeep schedule install`" : "belongs to the schedule of another configuration";
  throw new ColdkeepError("E_REFUSED", `${path} ${whose}`, { hint: `Look at what it does; then move it away, or give this host another label than that one's.` });
}

function requireRoot(uid: number, verb: string): void {
  if (uid === 0) return;
  throw new ColdkeepError("E_REFUSED", `only root can ${verb} a schedule`, { hint: `Run it with sudo and --config FILE, or look at \`coldkeep schedule print\` and put it in place by hand.` });
}

/** Every file the schedule of a host can have, whatever its configuration says now: the verify may have been taken out. */
function possibleFiles(plan: SchedulePlan, flavour: ScheduleFlavour): string[] {
  const [job] = plan.jobs;
  if (job === undefined) return [];
  return filesOf({ ...plan, jobs: [job, { ...job, kind: "verify" }] }, flavour).map(({ path }) => path);
}

/** Paths of this configuration's files that lie there, of one flavour. Throws E_REFUSED as `readOwn`. */
export function presentFiles(plan: SchedulePlan, flavour: ScheduleFlavour): string[] {
  return possibleFiles(plan, flavour).filter((path) => readOwn(path, plan.config) !== null);
}

function timersOf(paths: readonly string[]): string[] {
  return paths.filter((path) => path.endsWith(".timer")).map((path) => path.slice(path.lastIndexOf("/") + 1));
}

/**
 * Installs the schedule and switches it on; one of the other flavour is taken away, so that nothing runs twice. Doing it again
 * changes nothing. Throws E_REFUSED without root or where a file is not ours, before anything is written.
 */
export function installSchedule(order: ScheduleOrder & { flavour: ScheduleFlavour; uid: number; emit: Emit }): InstalledFile[] {
  const { flavour, uid, emit } = order;
  requireRoot(uid, "install");
  const plan = planSchedule(order);
  checkUser(plan, order, emit);
  const files = filesOf(plan, flavour);
  const before = new Map(files.map(({ path }) => [path, readOwn(path, plan.config)]));
  const wanted = new Set(files.map(({ path }) => path));
  const obsolete = FLAVOURS.flatMap((each) => presentFiles(plan, each)).filter((path) => !wanted.has(path));
  const done = files.map(({ path, text }) => ({ path, state: before.get(path) === text ? ("unchanged" as const) : write({ path, text }) }));
  const removed = take(obsolete);
  if (flavour === "systemd") startTimers(timersOf([...wanted]), done.some(({ state }) => state === "written"), emit);
  else if (!CRON_DAEMONS.some((path) => existsSync(path))) emit({ kind: "warning", message: "no cron is installed on this machine: nothing will run", hint: "Install the package cron (or cronie)." });
  warnOfCredentials(plan, order, emit);
  return [...done, ...removed];
}

function write({ path, text }: ScheduleFile): "written" {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileDurable(path, Buffer.from(text), 0o644);
  } catch (cause) {
    throw new ColdkeepError("E_DISK", `cannot write ${path}: ${messageOf(cause)}`, { hint: "Run the same command again when it can be written; what was installed before still runs.", cause });
  }
  return "written";
}

function startTimers(timers: string[], isChanged: boolean, emit: Emit): void {
  if (!isSystemdRunning()) {
    // In an image that is being built, or a chroot: enabling is making links, for which no systemd has to run.
    systemctl(["enable", ...timers]);
    emit({ kind: "warning", message: "systemd is not the running init: the timers are enabled and start with the machine", hint: "If this machine never runs systemd, install with --cron." });
    return;
  }
  if (isChanged) systemctl(["daemon-reload"]);
  systemctl(["enable", "--now", ...timers]);
  // A timer that waits already would keep its old time.
  if (isChanged) systemctl(["restart", ...timers]);
}

/** Switches off and deletes files of ours. A run that is under way is left to end. */
function take(paths: readonly string[]): InstalledFile[] {
  const timers = timersOf(paths);
  if (timers.length > 0) systemctl(["disable", ...(isSystemdRunning() ? ["--now"] : []), ...timers]);
  for (const path of paths) {
    rmSync(path);
    syncDirectory(dirname(path));
  }
  if (timers.length > 0 && isSystemdRunning()) systemctl(["daemon-reload"]);
  return paths.map((path) => ({ path, state: "removed" }));
}

/** Takes away what `installSchedule` put there, of either flavour. Throws E_REFUSED. */
export function removeSchedule(order: ScheduleOrder & { uid: number }): InstalledFile[] {
  requireRoot(order.uid, "remove");
  const plan = planSchedule(order);
  return take(FLAVOURS.flatMap((flavour) => presentFiles(plan, flavour)));
}

/** A user other than root must exist, and own the host's keys: the program trusts no keys of somebody else. */
function checkUser({ choices: { user } }: SchedulePlan, { loaded }: ScheduleOrder, emit: Emit): void {
  if (user === "root") return;
  const uid = new Owners().uidOf(user);
  if (uid === undefined) {
    throw new ColdkeepError("E_REFUSED", `there is no user "${user}" in /etc/passwd`, { hint: `Make it with: useradd --system --user-group --home-dir ${loaded.config.state} --shell /usr/sbin/nologin ${user}` });
  }
  const keysDir = hostKeysDir(loaded.dir);
  const owner = statSync(keysDir, { throwIfNoEntry: false })?.uid;
  if (owner !== uid) emit({ kind: "warning", message: `${keysDir} does not belong to ${user}, so its runs would be refused`, hint: `Run: chown -R ${user}: ${keysDir} ${loaded.config.state}` });
}

/** The classic of scheduled runs: what the shell had in its environment is not there at night. */
function warnOfCredentials({ environmentFile }: SchedulePlan, { loaded }: ScheduleOrder, emit: Emit): void {
  const names = regionsByEnvironment(loaded);
  const stat = statSync(environmentFile, { throwIfNoEntry: false });
  if (stat !== undefined && (stat.uid !== 0 || (stat.mode & 0o077) !== 0)) {
    emit({ kind: "warning", message: `${environmentFile} can be read or changed by others than root`, hint: `Run: chown root: ${environmentFile} && chmod 600 ${environmentFile}` });
  }
  if (names.length === 0 || stat !== undefined) return;
  emit({
    kind: "warning",
    message: `a scheduled run finds no credentials for ${names.map((name) => `region "${name}"`).join(", ")} but those of the AWS SDK's own chain`,
    hint: `Write them as NAME=value lines into ${environmentFile} (mode 0600), or name a file with credentials-file= in the region's URL.`,
  });
}
