/** How much more a file system takes. */
import { statfsSync } from "node:fs";

export type FreeSpace = {
  /** Bytes this process may still write. */
  bytes: number;
  /** Files that may still be made; undefined where there is no fixed number (btrfs). */
  inodes: number | undefined;
};

/** The room where `path` lies. Throws the system's error. */
export function freeSpace(path: string): FreeSpace {
  const stats = statfsSync(path, { bigint: true });
  const blocks = process.geteuid?.() === 0 ? stats.bfree : stats.bavail;
  // Counts are in fragments where a file system tells them apart from blocks (statvfs(3)).
  return { bytes: Number(blocks * (stats.frsize || stats.bsize)), inodes: stats.files === 0n ? undefined : Number(stats.ffree) };
}
