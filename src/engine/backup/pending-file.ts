/** A file whose content is being packed: its catalog lines exist once all its pieces have places. */
import type { Stat } from "../../disk/stat.ts";
import { continuationLine, encodeEntry, encodeExtents, type Entry, type OwnerNames, type Xattr } from "../../format/entry.ts";
import { parseExtentsText } from "../../format/entry-parse.ts";
import { clipExtents, extentsLength, volumesOf } from "./extents.ts";
import type { PackResult } from "./messages.ts";

export type FileResult = Extract<PackResult, { kind: "file" }>;
export type SpanResult = Extract<PackResult, { kind: "span" }>;

/** One line of the catalog, with what its cut key needs. */
export type CatalogLineText = { text: string; path: string; at?: number | undefined };

function sameTimes(a: Stat, b: Stat): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime;
}

/** The part of an entry that every type has. */
export function entryBase(path: string, stat: Stat, { user, group }: OwnerNames, xattrs: Xattr[] | undefined): Entry {
  const { type, mode, uid, gid, size, mtime, ctime, ino, dev } = stat;
  if (type === "socket") throw new TypeError("sockets have no entries");
  return { path, type, mode, uid, gid, user, group, mtime, ctime, ino, dev, size: type === "file" ? size : 0, xattrs };
}

/** The first `limit` bytes of a span: what lies behind them is left out. */
function clipped(text: string, limit: number): { extents: string; length: number; volumes: Set<string> } {
  const extents = clipExtents(parseExtentsText(text), limit);
  return { extents: encodeExtents(extents), length: extentsLength(extents), volumes: new Set(volumesOf(extents)) };
}

export class PendingFile {
  readonly path: string;
  readonly names: OwnerNames;
  readonly isNew: boolean;
  /** Size when it was walked: what the totals counted. */
  readonly walkedBytes: number;
  stat: Stat;
  attempts = 0;
  /** Bytes of content that no archive held. */
  packedBytes = 0;
  /** Null while pieces are missing; empty when the file could not be kept. */
  lines: CatalogLineText[] | null = null;
  /** Device and inode of what was kept, once it is. */
  #keptInode: string | undefined;
  /** Volumes the lines name. */
  readonly volumes = new Set<string>();
  #spansMissing = 0;
  /** Text of the extents, and the bytes they cover. */
  #spans = new Map<number, { extents: string; length: number; volumes: string[] }>();
  #xattrs: Xattr[] | undefined;
  #endsAt = Number.POSITIVE_INFINITY;
  #moved = false;

  constructor(path: string, stat: Stat, names: OwnerNames, isNew: boolean) {
    this.path = path;
    this.walkedBytes = stat.size;
    this.stat = stat;
    this.names = names;
    this.isNew = isNew;
  }

  /** Whether it is known that the file has no place in the archive. */
  get isDropped(): boolean {
    return this.lines?.length === 0;
  }

  get isDone(): boolean {
    return this.lines !== null;
  }

  /** Whether the archive holds it with this inode (`dev:ino`): editors and log rotation put another file in its place. */
  isKeptAs(inode: string): boolean {
    return this.#keptInode === inode && !this.isDropped;
  }

  drop(): void {
    this.lines = [];
  }

  /** Begins an attempt in `spans` spans. */
  expectSpans(stat: Stat, spans: number): void {
    this.stat = stat;
    this.attempts++;
    this.#spansMissing = spans;
    this.#spans.clear();
    this.#moved = false;
    this.#endsAt = Number.POSITIVE_INFINITY;
  }

  /** Takes a file read in one piece. */
  completeWhole({ line, inode, volume }: FileResult): void {
    this.#keptInode = inode;
    if (volume !== undefined) this.volumes.add(volume);
    this.lines = [{ text: line, path: this.path }];
  }

  /** Takes one span; true when it was the last. */
  addSpan(result: SpanResult): boolean {
    const { extents, length, volumes } = result;
    this.#spans.set(result.at, { extents, length, volumes });
    this.#spansMissing--;
    if (result.xattrs !== undefined) this.#xattrs = result.xattrs;
    if (result.endsAt !== undefined) this.#endsAt = Math.min(this.#endsAt, result.endsAt);
    if (!sameTimes(result.stat, this.stat)) this.#moved = true;
    return this.#spansMissing === 0;
  }

  /** Whether the file changed while its spans were read. */
  get hasMoved(): boolean {
    return this.#moved;
  }

  /** The lines of a file stored in chunks, once all its spans are here. */
  completeSpans(average: number, span: number): Entry {
    const entry = entryBase(this.path, this.stat, this.names, this.#xattrs);
    this.#keptInode = `${entry.dev}:${entry.ino}`;
    entry.chunking = { average, span };
    if (this.#moved) entry.changed = true;
    const lines = this.#spanLines(Math.min(this.stat.size, this.#endsAt));
    entry.size = lines.coveredBytes;
    this.lines = [{ text: encodeEntry(entry), path: this.path }, ...lines.lines];
    this.#spans.clear();
    return entry;
  }

  /** Lines that cover the file from its start without a gap, up to `limit`: a file cut short while it was read has no more. */
  #spanLines(limit: number): { lines: CatalogLineText[]; coveredBytes: number } {
    const lines: CatalogLineText[] = [];
    let covered = 0;
    for (const [at, span] of [...this.#spans].toSorted((a, b) => a[0] - b[0])) {
      if (at !== covered || at >= limit) break;
      const { extents, length, volumes } = at + span.length <= limit ? span : clipped(span.extents, limit - at);
      lines.push({ text: continuationLine(this.path, at, extents), path: this.path, at });
      for (const volume of volumes) this.volumes.add(volume);
      covered += length;
    }
    return { lines, coveredBytes: covered };
  }
}
