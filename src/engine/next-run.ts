/** When the next backup of this host starts by itself. */
import type { LoadedConfig } from "../config/load.ts";
import { scheduleStatus } from "./schedule/status.ts";

/** `atMs` is null where nobody knows the time. */
export type NextRun = { atMs: number | null };

/** Null when nothing on this machine starts one. Throws E_REFUSED, E_DISK. */
export function nextBackup(loaded: LoadedConfig, program: readonly string[], nowMs: number): NextRun | null {
  const status = scheduleStatus({ loaded, program, choices: { user: "root" } }, nowMs);
  const backup = status?.jobs.find(({ job, isActive }) => job === "backup" && isActive);
  return backup === undefined ? null : { atMs: backup.nextRunMs };
}
