/** What differs between two archives: a merge of their catalogs in path order, without the segments both have. */
import { RunningDigest } from "../codec/digest.ts";
import type { SegmentReference } from "../format/catalog-root.ts";
import { isContinuation, type CatalogLine, type Entry, type Extent } from "../format/entry.ts";
import { comparePaths } from "../format/path-order.ts";
import type { CatalogReader } from "./catalog-reader.ts";

/** What changed of an entry, in the order it is told. */
export const CHANGE_ASPECTS = ["type", "content", "mode", "owner", "mtime", "target", "hard link", "device", "xattrs"] as const;
export type ChangeAspect = (typeof CHANGE_ASPECTS)[number];

export type Difference = { path: string; change: "added" | "removed" } | { path: string; change: "changed"; what: ChangeAspect[] };

/** All lines of one path that are not in a segment both archives have. */
type Group = { path: string; entry: Entry | null; content: string };

/** Chunks by place in the file and digest. Where they are stored, and how a hole is written down, makes no difference. */
function digestExtents(digest: RunningDigest, at: number, extents: readonly Extent[]): void {
  let position = at;
  for (const extent of extents) {
    if ("zero" in extent) position += extent.zero;
    else if ("length" in extent) position += extent.length;
    else {
      for (const [length, sha256] of extent.chunks) {
        digest.update(Buffer.from(`${position} ${length} ${sha256}\n`));
        position += length;
      }
    }
  }
}

function* groupLines(lines: Iterable<CatalogLine>): Generator<Group> {
  let entry: Entry | null = null;
  let path: string | null = null;
  let digest = new RunningDigest();
  for (const line of lines) {
    if (path !== null && line.path !== path) {
      yield { path, entry, content: digest.hex() };
      digest = new RunningDigest();
      entry = null;
    }
    path = line.path;
    if (isContinuation(line)) digestExtents(digest, line.at, line.extents);
    else entry = line;
  }
  if (path !== null) yield { path, entry, content: digest.hex() };
}

function xattrsText(entry: Entry): string {
  return (entry.xattrs ?? []).map(({ name, value }) => `${name}=${value.toString("hex")}`).toSorted().join("\n");
}

function hasOtherOwner(a: Entry, b: Entry): boolean {
  return a.uid !== b.uid || a.gid !== b.gid || a.user !== b.user || a.group !== b.group;
}

/** Inode numbers and ctime say nothing about what a restore brings back. */
function compareEntries(a: Entry, b: Entry, isSameContent: boolean): ChangeAspect[] {
  const isLink = a.hardlink !== undefined || b.hardlink !== undefined;
  const differs: Record<ChangeAspect, boolean> = {
    type: a.type !== b.type,
    content: a.type === b.type && !isLink && (a.size !== b.size || a.sha256 !== b.sha256 || !isSameContent),
    mode: a.mode !== b.mode,
    owner: hasOtherOwner(a, b),
    mtime: a.mtime !== b.mtime,
    target: a.target !== b.target,
    "hard link": a.hardlink !== b.hardlink,
    device: a.rdev !== b.rdev,
    xattrs: xattrsText(a) !== xattrsText(b),
  };
  return CHANGE_ASPECTS.filter((aspect) => differs[aspect]);
}

function compareGroups(a: Group, b: Group): Difference | null {
  const { path } = a;
  const isSameContent = a.content === b.content;
  // An entry whose own line stands in a segment both have can differ in its continuation lines only.
  const what = a.entry === null || b.entry === null ? (isSameContent ? [] : (["content"] as ChangeAspect[])) : compareEntries(a.entry, b.entry, isSameContent);
  return what.length > 0 ? { path, change: "changed", what } : null;
}

/** Of a path with lines on one side only: the entry came or went, or lines of its content did. */
function oneSided(group: Group, change: "added" | "removed"): Difference {
  return group.entry === null ? { path: group.path, change: "changed", what: ["content"] } : { path: group.path, change };
}

function* mergeGroups(a: Iterator<Group>, b: Iterator<Group>): Generator<Difference> {
  let left = a.next();
  let right = b.next();
  while (left.done !== true || right.done !== true) {
    const order = left.done === true ? 1 : right.done === true ? -1 : comparePaths(left.value.path, right.value.path);
    if (left.done !== true && order < 0) yield oneSided(left.value, "removed");
    if (right.done !== true && order > 0) yield oneSided(right.value, "added");
    if (left.done !== true && right.done !== true && order === 0) {
      const difference = compareGroups(left.value, right.value);
      if (difference !== null) yield difference;
    }
    if (order <= 0) left = a.next();
    if (order >= 0) right = b.next();
  }
}

/**
 * Differences on the way from `a` to `b`, in path order. Paths are unique in a catalog, so a segment both have in common
 * holds no line that differs, wherever it stands: such segments are not even fetched. Throws E_OBJECT, E_FORMAT.
 */
export async function* diffCatalogs(a: CatalogReader, b: CatalogReader): AsyncGenerator<Difference> {
  const own = (mine: CatalogReader, other: CatalogReader): SegmentReference[] => {
    const shared = new Set(other.root.segments.map(({ sha256 }) => sha256));
    return mine.root.segments.filter(({ sha256 }) => !shared.has(sha256));
  };
  const [before, after] = [own(a, b), own(b, a)];
  await a.fetch(before);
  await b.fetch(after);
  yield* mergeGroups(groupLines(a.lines(before)), groupLines(b.lines(after)));
}
