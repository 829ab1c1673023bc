/** What a source and its exclude patterns amount to on this disk, without reading any file. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { SourceConfig } from "../config/schema.ts";
import { readMounts } from "../disk/mounts.ts";
import { planSources } from "../disk/source-tree.ts";
import { walk } from "../disk/walk.ts";
import { compileExcludes } from "../policy/exclude.ts";

export type SourceCheck = {
  path: string;
  /** Files, directories, links and devices that would be archived. */
  entries: number;
  /** Sum of the file sizes, bytes. */
  sizeBytes: number;
  /** Per pattern, how many paths it decided: a directory left out counts once, whatever it holds. */
  patterns: { pattern: string; matches: number }[];
  /** What could not be read; the first hundred. */
  problems: { path: string; message: string }[];
  problemsTotal: number;
  /** Mounts below the source that are not entered. */
  skippedMounts: { path: string; fsType: string }[];
};

export type SourceCheckOptions = {
  /** Directories that are never archived: the state. */
  excludedDirs: readonly string[];
  signal: AbortSignal;
  onProgress(entries: number): void;
};

const PROBLEMS_MAX = 100;
/** Items between two looks at the signal. */
const ITEMS_A_TURN = 5_000;

/** Walks one source. Throws the signal's reason, E_CONFIG for a bad pattern, E_DISK where mounts cannot be told. */
export async function checkSource(source: SourceConfig, options: SourceCheckOptions): Promise<SourceCheck> {
  await nextTurn();
  options.signal.throwIfAborted();
  const excludedDirs = [...options.excludedDirs];
  // The walk resolves links above a source; patterns are about the path it then goes by.
  const walked = planSources([source.path], excludedDirs).sources[0] ?? source.path;
  const excludes = compileExcludes(source.exclude, walked);
  const matches = new Map(source.exclude.map((pattern) => [pattern, 0]));
  const skip = (path: string, isDirectory: boolean): boolean => {
    const { excluded, pattern } = excludes(path, isDirectory);
    if (pattern !== undefined) matches.set(pattern, (matches.get(pattern) ?? 0) + 1);
    return excluded;
  };
  const check: SourceCheck = { path: source.path, entries: 0, sizeBytes: 0, patterns: [], problems: [], problemsTotal: 0, skippedMounts: [] };
  let items = 0;
  for (const item of walk({ sources: [source.path], skip, mounts: readMounts(), excludedDirs })) {
    if (item.kind === "entry") {
      check.entries++;
      if (item.stat.type === "file") check.sizeBytes += item.stat.size;
    } else if (item.kind === "problem") {
      check.problemsTotal++;
      if (check.problems.length < PROBLEMS_MAX) check.problems.push({ path: item.path, message: item.message });
    } else if (item.kind === "skipped-mount") check.skippedMounts.push({ path: item.path, fsType: item.fsType });
    if (++items % ITEMS_A_TURN === 0) {
      options.onProgress(check.entries);
      await nextTurn();
      options.signal.throwIfAborted();
    }
  }
  check.patterns = [...matches].map(([pattern, count]) => ({ pattern, matches: count }));
  return check;
}
