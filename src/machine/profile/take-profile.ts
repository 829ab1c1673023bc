/** Takes the profile of a machine (format §8.5): every collector in turn, what fails is a gap, and all of it within seconds. */
import { isWithin } from "../../format/entry-path.ts";
import type { Profile } from "../../format/profile.ts";
import { withinBounds } from "../../format/profile-bounds.ts";
import { readAccounts } from "./accounts.ts";
import { readAptFiles } from "./apt-files.ts";
import { readConfiguration } from "./configuration.ts";
import { readImages } from "./images.ts";
import { readFirewall, readSysctl } from "./kernel.ts";
import { Look } from "./look.ts";
import { Ownership } from "./ownership.ts";
import { readOutside } from "./outside.ts";
import { DPKG_STATUS, parseAutoInstalled, parseDpkgStatus, withMarks, type DpkgList } from "./packages.ts";
import { readPorts } from "./ports.ts";
import { readProcesses, type Process } from "./processes.ts";
import { readReenter } from "./reenter.ts";
import { readProfileMounts } from "./storage-facts.ts";
import { readHardware, readHostName, readOs } from "./system.ts";
import { type Coverage, readUncovered } from "./uncovered.ts";
import { readCrontabs, readUnits } from "./units.ts";

export type ProfileOrder = {
  nowMs: number;
  /** What is archived; null where nothing is configured, so that nothing can be said of what is not. */
  coverage: Coverage | null;
  /** The system's root directory. Default: the system that runs. */
  root?: string | undefined;
  signal?: AbortSignal | undefined;
};

const BUDGETS = {
  outside: { entries: 5000, ms: 200 },
  configuration: { entries: 20_000, ms: 300 },
  uncovered: { entries: 12_000, ms: 200 },
} as const;

function budget({ entries, ms }: { entries: number; ms: number }): { entries: number; endMs: number } {
  return { entries, endMs: performance.now() + ms };
}

/** What a collector finds; where it fails, `fallback`, and a gap that says so. */
async function part<T>(look: Look, what: string, fallback: T, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    look.gap(what, error);
    return fallback;
  }
}

/** The root file system always counts: packages are installed there. */
function isArchived(coverage: Coverage | null): (path: string) => boolean {
  return (mount) => {
    if (mount === "/" || coverage === null) return true;
    const { sources, vaults } = coverage;
    const isForVault = vaults.some((vault) => isWithin(vault, mount));
    return sources.some((source) => isWithin(source, mount) || (isWithin(mount, source) && !isForVault));
  };
}

const NO_LIST: DpkgList = { installed: [], holds: [], conffiles: new Map() };

type Ground = { look: Look; list: DpkgList; processes: Process[]; ownership: Ownership };

async function readGround(look: Look, dpkgStatus: string | null): Promise<Ground> {
  const list = await part(look, "packages", NO_LIST, () => (dpkgStatus === null ? NO_LIST : parseDpkgStatus(dpkgStatus)));
  const processes = await part(look, "processes", [], () => readProcesses(look));
  const programs = new Set(processes.flatMap(({ program }) => (program === "" ? [] : [program])));
  return { look, list, processes, ownership: new Ownership(look, programs) };
}

async function readPackages({ look, list, ownership }: Ground, isDebian: boolean, arch: string): Promise<Profile["packages"]> {
  if (!isDebian) return { manager: "none", installed: [], holds: [], aptFiles: [] };
  const auto = await part(look, "manual marks", new Set<string>(), () => parseAutoInstalled(look.text("/var/lib/apt/extended_states") ?? ""));
  const aptFiles = await part(look, "apt files", [], () => readAptFiles(look, ownership));
  return { manager: "apt", installed: withMarks(list, auto, arch), holds: list.holds, aptFiles };
}

/** Never throws but the signal's reason. Within the bounds that readers hold a profile to. */
export async function takeProfile({ nowMs, coverage, root, signal }: ProfileOrder): Promise<Profile> {
  const look = new Look(root, signal);
  // Tools first: they run while files are read here.
  const dpkgStatus = look.text(DPKG_STATUS);
  const asked = Promise.all([
    part(look, "hardware", null, () => readHardware(look, dpkgStatus, nowMs)),
    part(look, "units", { units: [], timers: [] }, () => readUnits(look)),
    part(look, "firewall", null, () => readFirewall(look)),
    part(look, "images", [], () => readImages(look)),
  ]);
  const ground = await readGround(look, dpkgStatus);
  const { list, processes, ownership } = ground;
  const accounts = await part(look, "accounts", { users: [], groups: [] }, () => readAccounts(look));
  const local = {
    hostName: await part(look, "host name", "", () => readHostName(look)),
    os: await part(look, "os", { id: "linux", versionId: "", codename: "", name: "" }, () => readOs(look)),
    mounts: await part(look, "mounts", [], () => readProfileMounts(look, isArchived(coverage))),
    crontabs: await part(look, "crontabs", [], () => readCrontabs(look)),
    sysctl: await part(look, "sysctl", [], () => readSysctl(look)),
    ports: await part(look, "ports", [], () => readPorts(look, processes, ownership)),
    outside: await part(look, "programs outside of packages", [], () => readOutside(look, ownership, accounts.users, budget(BUDGETS.outside))),
    reenter: await part(look, "what is bound to the machine", [], () => readReenter(look)),
    configuration: await part(look, "configuration", [], () => readConfiguration(look, ownership, list.conffiles, budget(BUDGETS.configuration))),
    uncovered: coverage === null ? [] : await part(look, "uncovered data", [], () => readUncovered(look, processes, ownership, coverage, budget(BUDGETS.uncovered))),
  };
  const [hardware, units, firewall, images] = await asked;
  const known = hardware ?? { arch: "", kernel: "", virtualization: "", cpus: 0, memoryBytes: 0, swapBytes: 0, peakMemoryBytes: null, peakSwapBytes: null, peakSince: null };
  const packages = await readPackages(ground, dpkgStatus !== null, known.arch);
  signal?.throwIfAborted();
  return withinBounds({ takenAt: new Date(nowMs).toISOString(), ...local, ...accounts, ...units, hardware: known, packages, firewall, images, gaps: look.gaps });
}
