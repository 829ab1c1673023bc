/**
 * Gives a restored object its metadata, in the order in which one does not undo another: owner, attributes, mode, ACLs,
 * capabilities (a change of owner clears them), times. What the system refuses is counted as lost, never dropped silently.
 */
import { fchmodSync, fchownSync, fstatSync, futimesSync, lchownSync, lutimesSync } from "node:fs";
import { systemCode } from "../errors.ts";
import type { Xattr } from "../format/entry.ts";
import { parseFileTime } from "./file-time.ts";
import { libc, type FileRef } from "./libc.ts";
import type { Losses } from "./losses.ts";
import { fstatText, lstatAt } from "./stat.ts";

export type EntryMeta = {
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** `sec.nsec` */
  mtime: string;
  xattrs?: Xattr[] | undefined;
};

/** What takes the metadata: a descriptor, or a path whose last name is not followed. */
export type MetaTarget = {
  ref: string | Buffer | number;
  /** Sets the mode; absent for symbolic links, which have none. */
  chmod?: (mode: number) => void;
};

const SET_ID_BITS = 0o6000;
const ACL = "system.posix_acl_";
const CAPABILITY = "security.capability";
/** Attributes a merge removes when the archive has none of them; the rest belongs to the system (labels, measurements). */
const REMOVABLE = /^(?:user\.|trusted\.|system\.posix_acl_|security\.capability$)/;
/** Outside 32-bit seconds some file systems store another time than was asked for. */
const SURE_SEC_MAX = 2n ** 31n;

/** What a system says that may not, or cannot, do what was asked; anything else is a failure, not a loss. */
const REFUSALS = new Set(["EPERM", "EACCES", "EINVAL", "ENOSYS", "ENOTSUP"]);

/** Runs `act`; false when the system refused it. */
function permitted(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (REFUSALS.has(systemCode(error) ?? "")) return false;
    throw error;
  }
}

/** -1 leaves one of the two as it is. EINVAL, a number this user namespace does not map, counts as refused. */
function chown(ref: FileRef, uid: number, gid: number): boolean {
  return permitted(() => (typeof ref === "number" ? fchownSync(ref, uid, gid) : lchownSync(ref, uid, gid)));
}

function lossOfXattr(name: string): string {
  if (name.startsWith(ACL)) return "ACL";
  return name === CAPABILITY ? "file capabilities" : "extended attributes";
}

export type MetaSettings = {
  /** Whether new objects may carry attributes nobody recorded: inherited ACLs, or those of what lay there before. */
  strip: boolean;
  /** Whether all directories that files are made in are this restore's own, none with a group to give: then new files have one owner. */
  uniform: boolean;
};

/** The metadata settings of one restore in one thread. */
export class MetaWriter {
  readonly #losses: Losses;
  readonly #strip: boolean;
  readonly #uniform: boolean;
  /** What owns a file this process has made in such a tree. */
  #born: { uid: number; gid: number } | undefined;
  readonly #user = process.geteuid?.() ?? 0;
  /** Groups this process was refused once: an exception a file would cost more than all else. */
  readonly #refusedGroups = new Set<number>();

  constructor(losses: Losses, { strip, uniform }: MetaSettings) {
    this.#losses = losses;
    this.#strip = strip;
    this.#uniform = uniform;
  }

  /** Applies everything to `target`; `path` is for the account of losses. Throws system errors that are no refusal. */
  apply(target: MetaTarget, path: string, meta: EntryMeta): void {
    this.#apply(target, path, meta, false);
  }

