/** Files that are either there as a whole, also after a power cut, or not at all. */
import { randomBytes } from "node:crypto";
import { closeSync, constants, fchmodSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Writes all of `bytes`: one write(2) may take only a part. Throws the system's error. */
export function writeFully(fd: number, bytes: Uint8Array, position: number | null = null): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position === null ? null : position + done);
  }
}

/** Makes the names in a directory durable. Throws the system's error. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A new file with exactly `mode`, its bytes on disk; removed again when anything fails. */
function createDurable(path: string, bytes: Uint8Array, mode: number): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    try {
      writeFully(fd, bytes);
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

/** Creates or replaces a file, and returns when that is durable. A reader sees the old or the new content. Throws system errors. */
export function writeFileDurable(path: string, bytes: Uint8Array, mode: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  createDurable(temporary, bytes, mode);
  try {
    renameSync(temporary, path);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Creates a file durably; throws EEXIST when anything lies there, even a dangling link, and leaves that as it is. */
export function createFileExclusive(path: string, bytes: Uint8Array, mode: number): void {
  createDurable(path, bytes, mode);
  syncDirectory(dirname(path));
}
