/** Asking the running systemd, through its own tool. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { ColdkeepError } from "../../errors.ts";

/** systemd's own test for being the running init (sd_booted(3)). */
export function isSystemdRunning(): boolean {
  return existsSync("/run/systemd/system");
}

const TIMEOUT_MS = 60_000;

/** Runs systemctl and returns what it printed, times in UTC. Throws E_DISK with what it said when it fails or is not there. */
export function systemctl(args: readonly string[]): string {
  const { PATH = "/usr/sbin:/usr/bin:/sbin:/bin" } = process.env;
  const done = spawnSync("systemctl", args, { encoding: "utf8", env: { PATH, LC_ALL: "C", TZ: "UTC", SYSTEMD_PAGER: "", SYSTEMD_COLORS: "0" }, timeout: TIMEOUT_MS, stdio: ["ignore", "pipe", "pipe"] });
  if (done.status === 0) return done.stdout;
  const said = done.stderr?.trim() || done.error?.message || `exit status ${done.status}`;
  throw new ColdkeepError("E_DISK", `systemctl ${args.join(" ")} failed: ${said}`, { hint: "Look at it with `systemctl status`, and run the same command again." });
}

/** Properties of a unit; one that systemd does not know has none. Throws E_DISK. */
export function unitProperties(unit: string, names: readonly string[]): Map<string, string> {
  const text = systemctl(["show", unit, `--property=${names.join(",")}`]);
  return new Map(text.split("\n").filter((line) => line.includes("=")).map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

/** Milliseconds since 1970 of a time as systemctl prints it in UTC; null when there is none. */
export function parseSystemdTime(text: string | undefined): number | null {
  const match = /^(?:\w{3} )?(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? UTC$/.exec(text ?? "");
  return match === null ? null : Date.parse(`${match[1]}T${match[2]}Z`);
}
