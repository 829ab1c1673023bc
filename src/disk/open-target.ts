/** The directory a restore writes into: made or found empty first, then opened by each thread. */
import { accessSync, constants, mkdirSync, openSync, readdirSync } from "node:fs";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { fsPath } from "./long-path.ts";
import { RestoreTarget, type TargetOptions } from "./restore-target.ts";

/**
 * Makes the directory (mode 0700; its parent must exist) or checks that it is empty, unless `merge`. Once a restore. What is
 * called `own` does not count. Returns whether it was made. Throws E_REFUSED when it holds anything, E_DISK when it cannot
 * be made or read.
 */
export function prepareTarget(dir: string, merge: boolean, own?: string): boolean {
  let names: string[];
  try {
    mkdirSync(fsPath(dir), { mode: 0o700 });
    return true;
  } catch (cause) {
    const hint = systemCode(cause) === "ENOENT" ? "Make the directory it lies in first, or correct the path." : undefined;
    if (systemCode(cause) !== "EEXIST") throw new ColdkeepError("E_DISK", `cannot make ${dir}: ${messageOf(cause)}`, { hint, cause });
  }
  try {
    names = readdirSync(fsPath(dir));
  } catch (cause) {
    throw new ColdkeepError("E_DISK", `cannot read ${dir}: ${messageOf(cause)}`, { cause });
  }
  // A freshly made file system is empty but for this.
  const found = names.find((name) => name !== "lost+found" && name !== own);
  if (found === undefined || merge) return false;
  throw new ColdkeepError("E_REFUSED", `${dir} is not empty`, { hint: "Name an empty or new directory, or add --merge to write over what is there." });
}

/** Opens a prepared target. Throws E_DISK when that fails, also where /proc is not mounted. */
export function openTarget(dir: string, options: TargetOptions): RestoreTarget {
  try {
    accessSync("/proc/self/fd");
  } catch (cause) {
    throw new ColdkeepError("E_DISK", "cannot restore safely without /proc", { hint: "Mount it with: mount -t proc proc /proc", cause });
  }
  try {
    return new RestoreTarget(openSync(fsPath(dir), constants.O_RDONLY | constants.O_DIRECTORY), options);
  } catch (cause) {
    throw new ColdkeepError("E_DISK", `cannot open ${dir}: ${messageOf(cause)}`, { cause });
  }
}
