/** Whether a machine can take the place of another: what its profile needs, what is here, and what somebody waives. */
import { isWithin } from "../format/entry-path.ts";
import type { Profile } from "../format/profile.ts";
import { formatSize } from "../units.ts";

/** A file system of this machine. */
export type MountHere = { path: string; type: string; freeBytes: number; isReadOnly: boolean };

/** What a machine offers. */
export type Here = {
  os: Pick<Profile["os"], "id" | "versionId" | "name">;
  arch: string;
  cpus: number;
  memoryBytes: number;
  swapBytes: number;
  mounts: readonly MountHere[];
  isRoot: boolean;
  /** Whether apt-get and dpkg are there. */
  hasApt: boolean;
};

/** What somebody may say is good enough: `--accept WORD`. */
export const WAIVERS = ["os", "memory", "cpus", "space", "filesystem"] as const;
export type Waiver = (typeof WAIVERS)[number];

export type Finding = {
  /** Stable: `arch`, `space:/var`. */
  id: string;
  need: string;
  have: string;
  /** `note`: worth a line, and no obstacle. */
  verdict: "ok" | "note" | "waivable" | "fatal";
  /** The word for `--accept`, of what is waivable. */
  waiver: Waiver | null;
  isWaived: boolean;
  why: string;
};

export type Adequacy = {
  verdict: "adequate" | "adequate with waivers" | "not adequate";
  /** How many findings count only because they were waived. */
  waived: number;
  findings: Finding[];
};

/** Of the old machine's memory, and of its processors. */
const MEMORY_SHARE = 0.75;
const CPU_SHARE = 0.5;
/** A peak of fewer days may have missed the day of the week on which the work is done. */
const WATCHED_MS_LEAST = 7 * 86_400_000;
/** Room for what is unpacked and logged on the way. */
const SPACE_FACTOR = 1.1;

