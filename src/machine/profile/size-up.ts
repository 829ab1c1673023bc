/** Sizing up directories within a budget of entries, so that a profile never turns into a walk of the disk. */
import { lstatSync, readdirSync, type Dirent } from "node:fs";

export type Budget = { entries: number; endMs: number };

export type SizedUp = { bytes: number; /** False where the budget ran out: it is at least so much. */ isWhole: boolean };

/** Whether there is anything left to spend. */
export function isSpent(budget: Budget): boolean {
  return budget.entries <= 0 || performance.now() > budget.endMs;
}

/** Names in a directory without following links; none where it cannot be read. */
export function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}

/**
 * Bytes on disk below `path`, on its own file system; directories that `skip` names are left out. Spends the budget, and at
 * most `share` entries of it.
 */
export function sizeUp(path: string, budget: Budget, share: number, skip: (path: string) => boolean): SizedUp {
  const open = [path];
  let bytes = 0;
  let left = Math.min(share, budget.entries);
  const first = lstatSync(path, { throwIfNoEntry: false });
  if (first === undefined) return { bytes: 0, isWhole: true };
  if (!first.isDirectory()) return { bytes: first.isFile() ? first.blocks * 512 : 0, isWhole: true };
  for (let directory; (directory = open.pop()) !== undefined; ) {
    for (const entry of entriesOf(directory)) {
      if (left-- <= 0 || (left % 256 === 0 && performance.now() > budget.endMs)) return { bytes, isWhole: false };
      budget.entries--;
      const child = `${directory}/${entry.name}`;
      if (entry.isDirectory() && !skip(child)) {
        if (lstatSync(child, { throwIfNoEntry: false })?.dev === first.dev) open.push(child);
      } else if (entry.isFile()) bytes += (lstatSync(child, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
    }
  }
  return { bytes, isWhole: true };
}
