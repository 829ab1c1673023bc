/** Files that hold keys or credentials: read only where no one else could have read or planted them. */
import { closeSync, constants, openSync } from "node:fs";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { KIB } from "../units.ts";
import { readFully } from "./read-file.ts";
import { fstatText, type Stat } from "./stat.ts";

const BYTES_MAX = 64 * KIB;

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === "ELOOP") {
      throw new ColdkeepError("E_REFUSED", `${path} is a symbolic link, which a secret file may not be`, { hint: "Name the file itself.", cause });
    }
    throw new ColdkeepError(code === "ENOENT" ? "E_NOT_FOUND" : "E_DISK", `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}

function refusal(path: string, stat: Stat, bytesMax: number): ColdkeepError | undefined {
  const user = process.geteuid?.() ?? 0;
  if (stat.type !== "file") return new ColdkeepError("E_REFUSED", `${path} is no regular file`, { hint: "Put the secret into a file of its own." });
  if (stat.uid !== user && stat.uid !== 0) {
    return new ColdkeepError("E_REFUSED", `${path} holds a secret but belongs to user ${stat.uid}`, { hint: `Run: chown ${user} '${path}'` });
  }
  if ((stat.mode & 0o077) !== 0) {
    const mode = stat.mode.toString(8).padStart(4, "0");
    return new ColdkeepError("E_REFUSED", `${path} holds a secret but others may use it (mode ${mode})`, { hint: `Run: chmod 600 '${path}'` });
  }
  if (stat.size > bytesMax) return new ColdkeepError("E_REFUSED", `${path} is ${stat.size} bytes long, too long for a secret file`);
  return undefined;
}

/**
 * The bytes of a secret file. Throws E_REFUSED for a link, a file others may use or that belongs to neither this user nor
 * root, or one over `bytesMax`; E_NOT_FOUND when it is missing; E_DISK when it cannot be read.
 */
export function readSecretFile(path: string, bytesMax: number = BYTES_MAX): Buffer {
  const fd = open(path);
  try {
    const fault = refusal(path, fstatText(fd), bytesMax);
    if (fault) throw fault;
    const buffer = Buffer.alloc(bytesMax + 1);
    const length = readFully(fd, buffer, 0, buffer.length, 0);
    if (length > bytesMax) throw new ColdkeepError("E_REFUSED", `${path} is too long for a secret file`);
    return buffer.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
