/**
 * Writing restored entries below a target directory, so that no write can leave it, whatever an entry says: paths are
 * checked again here, every directory is reached through held handles (held-directories.ts), and objects are made where
 * nothing may lie: in a merge under a temporary name that is renamed when they are complete, else under their own name, which
 * spares half the system calls. Synchronous; each worker thread opens its own.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, closeSync, constants, ftruncateSync, linkSync, openSync, readdirSync, readlinkSync, renameSync, rmdirSync, symlinkSync, unlinkSync } from "node:fs";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { bytesFromText } from "../format/byte-text.ts";
import { parentPath, pathFault } from "../format/entry-path.ts";
import { Aside, type AsideOrder } from "./aside.ts";
import { writeFully } from "./atomic-write.ts";
import { parseDevice } from "./device-number.ts";
import { type EntryMeta, inheritsAcl, MetaWriter, openTargetOf } from "./entry-meta.ts";
import { asOwner, HeldDirectories } from "./held-directories.ts";
import { libc } from "./libc.ts";
import { childPath } from "./long-path.ts";
import type { Losses } from "./losses.ts";
import { fstatText, isSameFile, lstatAt, type Stat, TYPE_BITS } from "./stat.ts";

const O_PATH = 0o10000000;
const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const LINK_TARGET_BYTES_MAX = 4095;
/** A directory with it gives its own group to what is made in it. */
const SET_GROUP_BIT = 0o2000;
/** Names under which objects are made before they get their own. */
const TEMPORARY = /^\.coldkeep-[0-9a-f]{16}\.partial$/;

/** Whether the last name of a path looks like a temporary one of a restore. */
export function looksTemporary(path: string): boolean {
  return TEMPORARY.test(lastName(path));
}

