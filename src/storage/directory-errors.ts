/** The one place that turns a file system's error into a StoreError. */
import { messageOf, systemCode } from "../errors.ts";
import { StoreError, type StoreFault } from "./object-store.ts";

const FAULT_BY_CODE: Readonly<Record<string, StoreFault>> = {
  ENOENT: "missing",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  EIO: "transient",
  ESTALE: "transient",
  EAGAIN: "transient",
  EBUSY: "transient",
  EINTR: "transient",
  EMFILE: "transient",
  ENFILE: "transient",
  ENOMEM: "transient",
  ETIMEDOUT: "transient",
  EREMOTEIO: "transient",
  ENOTCONN: "transient",
};

const HINT_BY_FAULT: Partial<Record<StoreFault, string>> = {
  denied: "Check the owner and the mode of the directory, and whether its file system is mounted read-only.",
  full: "Free space on that disk, or let prune remove archives that have expired.",
};

/** The StoreError for a failed call on an object or folder of a directory region; `doing` names both. */
export function directoryError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = systemCode(error);
  if (code === "ELOOP" || code === "ENOTDIR") {
    return new StoreError("misused", `${doing}: a part of the path is a symbolic link or no directory`, {
      cause: error,
      hint: "A region holds plain files and directories only; remove what was put there.",
    });
  }
  const fault = (code === undefined ? undefined : FAULT_BY_CODE[code]) ?? "misused";
  return new StoreError(fault, `${doing}: ${reasonOf(error, code)}`, { cause: error, hint: HINT_BY_FAULT[fault] });
}

/** The StoreError for a root that cannot be opened. A retry would not mount the disk. */
export function rootError(error: unknown, location: string): StoreError {
  const code = systemCode(error);
  if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "ENODEV" && code !== "ENXIO") return directoryError(error, `opening ${location}`);
  return new StoreError("unreachable", `the directory of ${location} does not exist`, {
    cause: error,
    retryable: false,
    hint: "The disk may not be mounted; mount it, or run `coldkeep init` for a new region.",
  });
}

function reasonOf(error: unknown, code: string | undefined): string {
  // Node's text names the path it was given, here one below /proc, which would only puzzle.
  return code === undefined ? messageOf(error) : messageOf(error).replace(/^\w+: /, "").replace(/, \w+( '.*)?$/s, "");
}
