/** What is mounted where, and how full it is. */
import { statfsSync } from "node:fs";
import type { Profile } from "../../format/profile.ts";
import { fileSystemClass, parseMountInfo, MountTable, type Mount } from "../../disk/mounts.ts";
import type { Look } from "./look.ts";

/** Mounts whose fullness matters; asking a network file system that hangs would hang us. */
const MEASURED = new Set(["local", "layered"]);
const NAMED = new Set(["local", "layered", "network", "unknown"]);

/** A file system that is there for a single file, as containers have them for /etc/hosts. */
function isOfFile(look: Look, { path }: Mount): boolean {
  return look.stat(path)?.isDirectory() !== true;
}

/** `isArchived` says of a mount point whether a source covers anything on it. */
export function readProfileMounts(look: Look, isArchived: (path: string) => boolean = () => true): Profile["mounts"] {
  if (!look.isLive) return [];
  const content = look.bytes("/proc/self/mountinfo");
  if (content === null) {
    look.gap("mounts", "there is no /proc/self/mountinfo");
    return [];
  }
  const options = mountOptions(content.toString());
  return new MountTable(parseMountInfo(content)).shown().filter((mount) => NAMED.has(fileSystemClass(mount.fsType))).flatMap((mount) => {
    if (MEASURED.has(fileSystemClass(mount.fsType)) && isOfFile(look, mount)) return [];
    return [{ path: mount.path.toWellFormed(), device: mount.source, type: mount.fsType, ...fullness(look, mount), options: options.get(mount.id) ?? "", archived: isArchived(mount.path) }];
  });
}

/** Mount options by the mount's id. */
function mountOptions(text: string): Map<number, string> {
  const lines = text.split("\n").map((line) => line.split(" "));
  return new Map(lines.flatMap(([id, , , , , options]) => (options === undefined ? [] : [[Number(id), options] as const])));
}

function fullness(look: Look, { path, fsType }: Mount): { sizeBytes: number; usedBytes: number } {
  if (!MEASURED.has(fileSystemClass(fsType))) return { sizeBytes: 0, usedBytes: 0 };
  try {
    const { blocks, bfree, bsize } = statfsSync(path);
    return { sizeBytes: blocks * bsize, usedBytes: (blocks - bfree) * bsize };
  } catch (error) {
    look.gap(path, error);
    return { sizeBytes: 0, usedBytes: 0 };
  }
}