  /** The same for a file this process has just made. */
  applyToNewFile(target: MetaTarget & { ref: number }, path: string, meta: EntryMeta): void {
    if (!this.#uniform) return this.apply(target, path, meta);
    this.#born ??= fstatSync(target.ref);
    const { uid, gid } = this.#born;
    this.#apply(target, path, meta, uid === meta.uid && gid === meta.gid);
  }

  #apply(target: MetaTarget, path: string, meta: EntryMeta, isOwned: boolean): void {
    const owned = isOwned || this.#owner(target.ref, path, meta);
    const xattrs = meta.xattrs ?? [];
    if (this.#strip) this.#removeOthers(target.ref, path, xattrs);
    for (const xattr of xattrs) if (lossOfXattr(xattr.name) === "extended attributes") this.#xattr(target.ref, path, xattr);
    this.#mode(target, path, owned ? meta.mode : meta.mode & ~SET_ID_BITS, meta.mode);
    for (const xattr of xattrs) if (xattr.name.startsWith(ACL)) this.#xattr(target.ref, path, xattr);
    for (const xattr of xattrs) if (xattr.name === CAPABILITY) this.#xattr(target.ref, path, xattr);
    this.#times(target.ref, path, meta.mtime);
  }

  /** Whether owner and group are now as recorded. */
  #owner(ref: FileRef, path: string, { uid, gid }: EntryMeta): boolean {
    const isRoot = this.#user === 0;
    const tryGroup = !this.#refusedGroups.has(gid);
    if ((isRoot || this.#user === uid) && tryGroup && chown(ref, uid, gid)) return true;
    // Both at once were refused: one of the two may still be given.
    const group = tryGroup && chown(ref, -1, gid);
    if (!group) this.#losses.add(path, "group");
    if (!group && !isRoot) this.#refusedGroups.add(gid);
    const owner = isRoot ? chown(ref, uid, -1) : this.#user === uid;
    if (!owner) this.#losses.add(path, "owner");
    return owner && group;
  }

  #mode(target: MetaTarget, path: string, given: number, recorded: number): void {
    if (given !== recorded && target.chmod) this.#losses.add(path, "setuid and setgid bits");
    const { chmod } = target;
    if (chmod && !permitted(() => chmod(given & 0o7777))) this.#losses.add(path, "mode");
  }

  #removeOthers(ref: FileRef, path: string, wanted: Xattr[]): void {
    if (!libc) return;
    try {
      for (const name of libc.listXattrs(ref)) {
        if (REMOVABLE.test(name) && !wanted.some((xattr) => xattr.name === name)) libc.removeXattr(ref, name);
      }
    } catch (error) {
      const code = systemCode(error);
      if (code !== "ENOTSUP" && code !== "ENODATA") this.#losses.add(path, "removal of extended attributes that the archive does not have");
    }
  }

  #xattr(ref: FileRef, path: string, { name, value }: Xattr): void {
    try {
      if (!libc) throw Object.assign(new Error("no C library"), { code: "ENOTSUP" });
      libc.setXattr(ref, name, value);
    } catch (error) {
      if (systemCode(error) === "ENOENT" || systemCode(error) === "EBADF") throw error;
      this.#losses.add(path, lossOfXattr(name));
    }
  }

  #times(ref: FileRef, path: string, mtime: string): void {
    const time = parseFileTime(mtime);
    if (!libc) {
      const seconds = Number(time.sec) + time.nsec / 1e9;
      // Node takes a negative number for the current time.
      if (seconds < 0 || time.nsec % 1000 !== 0) this.#losses.add(path, "exact modification time");
      if (seconds < 0) return;
      if (typeof ref === "number") futimesSync(ref, seconds, seconds);
      else lutimesSync(ref, seconds, seconds);
      return;
    }
    const calls = libc;
    if (!permitted(() => calls.setTimes(ref, time))) return this.#losses.add(path, "modification time");
    if (time.sec < SURE_SEC_MAX && time.sec >= -SURE_SEC_MAX) return;
    const stored = typeof ref === "number" ? fstatText(ref) : lstatAt(ref);
    if (stored?.mtime !== mtime) this.#losses.add(path, "exact modification time");
  }
}

/** The metadata target of an open file or directory. */
export function openTargetOf(fd: number): MetaTarget & { ref: number } {
  return { ref: fd, chmod: (mode) => fchmodSync(fd, mode) };
}

/** Whether what is made in a directory inherits an ACL from it. */
export function inheritsAcl(fd: number): boolean {
  if (!libc || !fstatSync(fd).isDirectory()) return false;
  try {
    return libc.listXattrs(fd).includes(`${ACL}default`);
  } catch {
    return false;
  }
}
