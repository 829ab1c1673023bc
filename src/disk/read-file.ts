/** Reading a source file safely and without disturbing it: no link followed, no FIFO waited for, no access time changed. */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { messageOf, systemCode } from "../errors.ts";
import type { Xattr } from "../format/entry.ts";
import { libc, type FileRef } from "./libc.ts";
import { withReachablePath } from "./long-path.ts";
import { type FileIdentity, fstatText, isThatFile, type Stat } from "./stat.ts";

/** open(2), Linux; of the processors Node runs on, all that `libc` knows share the number. */
const O_NOATIME = 0o1000000;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What became of a file between the walk and its reading. */
export type ReadRaceKind = "swapped" | "vanished" | "unreadable";

export class ReadRace extends Error {
  readonly kind: ReadRaceKind;
  /** The system's code, such as EACCES; for a swap seen by its inode, ESTALE. */
  readonly code: string;

  static {
    this.prototype.name = "ReadRace";
  }

  constructor(kind: ReadRaceKind, code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
    this.code = code;
  }
}

const KIND_OF_CODE: Record<string, ReadRaceKind> = { ENOENT: "vanished", ENOTDIR: "vanished", ELOOP: "swapped", ENXIO: "swapped" };

function openQuietly(path: string | Buffer): number {
  try {
    return openSync(path, READ_FLAGS | O_NOATIME);
  } catch (error) {
    // Only a file's owner and root may leave its access time alone.
    if (systemCode(error) !== "EPERM") throw error;
    return openSync(path, READ_FLAGS);
  }
}

/** Opens the regular file that the walk saw at `path`. The caller closes `fd`. Throws ReadRace when it is gone, another file or unreadable. */
export function openForReading(path: string, expected: FileIdentity): { fd: number; stat: Stat } {
  let fd: number;
  try {
    fd = withReachablePath(path, openQuietly);
  } catch (cause) {
    const code = systemCode(cause) ?? "EIO";
    throw new ReadRace(KIND_OF_CODE[code] ?? "unreadable", code, messageOf(cause), cause);
  }
  try {
    const stat = fstatText(fd);
    if (!isThatFile(stat, expected)) throw new ReadRace("swapped", "ESTALE", `${path} is another file than a moment ago`);
    return { fd, stat };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Reads until `length` bytes are there or the file ends; returns how many. Throws the system's error. */
export function readFully(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const got = readSync(fd, buffer, offset + done, length - done, position + done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

export type Region = { offset: number; length: number };

/** Where a file holds data in `[from, size)`, in order; what lies between is holes. All of it where holes cannot be asked for. */
export function dataRegions(fd: number, size: number, from = 0): Region[] {
  if (from >= size) return [];
  const regions: Region[] = [];
  try {
    if (!libc) return [{ offset: from, length: size - from }];
    for (let at = from; at < size; ) {
      const start = libc.seekData(fd, at);
      if (start >= size) break;
      const end = Math.min(libc.seekHole(fd, start), size);
      regions.push({ offset: start, length: end - start });
      at = end;
    }
    return regions;
  } catch (error) {
    // ENXIO: no data behind the last hole. Anything else: this file system cannot tell.
    return systemCode(error) === "ENXIO" ? regions : [{ offset: from, length: size - from }];
  }
}

/** The attributes read; `problem` names those that could not be, with the system's code. */
export type XattrReading = { xattrs: Xattr[]; problem?: string };

/** More than this of one file would make a catalog line that no reader takes. */
const XATTR_BYTES_MAX = 256 * 1024;

function attributesOf(file: FileRef): XattrReading {
  const xattrs: Xattr[] = [];
  const faults: string[] = [];
  if (!libc) return { xattrs };
  let bytes = 0;
  for (const name of libc.listXattrs(file)) {
    try {
      const value = libc.getXattr(file, name);
      bytes += name.length + value.length;
      if (bytes > XATTR_BYTES_MAX) return { xattrs: [], problem: `has more than ${XATTR_BYTES_MAX} bytes of extended attributes` };
      xattrs.push({ name, value });
    } catch (error) {
      // ENODATA: removed since it was listed, or listed by a file system that does not give it out.
      if (systemCode(error) !== "ENODATA") faults.push(`${name} (${systemCode(error)})`);
    }
  }
  return faults.length === 0 ? { xattrs } : { xattrs, problem: `cannot read ${faults.join(", ")}` };
}

/**
 * Extended attributes, ACLs (`system.posix_acl_*`) and capabilities of a path (byte text, last name not followed) or a
 * descriptor. None where the file system keeps none, and where `libc` is null: LIBC_LOSSES names that once for all.
 */
export function readXattrs(file: string | number): XattrReading {
  try {
    return typeof file === "number" ? attributesOf(file) : withReachablePath(file, attributesOf);
  } catch (error) {
    const code = systemCode(error);
    return code === "ENOTSUP" ? { xattrs: [] } : { xattrs: [], problem: `cannot list extended attributes (${code ?? messageOf(error)})` };
  }
}
