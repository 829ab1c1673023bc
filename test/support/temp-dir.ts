/** Temporary directories for tests, removed without ever deleting through a mount point. */
import { spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, readFileSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, onTestFinished } from "vitest";

/** Mount points at or below a directory, the deepest first. */
function mountsBelow(dir: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => (line.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))))
    .filter((point) => point === dir || point.startsWith(`${dir}/`))
    .sort((a, b) => b.length - a.length);
}

/** Removes a tree, also one with closed directories, paths beyond 4096 bytes and mounts (unmounted first). Throws when a mount stays. */
export function removeTree(dir: string): void {
  for (const point of mountsBelow(dir)) {
    if (spawnSync("umount", [point]).status !== 0) spawnSync("umount", ["--lazy", point]);
  }
  const left = mountsBelow(dir);
  if (left.length > 0) throw new Error(`still mounted, so ${dir} was not removed: ${left.join(", ")}`);
  const remove = (): string | null => {
    const done = spawnSync("rm", ["-rf", "--one-file-system", "--", dir], { encoding: "utf8" });
    return done.status === 0 ? null : done.stderr;
  };
  if (remove() === null) return;
  spawnSync("chmod", ["-R", "u+rwX", "--", dir]);
  const trouble = remove();
  if (trouble !== null) throw new Error(`could not remove ${dir}: ${trouble}`);
}

const atEndOfFile: (() => void)[] = [];

afterAll(() => {
  for (const cleanUp of atEndOfFile.splice(0).toReversed()) cleanUp();
});

/** Runs at the end of the running test; called outside of one (in a `beforeAll`), after the last test of the file. */
export function afterUse(cleanUp: () => void): void {
  try {
    onTestFinished(cleanUp);
  } catch {
    atEndOfFile.push(cleanUp);
  }
}

/** A new empty directory that stays until the last test of the file is done. `parent`: where other programs may not come and go. */
export function fileTempDir(parent = tmpdir()): string {
  const dir = realpathSync(mkdtempSync(join(parent, "coldkeep-test-")));
  atEndOfFile.push(() => removeTree(dir));
  return dir;
}

/** A new empty directory (mode 0700, its path without links), removed after the test. With `uid` (root only) it belongs to that user and group. */
export function tempDir(uid?: number): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "coldkeep-test-")));
  if (uid !== undefined) chownSync(dir, uid, uid);
  afterUse(() => removeTree(dir));
  return dir;
}
