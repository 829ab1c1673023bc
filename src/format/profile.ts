/** The machine profile: what a server was when it was archived, in the root of its catalog (format §8.5). It holds no secret. */
import { z } from "zod";
import { APT_FILES_MAX, LIST_MAX, LONG_TEXT_MAX, TEXT_MAX } from "./profile-bounds.ts";

const bytes = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const text = z.string().max(TEXT_MAX);
/** A list that a hostile or mistaken profile cannot make endless. */
const list = <Item extends z.ZodType>(item: Item, max = LIST_MAX) => z.array(item).max(max).default([]);

const Os = z.object({
  /** `debian` */
  id: text,
  /** `12` */
  versionId: text.default(""),
  codename: text.default(""),
  /** `Debian GNU/Linux 12 (bookworm)` */
  name: text.default(""),
});

const Hardware = z.object({
  /** As `dpkg --print-architecture` says it (`amd64`), else as `uname -m`. */
  arch: text,
  kernel: text,
  /** As systemd-detect-virt says it; `none` for bare metal, empty where unknown. */
  virtualization: text.default(""),
  cpus: z.number().int().nonnegative(),
  memoryBytes: bytes,
  swapBytes: bytes,
  /** The most memory and swap in use that is known of, as far back as `peakSince` (ISO time). */
  peakMemoryBytes: bytes.nullable().default(null),
  peakSwapBytes: bytes.nullable().default(null),
  peakSince: text.nullable().default(null),
});

const Mount = z.object({ path: text, device: text, type: text, sizeBytes: bytes, usedBytes: bytes, options: text.default(""), /** Whether something of it is archived. */ archived: z.boolean().default(true) });

const Package = z.object({ name: text, version: text, arch: text.default(""), /** Asked for by somebody, not drawn in. */ manual: z.boolean() });

/** A file below /etc/apt that says where packages come from: sources, keyrings, pins. */
const AptFile = z.object({ path: text, mode: z.number().int().nonnegative(), base64: z.string().max(LONG_TEXT_MAX) });

const Packages = z.object({ manager: z.enum(["apt", "none"]), installed: list(Package), holds: list(text), aptFiles: list(AptFile, APT_FILES_MAX) });

const User = z.object({
  name: text,
  uid: z.number().int().nonnegative(),
  gid: z.number().int().nonnegative(),
  comment: text.default(""),
  home: text,
  shell: text,
  /** Whether it is one of the system's own accounts (below UID_MIN of login.defs, or nobody). */
  system: z.boolean(),
});

const Group = z.object({ name: text, gid: z.number().int().nonnegative(), members: list(text), system: z.boolean() });

const Unit = z.object({ name: text, /** `enabled`, `disabled`, `masked`, as systemctl list-unit-files says it. */ state: text, active: z.boolean() });

const Port = z.object({ protocol: z.enum(["tcp", "udp"]), address: text, port: z.number().int().min(0).max(65_535), process: text.default(""), unit: text.default(""), package: text.default("") });

const Image = z.object({ engine: text, reference: text, digest: text });

/** A program or runtime that no package brought. */
const Outside = z.object({ path: text, bytes, sha256: text.default(""), what: text.default("") });

const Reenter = z.object({ path: text, why: text });

/** What a service writes, or holds open, that no source covers. */
const Uncovered = z.object({ path: text, bytes, why: text, process: text.default("") });

const ConfigFile = z.object({ path: text, sha256: text });

export const Profile = z.object({
  /** ISO time. */
  takenAt: text,
  hostName: text,
  os: Os,
  hardware: Hardware,
  mounts: list(Mount),
  packages: Packages,
  users: list(User),
  groups: list(Group),
  units: list(Unit),
  /** Units that are started by a timer. */
  timers: list(text),
  /** Files with crontabs: /etc/crontab, /etc/cron.d/*, /var/spool/cron/crontabs/*. */
  crontabs: list(text),
  /** Settings of sysctl that files set: what was in force. */
  sysctl: list(z.object({ key: text, value: text })),
  /** The rules as their own tool prints them; empty where there are none. */
  firewall: z.object({ tool: text, rules: z.string().max(LONG_TEXT_MAX) }).nullable().default(null),
  ports: list(Port),
  images: list(Image),
  outside: list(Outside),
  reenter: list(Reenter),
  uncovered: list(Uncovered),
  /** Files of packages below /etc that differ from what the package brought, and files there of no package: for drift. */
  configuration: list(ConfigFile),
  /** What could not be found out, and why. */
  gaps: list(z.object({ what: text, why: text })),
});

export type Profile = z.infer<typeof Profile>;

/** The profile of a catalog's root; null where the archive has none, or one that cannot be read. */
export function readProfile(value: Record<string, unknown>): Profile | null {
  const parsed = Profile.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** What is known of the most memory and swap in use, where an earlier profile of the same host knows of more. */
export function withEarlierPeak(profile: Profile, earlier: Profile | null): Profile {
  const [now, before] = [profile.hardware, earlier?.hardware];
  if (before?.peakSince === undefined || before.peakSince === null) return profile;
  const most = (a: number | null, b: number | null): number | null => (a === null || b === null ? (a ?? b) : Math.max(a, b));
  const since = now.peakSince === null || before.peakSince < now.peakSince ? before.peakSince : now.peakSince;
  return { ...profile, hardware: { ...now, peakMemoryBytes: most(now.peakMemoryBytes, before.peakMemoryBytes), peakSwapBytes: most(now.peakSwapBytes, before.peakSwapBytes), peakSince: since } };
}
