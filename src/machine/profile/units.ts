/** Which services start by themselves: as systemctl says it, else as the links in /etc say it. */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";

type Unit = Profile["units"][number];

const TOOL_MS = 3000;
const UNIT = /^[^\s/]+\.(?:service|timer|socket|path|mount|automount|swap|target)$/;
/** States somebody decided on; what is static, generated or an alias follows from something else. */
const DECIDED = new Set(["enabled", "enabled-runtime", "disabled", "masked", "masked-runtime", "linked", "linked-runtime"]);
const UNIT_FOLDERS = ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/** Name and state of `systemctl list-unit-files --no-legend --plain`. */
export function parseUnitFiles(text: string): { name: string; state: string }[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", state = ""] = line.trim().split(/\s+/);
    return UNIT.test(name) && DECIDED.has(state) ? [{ name, state }] : [];
  });
}

/** Names of active units in `systemctl list-units --no-legend --plain`. */
export function parseActiveUnits(text: string): Set<string> {
  const fields = text.split("\n").map((line) => line.trim().split(/\s+/));
  return new Set(fields.flatMap(([name = "", , active]) => (active === "active" ? [name] : [])));
}

async function unitsOfSystemctl(look: Look): Promise<Unit[] | null> {
  if (look.stat("/run/systemd/system") === null) return null;
  const common = ["--no-legend", "--no-pager", "--plain"];
  const [files, active] = await Promise.all([
    look.tool("units", ["systemctl", "list-unit-files", ...common], TOOL_MS),
    look.tool("units", ["systemctl", "list-units", ...common], TOOL_MS),
  ]);
  if (files === null) return null;
  const running = parseActiveUnits(active ?? "");
  return parseUnitFiles(files).map((unit) => ({ ...unit, active: running.has(unit.name) }));
}

/** systemd knows the script `x.sh` as x.service. */
function plainName(script: string): string {
  return script.replace(/\.sh$/, "");
}

/** Links in `*.wants` and `*.requires` are what enables a unit; a link to /dev/null masks it; init scripts have theirs in /etc/rc?.d. */
function unitsOfLinks(look: Look): Unit[] {
  const states = new Map<string, string>();
  const folder = "/etc/systemd/system";
  for (const name of look.names(folder)) {
    if (/\.(?:wants|requires)$/.test(name)) {
      for (const unit of look.names(`${folder}/${name}`)) if (UNIT.test(unit)) states.set(unit, "enabled");
    } else if (UNIT.test(name) && look.link(`${folder}/${name}`) === "/dev/null") states.set(name, "masked");
  }
  for (const level of ["2", "3", "4", "5", "S"]) {
    for (const script of look.names(`/etc/rc${level}.d`)) {
      const name = /^S\d\d(.+)$/.exec(script)?.[1];
      if (name !== undefined && !states.has(`${plainName(name)}.service`)) states.set(`${plainName(name)}.service`, "enabled");
    }
  }
  return [...states].map(([name, state]) => ({ name, state, active: false }));
}

/** A unit's own file, and what is set beside it; empty where there is none. */
export function unitText(look: Look, name: string): string {
  const found = UNIT_FOLDERS.find((folder) => look.stat(`${folder}/${name}`) !== null);
  const dropIns = UNIT_FOLDERS.flatMap((folder) => look.names(`${folder}/${name}.d`).map((file) => `${folder}/${name}.d/${file}`));
  return [...(found === undefined ? [] : [`${found}/${name}`]), ...dropIns].map((path) => look.text(path) ?? "").join("\n");
}

/** What an enabled timer starts: `Unit=`, else the service of the same name (systemd.timer(5)). */
function startedBy(look: Look, timer: string): string {
  return /^\s*Unit\s*=\s*(\S+)/m.exec(unitText(look, timer))?.[1] ?? timer.replace(/\.timer$/, ".service");
}

export async function readUnits(look: Look): Promise<Pick<Profile, "units" | "timers">> {
  const asked = await unitsOfSystemctl(look);
  if (asked === null && look.isLive) look.gap("units", "systemd does not run here: what is enabled is read from the links in /etc, and what runs is not known");
  const units = (asked ?? unitsOfLinks(look)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const timers = units.filter(({ name, state }) => name.endsWith(".timer") && state.startsWith("enabled")).map(({ name }) => startedBy(look, name));
  return { units, timers: [...new Set(timers)].toSorted() };
}

const CRON_FILES = ["/etc/crontab", "/etc/anacrontab"];
const CRON_FOLDERS = ["/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron"];

/** Files with crontabs. Names with a dot are no crontabs for cron either. */
export function readCrontabs(look: Look): string[] {
  const listed = CRON_FOLDERS.flatMap((folder) => look.names(folder).filter((name) => !name.includes(".")).map((name) => `${folder}/${name}`));
  return [...CRON_FILES, ...listed].filter((path) => look.stat(path)?.isFile() === true).toSorted();
}
