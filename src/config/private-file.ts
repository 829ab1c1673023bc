/** Files that only their owner may read: small ones, read and written whole. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, fsyncSync, linkSync, lstatSync, mkdirSync, openSync, readSync, type Stats, unlinkSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const SHARED_BITS = 0o077;
/** More bytes than any key file has. */
const KEY_BYTES_MAX = 64 * 1024;

/**
 * Reads a file that belongs to this user and that nobody else may touch; null when there is none. Throws E_REFUSED for a
 * link, another owner, or permission bits for others, and E_CONFIG when it cannot be read or has `bytesMax` bytes or more.
 */
export function readPrivateFile(path: string, bytesMax: number = KEY_BYTES_MAX): string | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return null;
    if (systemCode(cause) === "ELOOP") throw refused(path, "is a symbolic link", `Put the file itself at ${path}.`);
    throw new ColdkeepError("E_CONFIG", `cannot read ${path}: ${messageOf(cause)}`, { hint: "Run as the user it belongs to.", cause });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refused(path, "is not a regular file");
    requirePrivate(path, stat, FILE_MODE);
    const buffer = Buffer.alloc(bytesMax);
    const length = readSync(fd, buffer, 0, bytesMax, 0);
    if (length === bytesMax) throw new ColdkeepError("E_CONFIG", `${path} is too long for a key file`);
    return buffer.toString("utf8", 0, length);
  } finally {
    closeSync(fd);
  }
}

/** `/dev/stdin`, `/dev/fd/63`: what a shell writes for a pipe. */
const DESCRIPTOR = /^\/dev\/(?:fd\/(\d{1,6})|(stdin))$/;

/**
 * The first line of a private file, or of an open descriptor named `/dev/fd/N` or `/dev/stdin`: a secret that a person or a
 * password manager gives. Throws E_CONFIG when there is none, E_REFUSED as `readPrivateFile` does.
 */
export function readSecretLine(path: string): string {
  const descriptor = DESCRIPTOR.exec(path);
  const text = descriptor === null ? readPrivateFile(path) : readDescriptor(path, Number(descriptor[1] ?? 0));
  const line = text?.split(/\r?\n/)[0] ?? "";
  if (line !== "") return line;
  throw new ColdkeepError("E_CONFIG", text === null ? `there is no ${path}` : `the first line of ${path} is empty`);
}

function readDescriptor(path: string, fd: number): string {
  const buffer = Buffer.alloc(KEY_BYTES_MAX);
  let length = 0;
  try {
    for (let read = -1; read !== 0 && length < buffer.length; length += read) read = readSync(fd, buffer, length, buffer.length - length, null);
  } catch (cause) {
    throw new ColdkeepError("E_CONFIG", `cannot read ${path}: ${messageOf(cause)}`, { hint: "Open the descriptor for this program, as with `3< FILE` in a shell.", cause });
  }
  return buffer.toString("utf8", 0, length);
}

/** Checks a folder for private files; false when there is none. Throws E_REFUSED. */
export function checkPrivateFolder(path: string): boolean {
  let stat: Stats;
  try {
    stat = lstatSync(path);
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return false;
    throw new ColdkeepError("E_CONFIG", `cannot look at ${path}: ${messageOf(cause)}`, { cause });
  }
  if (!stat.isDirectory()) throw refused(path, stat.isSymbolicLink() ? "is a symbolic link" : "is not a directory");
  requirePrivate(path, stat, FOLDER_MODE);
  return true;
}

/** Makes a folder for private files, with its parents, where there is none, and checks it. Throws E_REFUSED, E_DISK. */
export function makePrivateFolder(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    mkdirSync(path, { mode: FOLDER_MODE });
  } catch (cause) {
    if (systemCode(cause) !== "EEXIST") throw new ColdkeepError("E_DISK", `cannot make ${path}: ${messageOf(cause)}`, { cause });
  }
  checkPrivateFolder(path);
}

/**
 * Writes a private file whole or not at all; one that is there is left alone. It is on the disk, with its name, when this
 * returns. Throws E_DISK.
 */
export function createPrivateFile(path: string, content: string): void {
  const temporary = join(dirname(path), `.${randomBytes(8).toString("hex")}.new`);
  try {
    const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, FILE_MODE);
    try {
      const bytes = Buffer.from(content);
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    publish(temporary, path);
  } catch (cause) {
    throw new ColdkeepError("E_DISK", `cannot write ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** A link, unlike a rename, does not replace what another process put there meanwhile. */
function publish(temporary: string, path: string): void {
  try {
    linkSync(temporary, path);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  } finally {
    unlinkSync(temporary);
  }
  const folder = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function requirePrivate(path: string, stat: Stats, mode: number): void {
  if (stat.uid !== process.geteuid?.()) {
    throw refused(path, `belongs to another user (uid ${stat.uid})`, `Run as its owner, or take it over: chown ${process.geteuid?.() ?? "USER"} ${path}`);
  }
  if ((stat.mode & SHARED_BITS) !== 0) {
    const bits = (stat.mode & 0o777).toString(8).padStart(4, "0");
    throw refused(path, `can be reached by other users (mode ${bits})`, `Run: chmod ${mode.toString(8)} ${path}`);
  }
}

function refused(path: string, what: string, hint?: string): ColdkeepError {
  return new ColdkeepError("E_REFUSED", `${path} ${what}`, { hint });
}