/** Types that keep owners, modes, links, extended attributes and ACLs as servers need them. */
const WHOLE_TYPES = new Set(["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs", "nilfs2", "overlay", "tmpfs"]);
/** Types that have no owners and modes at all, or lose them. */
const POOR_TYPES = new Set(["vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "hfs", "hfsplus", "iso9660", "udf"]);
/** Types whose fullness says what a replacement must hold. */
const COUNTED_TYPES = new Set([...WHOLE_TYPES, ...POOR_TYPES].filter((type) => type !== "tmpfs"));

type Judged = Omit<Finding, "isWaived">;

function ok(id: string, need: string, have: string): Judged {
  return { id, need, have, verdict: "ok", waiver: null, why: "" };
}

function fatal(id: string, need: string, have: string, why: string): Judged {
  return { id, need, have, verdict: "fatal", waiver: null, why };
}

function waivable(id: string, waiver: Waiver, need: string, have: string, why: string): Judged {
  return { id, need, have, verdict: "waivable", waiver, why };
}

/** `13.2` → 13, 2. */
function versionOf(text: string): { major: string; minor: number } {
  const [major = "", minor = "0"] = text.split(".");
  return { major, minor: Number(minor) || 0 };
}

/** Releases whose number has two parts (24.04) are different systems where either differs. */
const TWO_PART_RELEASES = new Set(["ubuntu", "alpine"]);

function judgeOs(old: Profile["os"], here: Here["os"]): Judged {
  const [need, have] = [`${old.id} ${old.versionId}`.trim(), `${here.id} ${here.versionId}`.trim()];
  const [then, now] = [versionOf(old.versionId), versionOf(here.versionId)];
  const isTwoPart = TWO_PART_RELEASES.has(old.id);
  if (old.id !== here.id) return waivable("os", "os", need, have, "another distribution: its packages are not the same ones");
  if (then.major !== now.major || (isTwoPart && then.minor !== now.minor)) return waivable("os", "os", need, have, "another release: packages and configuration of the old one may not fit");
  if (now.minor < then.minor) return waivable("os", "os", need, have, "an older point release: upgrade it first");
  return now.minor > then.minor ? { ...ok("os", need, have), verdict: "note", why: "a newer point release" } : ok("os", need, have);
}

function judgeMemory({ hardware, takenAt }: Profile, here: Here): Judged {
  const { memoryBytes, peakMemoryBytes, peakSince } = hardware;
  const share = Math.ceil(memoryBytes * MEMORY_SHARE);
  // Less is enough where no more was in use for long enough to say so.
  const watchedMs = Date.parse(takenAt) - Date.parse(peakSince ?? "");
  const known = peakMemoryBytes === null || !(watchedMs >= WATCHED_MS_LEAST) ? share : Math.min(share, peakMemoryBytes);
  const need = known < share ? `${formatSize(known)} (the most in use since ${(peakSince ?? "").slice(0, 10)})` : `${formatSize(share)} (three quarters of ${formatSize(memoryBytes)})`;
  const have = formatSize(here.memoryBytes);
  return here.memoryBytes >= known ? ok("memory", need, have) : waivable("memory", "memory", need, have, "services may be killed for want of memory");
}

function judgeCpus({ hardware }: Profile, here: Here): Judged {
  const need = Math.ceil(hardware.cpus * CPU_SHARE);
  const said = `${need} (half of ${hardware.cpus})`;
  return here.cpus >= need ? ok("cpus", said, `${here.cpus}`) : waivable("cpus", "cpus", said, `${here.cpus}`, "it would be much slower");
}

/** The file system of this machine that a path lands on. */
function landing(path: string, mounts: readonly MountHere[]): MountHere | undefined {
  return mounts.filter((mount) => isWithin(path, mount.path)).toSorted((a, b) => b.path.length - a.path.length)[0];
}

/** What lands on each file system of this machine: the old mounts, summed where several become one. */
function landings(profile: Profile, here: Here): { target: MountHere; from: Profile["mounts"]; bytes: number }[] {
  const targets = new Map<MountHere, Profile["mounts"]>();
  for (const mount of profile.mounts) {
    if (!mount.archived || !COUNTED_TYPES.has(mount.type)) continue;
    const target = landing(mount.path, here.mounts);
    if (target !== undefined) targets.set(target, [...(targets.get(target) ?? []), mount]);
  }
  return [...targets].map(([target, from]) => ({ target, from, bytes: Math.ceil(from.reduce((sum, { usedBytes }) => sum + usedBytes, 0) * SPACE_FACTOR) }));
}

function judgeSpace(profile: Profile, here: Here): Judged[] {
  return landings(profile, here).flatMap(({ target, from, bytes }) => {
    const what = from.map(({ path }) => path).join(", ");
    const id = `space:${target.path}`;
    const [need, have] = [`${formatSize(bytes)} free (for ${what})`, `${formatSize(target.freeBytes)} free`];
    const space = target.freeBytes >= bytes ? ok(id, need, have) : waivable(id, "space", need, have, `what lay on ${what} was larger; waive it where not all of it is archived`);
    const isPoor = !WHOLE_TYPES.has(target.type) && from.some(({ type }) => WHOLE_TYPES.has(type));
    const kind = isPoor ? [waivable(`filesystem:${target.path}`, "filesystem", "owners, modes, extended attributes and ACLs", target.type, POOR_TYPES.has(target.type) ? `${target.type} does not keep them` : `nobody knows what ${target.type} keeps`)] : [];
    const readOnly = target.isReadOnly ? [fatal(`writable:${target.path}`, "a writable file system", "mounted read-only", "nothing can be restored there")] : [];
    return [space, ...kind, ...readOnly];
  });
}

function judgeAll(profile: Profile, here: Here): Judged[] {
  const { hardware, packages } = profile;
  const arch = hardware.arch === here.arch ? ok("arch", hardware.arch, here.arch) : fatal("arch", hardware.arch, here.arch, "programs of one architecture do not run on another");
  const root = here.isRoot ? ok("root", "root", "root") : fatal("root", "root", "another user", "a system is rebuilt as root: run it with sudo");
  const apt = packages.manager === "none" || here.hasApt ? [] : [fatal("apt", "apt-get and dpkg", "none", "the packages of the old machine could not be installed")];
  const withApt = packages.manager === "apt" && here.hasApt ? [ok("apt", "apt-get and dpkg", "present")] : apt;
  return [root, arch, judgeOs(profile.os, here.os), ...withApt, judgeMemory(profile, here), judgeCpus(profile, here), ...judgeSpace(profile, here)];
}

/**
 * Judges a machine against the profile of the one it is to replace. `accepted` are words of `--accept`; nothing that is fatal
 * can be accepted.
 */
export function checkAdequacy(profile: Profile, here: Here, accepted: readonly Waiver[]): Adequacy {
  const findings = judgeAll(profile, here).map((finding): Finding => ({ ...finding, isWaived: finding.verdict === "waivable" && finding.waiver !== null && accepted.includes(finding.waiver) }));
  const waived = findings.filter(({ isWaived }) => isWaived).length;
  const stands = findings.some(({ verdict, isWaived }) => verdict === "fatal" || (verdict === "waivable" && !isWaived));
  return { verdict: stands ? "not adequate" : waived > 0 ? "adequate with waivers" : "adequate", waived, findings };
}
