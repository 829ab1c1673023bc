/** Names that `fs` cannot take as they are: bytes that are not UTF-8, and paths longer than the kernel's PATH_MAX. */
import { closeSync, constants, openSync, readdirSync, readlinkSync } from "node:fs";
import { bytesFromText, hasRawBytes, textFromBytes } from "../format/byte-text.ts";

/** PATH_MAX is 4096 with the final NUL; the rest is room for `/proc/self/fd/<N>/` before what is left of a path. */
const DIRECT_BYTES_MAX = 4000;
const O_PATH = 0o10000000;
const SLASH = 0x2f;

/** The form of byte text that `fs` takes: the string itself, or its bytes where it holds raw ones. */
export function fsPath(text: string): string | Buffer {
  return hasRawBytes(text) ? bytesFromText(text) : text;
}

/** A path of an open directory's child. `fs` resolves it from the held directory, whatever its own path has become. */
export function childPath(fd: number, name: string): string | Buffer {
  const prefix = `/proc/self/fd/${fd}/`;
  return hasRawBytes(name) ? Buffer.concat([Buffer.from(prefix), bytesFromText(name)]) : prefix + name;
}

function openDirectory(path: string | Buffer): number {
  return openSync(path, O_PATH | constants.O_DIRECTORY);
}

/** Holds one directory after another, each reached from the one before, until the rest of the path is short enough. */
function throughDirectories<T>(path: Buffer, use: (path: Buffer) => T): T {
  let held = -1;
  let rest = path;
  try {
    while (rest.length > DIRECT_BYTES_MAX) {
      const cut = rest.lastIndexOf(SLASH, DIRECT_BYTES_MAX);
      // Without a slash the one component is too long for any file system: the kernel shall say so.
      if (cut <= 0) break;
      const next = openDirectory(relativeTo(held, rest.subarray(0, cut)));
      if (held >= 0) closeSync(held);
      held = next;
      rest = rest.subarray(cut + 1);
    }
    return use(relativeTo(held, rest));
  } finally {
    if (held >= 0) closeSync(held);
  }
}

function relativeTo(fd: number, path: Buffer): Buffer {
  return fd < 0 ? path : Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), path]);
}

/**
 * Calls `use` with a path that `fs` can take and that names the same file as `path` (byte text, any length). It is valid
 * only during the call. Directories on the way are resolved as the kernel does it, links included.
 */
export function withReachablePath<T>(path: string, use: (path: string | Buffer) => T): T {
  const raw = hasRawBytes(path);
  // A UTF-16 unit takes at most three bytes, which spares counting them for ordinary paths.
  if (!raw && (path.length * 3 <= DIRECT_BYTES_MAX || Buffer.byteLength(path) <= DIRECT_BYTES_MAX)) return use(path);
  const bytes = bytesFromText(path);
  return bytes.length <= DIRECT_BYTES_MAX ? use(bytes) : throughDirectories(bytes, use);
}

/** Names in a directory as byte text, in no order. Read as strings; as bytes only where a U+FFFD shows. Throws system errors. */
export function readNames(path: string): string[] {
  return withReachablePath(path, (reachable) => {
    const names = readdirSync(reachable);
    if (!names.some((name) => name.includes("\ufffd"))) return names;
    return readdirSync(reachable, { encoding: "buffer" }).map(textFromBytes);
  });
}

/** A link's target as byte text. Throws system errors. */
export function readLink(path: string): string {
  return withReachablePath(path, (reachable) => {
    const target = readlinkSync(reachable);
    return target.includes("\ufffd") ? textFromBytes(readlinkSync(reachable, { encoding: "buffer" })) : target;
  });
}
