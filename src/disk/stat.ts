/** What the program needs to know of a file, as plain values that survive JSON and threads. */
import { fstatSync, lstatSync, type BigIntStats } from "node:fs";
import { ColdkeepError } from "../errors.ts";
import { deviceText } from "./device-number.ts";
import { fileTimeText } from "./file-time.ts";
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

/** lstat of a path in the form `fs` takes; null when nothing lies there. Throws any other system error. */
export function lstatAt(path: string | Buffer): Stat | null {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stats ? statFrom(stats) : null;
}

/** lstat of byte text of any length; null when nothing lies there. Throws any other system error, and E_DISK as `statFrom`. */
export function lstatText(path: string): Stat | null {
  return withReachablePath(path, lstatAt);
}

/** fstat. Throws the system's error. */
export function fstatText(fd: number): Stat {
  return statFrom(fstatSync(fd, { bigint: true }));
}

/** Whether two stats are of the same inode and kind. */
export function isSameFile(a: Stat, b: Stat): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.type === b.type;
}
