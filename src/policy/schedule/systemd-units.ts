/** The text of systemd units: a oneshot service and its timer for each job. */
import { systemdCalendars } from "./calendar.ts";
import { headLines, type ScheduleFile, type ScheduleJob, type SchedulePlan } from "./plan.ts";

export const UNIT_DIR = "/etc/systemd/system";
const STATE_ROOT = "/var/lib/";

/** The units' name without its ending. A host label has no `_`, so no other host's backup can have the name of a verify. */
export function unitStem(host: string, kind: ScheduleJob["kind"]): string {
  return kind === "backup" ? `coldkeep-${host}` : `coldkeep-${host}_verify`;
}

/** A word of a list or command line: specifiers, blanks, quotes and (in commands) variables lose their meaning. */
function word(text: string): string {
  const plain = text.replaceAll("%", "%%");
  return /^[\w@%+=:,./-]+$/.test(plain) ? plain : `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function commandWord(text: string): string {
  return word(text).replaceAll("$", "$$$$");
}

/** Where the state lies below /var/lib, systemd makes it when it is missing: it is a cache, and may be deleted. */
function stateLines({ state, writable }: SchedulePlan): string[] {
  const below = state.startsWith(STATE_ROOT) ? state.slice(STATE_ROOT.length) : undefined;
  const parent = state.slice(0, state.lastIndexOf("/"));
  // Elsewhere the run makes it, for which it must be able to write to the folder above.
  const stateRoom = below === undefined ? [parent === "" ? state : parent] : [];
  const paths = [...stateRoom, ...writable].map((path) => word(`-${path}`)).join(" ");
  return [...(below === undefined ? [] : [`StateDirectory=${word(below)}`, "StateDirectoryMode=0700"]), `ReadWritePaths=${paths}`];
}

function userLines({ choices: { user }, host }: SchedulePlan): string[] {
  // User= also for root: it is what sets HOME, where database clients look for their passwords.
  if (user === "root") return ["User=root", "CacheDirectory=coldkeep"];
  return [
    `User=${user}`,
    "# May read every file, and nothing else that an ordinary user may not.",
    "AmbientCapabilities=CAP_DAC_READ_SEARCH",
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH",
    "# Compiled code in a folder of its own: root must never run what this user could have put into root's.",
    `CacheDirectory=coldkeep-${host}`,
    `Environment=XDG_CACHE_HOME=/var/cache/coldkeep-${host}`,
  ];
}

function serviceText(plan: SchedulePlan, job: ScheduleJob): string {
  return `${[
    ...headLines(plan),
    `# Changes belong into a drop-in: systemctl edit ${unitStem(plan.host, job.kind)}.service`,
    "[Unit]",
    `Description=coldkeep ${job.kind} of ${plan.host}`,
    "Wants=network-online.target",
    "After=network-online.target",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=${[...plan.program, ...job.args].map(commandWord).join(" ")}`,
    "# 6: an earlier run still makes progress. 3, a partial archive, counts as failed.",
    "SuccessExitStatus=6",
    `EnvironmentFile=-${plan.environmentFile.replaceAll("%", "%%")}`,
    ...userLines(plan),
    "UMask=0077",
    `TimeoutStartSec=${Math.ceil(job.timeoutMs / 1000)}`,
    "# SIGTERM to the program alone, which ends what it started and keeps what was stored.",
    "KillMode=mixed",
    "TimeoutStopSec=120",
    "",
    "# Behind every service of this machine.",
    "Nice=10",
    "IOSchedulingClass=best-effort",
    "IOSchedulingPriority=7",
    "CPUWeight=20",
    "IOWeight=20",
    "OOMScoreAdjust=500",
    "",
    "# The machine is read-only but for these. Nothing is hidden: what is hidden from a backup is not in it, so there is no",
    "# PrivateTmp, PrivateDevices, ProtectHome or ProtectKernelModules here.",
    "ProtectSystem=strict",
    ...stateLines(plan),
    "NoNewPrivileges=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
  ].join("\n")}\n`;
}

function timerText(plan: SchedulePlan, job: ScheduleJob): string {
  return `${[
    ...headLines(plan),
    `# Changes belong into a drop-in: systemctl edit ${unitStem(plan.host, job.kind)}.timer`,
    "[Unit]",
    `Description=when coldkeep ${job.kind} of ${plan.host} runs`,
    "",
    "[Timer]",
    ...systemdCalendars(job.calendar).map((calendar) => `OnCalendar=${calendar}`),
    "# The same delay every time: nights stay 24 hours apart, and hosts do not all come at once.",
    `RandomizedDelaySec=${Math.floor(plan.randomDelayMs / 1000)}`,
    "FixedRandomDelay=yes",
    "AccuracySec=1min",
    "# A run that was missed while the machine was off is made up for.",
    "Persistent=yes",
    "",
    "[Install]",
    "WantedBy=timers.target",
  ].join("\n")}\n`;
}

/** The unit files of a plan, services first. */
export function systemdFiles(plan: SchedulePlan): ScheduleFile[] {
  return plan.jobs.flatMap((job) => {
    const stem = `${UNIT_DIR}/${unitStem(plan.host, job.kind)}`;
    return [
      { path: `${stem}.service`, text: serviceText(plan, job) },
      { path: `${stem}.timer`, text: timerText(plan, job) },
    ];
  });
}