/** The name under which something lies until all of it is there; of a digest in hex. */
export function temporaryName(digest: string): string {
  return `.coldkeep-${digest.slice(0, 16)}.partial`;
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Removes what may no longer be there; a failure is told by whatever made the removal necessary. */
function unlinkQuietly(path: string | Buffer): void {
  try {
    unlinkSync(path);
  } catch {
    // Nothing was made, or nothing can be done about it.
  }
}

export type TargetOptions = {
  /** Whether entries replace what lies at their place. Also set it to go on with an interrupted restore. */
  merge: boolean;
  /** Takes the account of what could not be given back. */
  losses: Losses;
  /** In a merge: what is replaced is moved there. Default: it is gone. */
  aside?: AsideOrder | undefined;
};

/**
 * All paths are entry paths in byte text: `/etc/x` means `<target>/etc/x`, of any length. Missing parents are made, mode
 * 0700. Every method throws E_FORMAT for a path no entry may have, and E_DISK, naming the path, for what the disk refuses.
 */
export class RestoreTarget {
  readonly #root: number;
  readonly #held: HeldDirectories;
  readonly #merge: boolean;
  readonly #losses: Losses;
  readonly #meta: MetaWriter;
  readonly #aside: Aside | null;
  /** One object is made at a time, so one name serves; it is random, so that threads do not meet. */
  readonly #temporary = temporaryName(randomBytes(8).toString("hex"));

  /** `root` is an open directory, which `close` closes. */
  constructor(root: number, { merge, losses, aside: asideOrder }: TargetOptions) {
    this.#root = root;
    const aside = asideOrder === undefined ? null : new Aside(asideOrder);
    this.#aside = aside;
    this.#held = new HeldDirectories(root, merge ? (child, path) => (aside === null ? unlinkSync(child) : aside.move(child, path)) : null);
    this.#merge = merge;
    this.#losses = losses;
    this.#meta = new MetaWriter(losses, { strip: merge || inheritsAcl(root), uniform: !merge && (fstatText(root).mode & SET_GROUP_BIT) === 0 });
  }

  /** Makes a directory, mode 0700 until `applyDirectoryMeta`; an existing one is kept as it is. */
  makeDirectory(path: string): void {
    this.#attempt(path, "make", () => this.#held.open(path, true));
  }

  /** What lies at a path; null when nothing does, or when a link or file stands where its directory should be. */
  lookup(path: string): Stat | null {
    return this.#attempt(path, "look at", () => {
      if (path === "/") return fstatText(this.#root);
      const fd = this.#held.open(parentPath(path), false);
      return fd === null ? null : asOwner(fd, () => lstatAt(childPath(fd, lastName(path))));
    });
  }

  /** Opens a regular file for reading, null when there is none that can be read; the caller closes it. */
  readBack(path: string): number | null {
    return this.#attempt(path, "read", () => {
      const directory = this.#held.open(parentPath(path), false);
      if (directory === null) return null;
      let fd: number;
      try {
        fd = openSync(childPath(directory, lastName(path)), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      } catch (error) {
        if (["ENOENT", "ELOOP", "ENXIO", "EACCES"].includes(systemCode(error) ?? "")) return null;
        throw error;
      }
      if (fstatText(fd).type === "file") return fd;
      closeSync(fd);
      return null;
    });
  }

  /** Makes or replaces a regular file with all its bytes and metadata. */
  writeFile(path: string, bytes: Uint8Array, meta: EntryMeta): void {
    this.#create(path, "write", (name) => {
      const fd = openSync(name, CREATE_FLAGS, 0o600);
      try {
        writeFully(fd, bytes);
        this.#meta.applyToNewFile(openTargetOf(fd), path, meta);
      } finally {
        closeSync(fd);
      }
    });
  }

  /**
   * Opens the unfinished form of a large file for reading and writing, made with `size` bytes of hole when it is not there.
   * Its name follows from `id`, so that several threads and a later run find the same one; what a killed run left in it
   * is still there. The caller closes it. Throws E_REFUSED when someone else's file lies at that name.
   */
  openPartial(path: string, id: string, size: number): number {
    return this.#attempt(path, "write", () => {
      const fd = this.#openPartial(path, id, true);
      try {
        if (fstatText(fd).size !== size) ftruncateSync(fd, size);
        return fd;
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    });
  }

  /** Gives a partial file its metadata and its name. All descriptors of it must be closed, or its time will not stay. */
  finishPartial(path: string, id: string, meta: EntryMeta): void {
    this.#attempt(path, "write", () => {
      const fd = this.#openPartial(path, id, false);
      try {
        this.#meta.apply(openTargetOf(fd), path, meta);
      } finally {
        closeSync(fd);
      }
      this.#rename(this.#parent(path), partialName(path, id), path);
    });
  }

  /** Removes the unfinished form of a file, if there is one. */
  removePartial(path: string, id: string): void {
    this.#attempt(path, "remove", () => {
      const fd = this.#held.open(parentPath(path), false);
      if (fd !== null) asOwner(fd, () => unlinkQuietly(childPath(fd, partialName(path, id))));
    });
  }

  #openPartial(path: string, id: string, make: boolean): number {
    const directory = this.#parent(path);
    const child = childPath(directory, partialName(path, id));
    let fd: number;
    try {
      const flags = constants.O_RDWR | constants.O_NOFOLLOW | (make ? constants.O_CREAT | constants.O_EXCL : constants.O_NONBLOCK);
      fd = asOwner(directory, () => openSync(child, flags, 0o600));
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error;
      fd = openSync(child, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    }
    // Another name of it would mean that our writes land in a file outside.
    const { type, nlink, uid } = fstatText(fd);
    if (type === "file" && nlink === 1 && uid === (process.geteuid?.() ?? 0)) return fd;
    closeSync(fd);
    throw new ColdkeepError("E_REFUSED", `${parentPath(path)}/${partialName(path, id)} in the target is not a file this program made`, {
      hint: "Remove it, then run the same command again.",
    });
  }

  /** Makes `path` another name of `existing`, a file, FIFO or device below the target; with `isSymlink`, a symbolic link, which is not followed. */
  makeHardLink(path: string, existing: string, isSymlink = false): void {
    this.#attempt(path, "link", () => {
      checkPath(existing);
      const to = this.#parent(path);
      const from = this.#held.open(parentPath(existing), false);
      const source = from === null ? null : childPath(from, lastName(existing));
      const stat = source === null ? null : lstatAt(source);
      if (source === null || stat === null || stat.type === "dir" || (stat.type === "symlink") !== isSymlink) {
        throw new ColdkeepError("E_DISK", `cannot link ${path} to ${existing}, which is ${stat ? `a ${stat.type}` : "missing"} in the target`);
      }
      const there = lstatAt(childPath(to, lastName(path)));
      if (there && isSameFile(there, stat)) return;
      const temporary = childPath(to, this.#temporary);
      asOwner(to, () => linkSync(source, temporary));
      const made = lstatAt(temporary);
      if (!made || !isSameFile(made, stat)) {
        unlinkQuietly(temporary);
        throw new ColdkeepError("E_DISK", `${existing} changed in the target while ${path} was linked to it`);
      }
      this.#rename(to, this.#temporary, path);
    });
  }

  /** Makes or replaces a symbolic link; `target` is byte text and is not looked at. */
  makeSymlink(path: string, target: string, meta: EntryMeta): void {
    const bytes = bytesFromText(target);
    if (bytes.length === 0 || bytes.length > LINK_TARGET_BYTES_MAX || bytes.includes(0)) {
      throw new ColdkeepError("E_FORMAT", `${path} has a link target no link may have`);
    }
    this.#create(path, "make", (name) => {
      symlinkSync(bytes, name);
      this.#meta.apply({ ref: name }, path, meta);
    });
  }

  /** Makes or replaces a FIFO or device (`rdev` is `major:minor`). False, and a loss, where this process may not. */
  makeNode(path: string, type: "fifo" | "char" | "block", rdev: string, meta: EntryMeta): boolean {
    const what = type === "fifo" ? "FIFO" : "device node";
    const device = type === "fifo" ? 0n : parseDevice(rdev);
    if (!libc) {
      this.#losses.add(path, what);
      return false;
    }
    const calls = libc;
    return this.#create(path, "make", (name) => {
      try {
        calls.makeNode(name, TYPE_BITS[type] | 0o600, device);
      } catch (error) {
        if (systemCode(error) !== "EPERM" && systemCode(error) !== "ENOTSUP") throw error;
        this.#losses.add(path, what);
        return false;
      }
      this.#meta.apply({ ref: name, chmod: (mode) => chmodNode(name, type, mode) }, path, meta);
      return true;
    });
  }

  /** Gives a directory its metadata; after all that goes into it, deepest directories first. */
  applyDirectoryMeta(path: string, meta: EntryMeta): void {
    this.#attempt(path, "set the metadata of", () => {
      const handle = this.#held.open(path, false);
      if (handle === null) throw new ColdkeepError("E_DISK", `${path} is not a directory in the target`);
      const fd = asOwner(handle, () => openSync(`/proc/self/fd/${handle}`, constants.O_RDONLY | constants.O_DIRECTORY));
      this.#applyAndClose(fd, path, meta);
    });
  }

  /** Gives a regular file whose bytes are right already its metadata. False when it cannot be opened. */
  applyFileMeta(path: string, meta: EntryMeta): boolean {
    const fd = this.readBack(path);
    if (fd === null) return false;
    this.#attempt(path, "set the metadata of", () => this.#applyAndClose(fd, path, meta));
    return true;
  }

  #applyAndClose(fd: number, path: string, meta: EntryMeta): void {
    try {
      this.#meta.apply(openTargetOf(fd), path, meta);
    } finally {
      closeSync(fd);
    }
  }

  /** Removes what a killed restore left in a directory under temporary names, but for names `keep` claims. */
  removeLeftovers(path: string, keep: (name: string) => boolean): void {
    this.#attempt(path, "clean", () => {
      const fd = this.#held.open(path, false);
      if (fd === null) return;
      for (const name of asOwner(fd, () => readdirSync(`/proc/self/fd/${fd}`))) {
        if (TEMPORARY.test(name) && !keep(name)) unlinkSync(childPath(fd, name));
      }
    });
  }

  /** Closes all handles. The target must not be used afterwards. */
  close(): void {
    this.#held.close();
  }

  #parent(path: string): number {
    const fd = this.#held.open(parentPath(path), true);
    if (fd === null || path === "/") throw new ColdkeepError("E_DISK", `${path} cannot be replaced in the target`);
    return fd;
  }

  /**
   * Makes an object with `make`, which fails where anything lies and may say false to give up. In a merge it gets its own name
   * when it is complete, so that what it replaces is there until then. Else it has that from the start: a file that a kill cuts
   * short stays so until the restore is gone on with, which takes no file for whole without its digest.
   */
  #create(path: string, what: string, make: (name: string | Buffer) => boolean | void): boolean {
    return this.#attempt(path, what, () => {
      const fd = this.#parent(path);
      const final = childPath(fd, lastName(path));
      const name = this.#merge ? childPath(fd, this.#temporary) : final;
      try {
        if (asOwner(fd, () => make(name)) === false) return false;
      } catch (error) {
        if (!this.#merge && systemCode(error) === "EEXIST") throw existsAlready(path);
        unlinkQuietly(name);
        throw error;
      }
      if (this.#merge) this.#rename(fd, this.#temporary, path);
      return true;
    });
  }

  #rename(fd: number, temporaryName: string, path: string): void {
    const [temporary, final] = [childPath(fd, temporaryName), childPath(fd, lastName(path))];
    try {
      const there = lstatAt(final);
      if (there && !(this.#aside !== null && isSameLink(temporary, final, there))) this.#makeWay(final, path, there);
      renameSync(temporary, final);
    } catch (error) {
      unlinkQuietly(temporary);
      throw error;
    }
  }

  /** What lies at a final name: rename(2) replaces all but directories, of which only an empty one is removed. */
  #makeWay(final: string | Buffer, path: string, there: Stat): void {
    if (!this.#merge) throw existsAlready(path);
    if (there.type === "dir") this.#held.forget(path);
    if (this.#aside !== null) return this.#aside.move(final, path);
    if (there.type !== "dir") return;
    try {
      rmdirSync(final);
    } catch (cause) {
      throw new ColdkeepError("E_DISK", `${path} is a directory in the target and not empty, but another thing in the archive`, {
        hint: "Move that directory away, then run the same command again.",
        cause,
      });
    }
  }

  #attempt<T>(path: string, what: string, act: () => T): T {
    checkPath(path);
    try {
      return act();
    } catch (cause) {
      if (cause instanceof ColdkeepError) throw cause;
      const hint = systemCode(cause) === "ENOSPC" ? "Free some space in the target." : undefined;
      throw new ColdkeepError("E_DISK", `cannot ${what} ${path} in the target: ${messageOf(cause)}`, { hint, cause });
    }
  }
}

/** Whether a symbolic link takes the place of one that says the same: nothing is lost then. */
function isSameLink(temporary: string | Buffer, final: string | Buffer, there: Stat): boolean {
  return there.type === "symlink" && lstatAt(temporary)?.type === "symlink" && readlinkSync(temporary, "buffer").equals(readlinkSync(final, "buffer"));
}

function existsAlready(path: string): ColdkeepError {
  return new ColdkeepError("E_DISK", `${path} exists already in the target`, { hint: "Restore into an empty directory, or add --merge." });
}

function partialName(path: string, id: string): string {
  return temporaryName(createHash("sha256").update(`${id}\0`).update(bytesFromText(path)).digest("hex"));
}

function checkPath(path: string): void {
  const fault = pathFault(path);
  if (fault !== undefined) throw new ColdkeepError("E_FORMAT", `entry path ${JSON.stringify(path.slice(0, 200))} ${fault}`);
}

/** chmod(2) follows links, so the node is first held as what it is. */
function chmodNode(path: string | Buffer, type: string, mode: number): void {
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    if (fstatText(fd).type === type) chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    closeSync(fd);
  }
}
