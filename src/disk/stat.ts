/** What the program needs to know of a file, as plain values that survive JSON and threads. */
import { fstatSync, lstatSync, type BigIntStats } from "node:fs";
import { ColdkeepError } from "../errors.ts";
import { deviceText, makedev } from "./device-number.ts";
import { fileTimeText } from "./file-time.ts";
import { libc } from "./libc.ts";
import { withReachablePath } from "./long-path.ts";

export type FileType = "file" | "dir" | "symlink" | "fifo" | "char" | "block" | "socket";

export type Stat = {
  type: FileType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes. */
  size: number;
  /** `sec.nsec`, see file-time.ts. */
  mtime: string;
  ctime: string;
  /** Decimal. */
  ino: string;
  /** Decimal number of the device the file lies on. */
  dev: string;
  nlink: number;
  /** `major:minor` of a device node, else `0:0`. */
  rdev: string;
  /** Space taken on disk, in units of 512 bytes. */
  blocks: number;
};

/** S_IFMT and its values, shifted right by 12 (inode(7)). */
const TYPES: Record<number, FileType> = { 1: "fifo", 2: "char", 4: "dir", 6: "block", 8: "file", 10: "symlink", 12: "socket" };
/** The S_IF bits of a type, for mknod(2). */
export const TYPE_BITS = { fifo: 0o010000, char: 0o020000, block: 0o060000 } as const;

let lastDev = 0n;
let lastDevText = "0";

function devText(dev: bigint): string {
  if (dev !== lastDev) {
    lastDev = dev;
    lastDevText = String(dev);
  }
  return lastDevText;
}

/** The plain form. Throws E_DISK for a size JavaScript numbers cannot hold. */
export function statFrom(stats: BigIntStats): Stat {
  const bits = Number(stats.mode);
  const type = TYPES[bits >> 12];
  const size = Number(stats.size);
  if (type === undefined) throw new ColdkeepError("E_DISK", `inode ${stats.ino} has the unknown file type ${bits >> 12}`);
  if (!Number.isSafeInteger(size)) throw new ColdkeepError("E_DISK", `inode ${stats.ino} is ${stats.size} bytes long, more than can be counted`);
  return {
    type,
    mode: bits & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size,
    mtime: fileTimeText(stats.mtimeNs),
    ctime: fileTimeText(stats.ctimeNs),
    ino: String(stats.ino),
    dev: devText(stats.dev),
    nlink: Number(stats.nlink),
    rdev: type === "char" || type === "block" ? deviceText(stats.rdev) : "0:0",
    blocks: Number(stats.blocks),
  };
}

/** Offsets in `struct statx` (statx(2)), which is the same on every processor, unlike `struct stat`. */
const STATX = { nlink: 0x10, uid: 0x14, gid: 0x18, mode: 0x1c, ino: 0x20, size: 0x28, blocks: 0x30, ctime: 0x60, mtime: 0x70, rdev: 0x80, dev: 0x88 } as const;

let lastMajor = -1;
let lastMinor = -1;
let lastStatxDev = "";

function statxDev(answer: Buffer): string {
  const [high, low] = [answer.readUInt32LE(STATX.dev), answer.readUInt32LE(STATX.dev + 4)];
  if (high !== lastMajor || low !== lastMinor) {
    [lastMajor, lastMinor] = [high, low];
    lastStatxDev = String(makedev(high, low));
  }
  return lastStatxDev;
}

/** A 64-bit number as text; most fit a number, which is several times faster than a BigInt. */
function wideText(answer: Buffer, at: number): string {
  const high = answer.readUInt32LE(at + 4);
  return high < 0x20_0000 ? String(high * 0x1_0000_0000 + answer.readUInt32LE(at)) : String(answer.readBigUInt64LE(at));
}

function statxTime(answer: Buffer, at: number): string {
  const nsec = answer.readUInt32LE(at + 8);
  if (answer.readInt32LE(at + 4) !== 0) return fileTimeText(answer.readBigInt64LE(at) * 1_000_000_000n + BigInt(nsec));
  return `${answer.readUInt32LE(at)}.${String(1_000_000_000 + nsec).slice(1)}`;
}

/** The plain form of what `libc.statx` gives; null for what `statFrom` has words for. */
function statFromStatx(answer: Buffer): Stat | null {
  const bits = answer.readUInt16LE(STATX.mode);
  const type = TYPES[bits >> 12];
  const size = answer.readUInt32LE(STATX.size + 4) * 0x1_0000_0000 + answer.readUInt32LE(STATX.size);
  if (type === undefined || !Number.isSafeInteger(size)) return null;
  const isDevice = type === "char" || type === "block";
  return {
    type,
    mode: bits & 0o7777,
    uid: answer.readUInt32LE(STATX.uid),
    gid: answer.readUInt32LE(STATX.gid),
    size,
    mtime: statxTime(answer, STATX.mtime),
    ctime: statxTime(answer, STATX.ctime),
    ino: wideText(answer, STATX.ino),
    dev: statxDev(answer),
    nlink: answer.readUInt32LE(STATX.nlink),
    rdev: isDevice ? `${answer.readUInt32LE(STATX.rdev)}:${answer.readUInt32LE(STATX.rdev + 4)}` : "0:0",
    blocks: answer.readUInt32LE(STATX.blocks + 4) * 0x1_0000_0000 + answer.readUInt32LE(STATX.blocks),
  };
}

function fastStat(file: string | Buffer | number): Stat | null {
  const answer = libc?.statx(file) ?? null;
  return answer && statFromStatx(answer);
}

/** lstat of a path in the form `fs` takes; null when nothing lies there. Throws any other system error. */
export function lstatAt(path: string | Buffer): Stat | null {
  const fast = fastStat(path);
  if (fast !== null) return fast;
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats ? statFrom(stats) : null;
}

/** lstat of byte text of any length; null when nothing lies there. Throws any other system error, and E_DISK as `statFrom`. */
export function lstatText(path: string): Stat | null {
  return withReachablePath(path, lstatAt);
}

/** fstat. Throws the system's error. */
export function fstatText(fd: number): Stat {
  return fastStat(fd) ?? statFrom(fstatSync(fd, { bigint: true }));
}

/** What tells one regular file from another. */
export type FileIdentity = Pick<Stat, "ino" | "dev">;

/** Whether a stat is of that regular file. */
export function isThatFile(stat: Stat, { ino, dev }: FileIdentity): boolean {
  return stat.type === "file" && stat.ino === ino && stat.dev === dev;
}

/** Whether two stats are of the same inode and kind. */
export function isSameFile(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.type === b.type;
}
