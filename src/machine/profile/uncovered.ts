/** Data that no source covers: what services hold open for writing, and large directories of somebody's own. */
import type { Profile } from "../../format/profile.ts";
import { isWithin, parentPath } from "../../format/entry-path.ts";
import { MIB } from "../../units.ts";
import type { Look } from "./look.ts";
import type { Ownership } from "./ownership.ts";
import type { Process } from "./processes.ts";
import { type Budget, entriesOf, isSpent, sizeUp } from "./size-up.ts";

type Uncovered = Profile["uncovered"][number];

/** What is in no need of a word: the sources, and what is known to be left out on purpose. */
export type Coverage = {
  /** Paths of the sources. What their patterns exclude, somebody has decided on. */
  sources: readonly string[];
  /** Regions that are directories of this machine. */
  vaults: readonly string[];
  /** Where the state lies, where dumped databases keep their files, and what the configuration names. */
  except: readonly string[];
};

const LISTED_MAX = 200;
/** A directory of less is not worth a line, unless a service holds a file in it open. */
const DIRECTORY_BYTES_LEAST = MIB;
const ENTRIES_A_DIRECTORY = 1000;
/** Logs count where they are large: they are mostly kept elsewhere, or wanted by nobody. */
const LOG_BYTES_LEAST = 256 * MIB;

/** What is made again by itself, or holds no data. */
const PASSING = [
  ["/proc", "/sys", "/dev", "/run", "/tmp", "/boot", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share", "/usr/include", "/usr/src", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"],
  ["/lost+found", "/mnt", "/media", "/swap", "/swapfile", "/swap.img", "/var/tmp", "/var/cache", "/var/lock", "/var/run", "/var/crash", "/var/backups"],
  ["dpkg", "apt", "aptitude", "ucf", "pam", "systemd", "man-db", "plocate", "mlocate", "command-not-found", "PackageKit", "swcatalog", "app-info", "ieee-data", "texmf", "dkms", "python", "initramfs-tools", "grub", "ghostscript", "snapd", "flatpak", "containerd", "dbus", "udisks2", "upower", "polkit-1", "usbutils", "misc", "vim", "xml-core", "sgml-base", "emacsen-common", "update-notifier", "update-manager", "ubuntu-advantage", "fwupd", "NetworkManager", "dhcp", "dhcpcd", "chrony", "ntp", "ntpsec", "logrotate", "private", "os-prober", "shim-signed", "lxcfs", "sysstat", "docker/overlay2", "docker/image", "docker/buildkit", "docker/containers", "docker/network", "docker/tmp", "docker/runtimes", "docker/containerd", "containers/storage/overlay", "containers/cache"].map((name) => `/var/lib/${name}`),
].flat();
const LOGS = ["/var/log"];
/** Folders whose children are looked at one by one. */
const PARENTS = ["/", "/home", "/srv", "/opt", "/var", "/var/lib", "/var/lib/docker", "/var/spool", "/usr", "/usr/local"];
/** Of the system itself: nobody's data, or looked at by their children. */
const NEVER = new Set(["/etc", "/home", "/srv", "/opt", "/var", "/var/lib", "/var/lib/docker", "/var/spool", "/usr", "/usr/local", "/snap", "/nix", "/var/local"]);

function isBelowAny(path: string, tops: readonly string[]): boolean {
  return tops.some((top) => isWithin(path, top));
}

class Search {
  readonly #coverage: Coverage;
  readonly #found = new Map<string, Uncovered>();

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
  }

  isKnown(path: string): boolean {
    return isBelowAny(path, this.#coverage.sources) || isBelowAny(path, this.#coverage.except) || isBelowAny(path, this.#coverage.vaults) || isBelowAny(path, PASSING);
  }

  /** Whether something below a path is covered, so that only its other parts are of interest. */
  holdsCovered(path: string): boolean {
    return [...this.#coverage.sources, ...this.#coverage.vaults, ...this.#coverage.except].some((each) => each !== path && isWithin(each, path));
  }

  add(item: Uncovered): void {
    const known = this.#found.get(item.path);
    this.#found.set(item.path, known === undefined ? item : { ...known, bytes: Math.max(known.bytes, item.bytes), why: known.why === item.why ? known.why : `${known.why}; ${item.why}`, process: known.process || item.process });
  }

  /** Largest first; what lies in another one's directory is told there. */
  result(): Uncovered[] {
    const all = [...this.#found.values()];
    const outer = all.filter(({ path, process }) => process !== "" || !all.some((other) => other.path !== path && isWithin(path, other.path)));
    return outer.toSorted((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1)).slice(0, LISTED_MAX);
  }
}

/** Files that are open for writing, by their directories. */
function heldOpen(look: Look, processes: readonly Process[], ownership: Ownership, search: Search): void {
  const quiet = look.quietly();
  for (const { name, unit, files } of processes) {
    // What somebody does in a login is no service.
    if (unit.endsWith(".scope") && !unit.startsWith("docker-") && !unit.startsWith("libpod-")) continue;
    for (const { path, isWritable } of files) {
      if (!isWritable || search.isKnown(path) || ownership.of(path) !== undefined) continue;
      const stat = quiet.stat(path);
      if (stat?.isFile() !== true) continue;
      const bytes = stat.blocks * 512;
      if (isBelowAny(path, LOGS) && bytes < LOG_BYTES_LEAST) continue;
      search.add({ path: parentPath(path) === "/" ? path : parentPath(path), bytes, why: "held open for writing by a service", process: unit === "" ? name : `${name} (${unit})` });
    }
  }
}

/** For a user who is not root, only what is that user's is of interest. */
function isOwnDirectory(look: Look, path: string): boolean {
  const stat = look.stat(path);
  const uid = process.geteuid?.() ?? 0;
  return stat?.isDirectory() === true && (uid === 0 || stat.uid === uid);
}

/** Directories of somebody's own, measured; one that partly is covered is looked into, a level deeper. */
function largeDirectories(look: Look, ownership: Ownership, search: Search, budget: Budget): void {
  const open = [...PARENTS];
  const seen = new Set(open);
  const quiet = look.quietly();
  for (let parent; (parent = open.shift()) !== undefined; ) {
    if (isSpent(budget)) return look.gap("uncovered data", "not every directory could be measured in the time there is");
    if (search.isKnown(parent)) continue;
    for (const entry of entriesOf(look.at(parent))) {
      const path = parent === "/" ? `/${entry.name}` : `${parent}/${entry.name}`;
      if (!entry.isDirectory() || NEVER.has(path) || isBelowAny(path, LOGS) || search.isKnown(path) || !isOwnDirectory(quiet, path)) continue;
      if (search.holdsCovered(path)) {
        if (!seen.has(path)) open.push(path);
        seen.add(path);
        continue;
      }
      const { bytes, isWhole } = sizeUp(look.at(path), budget, ENTRIES_A_DIRECTORY, (child) => search.isKnown(look.isLive ? child : child.slice(look.root.length)));
      const owner = ownership.of(path);
      if (bytes < DIRECTORY_BYTES_LEAST) continue;
      search.add({ path, bytes, why: `${owner === undefined ? "no source covers it" : `data of the package ${owner}`}${isWhole ? "" : ", at least so much"}`, process: "" });
    }
  }
}

/** The largest first. */
export function readUncovered(look: Look, processes: readonly Process[], ownership: Ownership, coverage: Coverage, budget: Budget): Uncovered[] {
  const search = new Search(coverage);
  heldOpen(look, processes, ownership, search);
  largeDirectories(look, ownership, search, budget);
  return search.result();
}
