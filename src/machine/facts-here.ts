/** What this machine offers to a profile: for `checkAdequacy`. */
import { accessSync, constants } from "node:fs";
import { freeSpace } from "../disk/free-space.ts";
import type { Here, MountHere } from "../policy/adequacy.ts";
import { Look } from "./profile/look.ts";
import { DPKG_STATUS } from "./profile/packages.ts";
import { readProfileMounts } from "./profile/storage-facts.ts";
import { readHardware, readOs } from "./profile/system.ts";

const APT_TOOLS = ["/usr/bin/apt-get", "/usr/bin/dpkg"];

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function mountsHere(look: Look): MountHere[] {
  return readProfileMounts(look).flatMap(({ path, type, sizeBytes, options }) => {
    if (sizeBytes === 0) return [];
    return [{ path, type, freeBytes: freeSpace(path).bytes, isReadOnly: options.split(",").includes("ro") }];
  });
}

/** Changes nothing. Throws the signal's reason. */
export async function factsOfThisMachine(signal?: AbortSignal): Promise<Here> {
  const look = new Look("/", signal);
  const { arch, cpus, memoryBytes, swapBytes } = await readHardware(look, look.text(DPKG_STATUS), Date.now());
  return { os: readOs(look), arch, cpus, memoryBytes, swapBytes, mounts: mountsHere(look), isRoot: process.geteuid?.() === 0, hasApt: APT_TOOLS.every(isThere) };
}
