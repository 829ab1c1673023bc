/**
 * The walk beside the previous catalog, in a worker: what is unchanged keeps its line, the rest becomes tasks for packers, and
 * the new catalog grows in path order as their results come in.
 */
import type { Owners } from "../../disk/owners.ts";
import { lstatText, type Stat } from "../../disk/stat.ts";
import type { WalkItem } from "../../disk/walk.ts";
import { encodeHead, encodeTail, type Entry } from "../../format/entry.ts";
import { keptContent, volumesNamed } from "../../format/kept-line.ts";
import { comparePaths } from "../../format/path-order.ts";
import { isSettled, isUnchanged } from "../../policy/change.ts";
import type { CatalogLines } from "./catalog-lines.ts";
import type { ContentBook } from "./content-book.ts";
import { EntryLines, keepingFault } from "./entry-lines.ts";
import { volumesOf } from "./extents.ts";
import { type FilePackResult, FilesUnderWay } from "./files-under-way.ts";
import { LineQueue, type StoredLine } from "./line-queue.ts";
import { PendingFile, type CatalogLineText } from "./pending-file.ts";
import type { PreviousCatalog } from "./previous-catalog.ts";
import { reusableSpan } from "./reusable-span.ts";
import type { ScanLog } from "./scan-log.ts";
import type { TaskDispatch } from "./task-dispatch.ts";
import type { WalkFeed } from "./walk-feed.ts";

const QUEUE_BYTES_MAX = 16 * 1024 * 1024;

export type ScannerParts = {
  walk: WalkFeed;
  previous: PreviousCatalog | null;
  previousStartSeconds: number;
  /** Those that may not have become empty. */
  sources: readonly string[];
  /** Paths that are a problem when nothing lies there. */
  mustExist: readonly string[];
  owners: Owners;
  book: ContentBook;
  dispatch: TaskDispatch | null;
  segments: CatalogLines;
  log: ScanLog;
};

function isThere(path: string): boolean {
  try {
    return lstatText(path) !== null;
  } catch {
    return false;
  }
}

export class Scanner {
  readonly #parts: ScannerParts;
  readonly #lines: EntryLines;
  readonly #queue: LineQueue;
  readonly #underWay: FilesUnderWay;
  /** First names of files that have several, by device and inode; null once it is known to be kept. */
  readonly #firstNames = new Map<string, { path: string; file: PendingFile | null }>();
  readonly #volumes = new Set<string>();
  #walkEnded = false;
  #waitsForWalk = false;

  constructor(parts: ScannerParts) {
    const { owners, log, book, dispatch } = parts;
    this.#parts = parts;
    this.#lines = new EntryLines(owners, log);
    this.#underWay = new FilesUnderWay({ book, dispatch, log, lines: this.#lines });
    this.#queue = new LineQueue({
      line: (line) => this.#write(line),
      stored: (line) => this.#repeat(line),
      volumes: (ids) => this.#needVolumes(ids),
    });
  }

  get volumes(): ReadonlySet<string> {
    return this.#volumes;
  }

  get walkEnded(): boolean {
    return this.#walkEnded;
  }

  /** Whether everything the walk has found is taken, and it will find more. */
  get waitsForWalk(): boolean {
    return this.#waitsForWalk;
  }

  /** Every entry has its lines. */
  get isComplete(): boolean {
    return this.#walkEnded && this.#queue.isEmpty;
  }

  /** Whether the walk has to wait for packers. */
  get mustWait(): boolean {
    return this.#parts.dispatch?.isFull === true || this.#queue.waitingBytes > QUEUE_BYTES_MAX;
  }

  /** Goes on until `deadlineMs` (of performance.now), the end, or until the walk or packers have to catch up. */
  step(deadlineMs: number): void {
    this.#waitsForWalk = false;
    for (let i = 0; !this.#walkEnded && !this.#waitsForWalk && !this.mustWait; i++) {
      if (i % 64 === 63 && performance.now() > deadlineMs) break;
      const item = this.#parts.walk.next();
      if (item === null) this.#endWalk();
      else if (item === "later") this.#waitsForWalk = true;
      else this.#take(item);
    }
    this.#queue.drain();
  }

  /** Ends the walk where it is; files not handed to a packer are left out. */
  stop(): void {
    this.#walkEnded = true;
    this.#underWay.stop();
    this.#queue.drain();
  }

  take(results: readonly FilePackResult[]): void {
    for (const result of results) this.#underWay.take(result);
    this.#queue.drain();
  }

  #endWalk(): void {
    const { previous, dispatch, sources, mustExist, log } = this.#parts;
    this.#walkEnded = true;
    while (previous !== null && previous.raw !== null) this.#passOver(previous);
    dispatch?.closeBatch();
    for (const source of sources) log.checkSource(source);
    for (const path of mustExist) if (!isThere(path)) log.problem(path, "E_MISSING", "does not exist, and safety.mustExist says it must");
  }

  #take(item: WalkItem): void {
    const { log } = this.#parts;
    switch (item.kind) {
      case "entry":
        if (!this.#keepsAsItIs(item.path, item.stat)) this.#entry(item.path, item.stat, item.target);
        return;
      case "problem":
        return log.problem(item.path, item.code, item.message);
      case "skipped-mount":
        return log.skippedMount(item);
      case "vanished":
        return log.vanished();
      case "socket":
        return log.socket();
      case "note":
        return log.note(item.path, item.message);
    }
  }

  /** Keeps the line of the common case, a file with one name or a directory that did not change, without parsing it. */
  #keepsAsItIs(path: string, stat: Stat): boolean {
    const { previous, previousStartSeconds, book, log } = this.#parts;
    const { type, nlink, size } = stat;
    const raw = previous?.raw ?? null;
    if (previous === null || raw === null || !isSettled(stat.ctime, previousStartSeconds)) return false;
    if (type !== "dir" && (type !== "file" || nlink !== 1)) return false;
    const { mode, uid, gid, mtime, ctime, ino } = stat;
    const volume = keptContent(raw, encodeHead(path, { type, mode, uid, gid, mtime, ctime, ino }, this.#lines.names(stat)), encodeTail(type, size));
    if (volume === undefined || (volume !== null && !book.isReusable(volume))) return false;
    log.keptEntry(path, stat);
    this.#queue.push({ kind: "stored", line: { stored: previous.place, path, volumes: volume } });
    previous.skip();
    return true;
  }

  #passOver(previous: PreviousCatalog): void {
    this.#parts.log.sawPrevious(previous.path);
    previous.skip();
  }

  /** The previous entry of this path, with the cursor standing at it. */
  #match(path: string): Entry | null {
    const { previous } = this.#parts;
    while (previous !== null && previous.raw !== null) {
      const order = comparePaths(previous.path, path);
      if (order === 0) return previous.entry;
      if (order > 0) return null;
      this.#passOver(previous);
    }
    return null;
  }

  #entry(path: string, stat: Stat, target: string | undefined): void {
    const { log, previous } = this.#parts;
    const fault = keepingFault(path, stat);
    if (fault !== undefined) return log.problem(path, "E_FORMAT", fault);
    const match = this.#match(path);
    if (match !== null) log.sawPrevious(path);
    log.entry(path, stat);
    const first = stat.type !== "dir" && stat.nlink > 1 ? this.#firstName(path, stat) : undefined;
    if (match !== null && previous !== null && this.#keepsLine(match, stat, target, first?.path)) {
      if (stat.type === "file") log.unchanged();
      this.#keep(match, stat, previous);
      return;
    }
    if (first !== undefined) this.#link(path, stat, `${stat.dev}:${stat.ino}`);
    else if (stat.type === "file") return this.#file(path, stat, match);
    else this.#queue.push({ kind: "line", line: this.#lines.plain(path, stat, target) });
    if (match !== null) previous?.skip();
  }

  /** The name under which this inode was met before, if any; else this one becomes it. */
  #firstName(path: string, stat: Stat): { path: string } | undefined {
    const key = `${stat.dev}:${stat.ino}`;
    const known = this.#firstNames.get(key);
    if (known === undefined) this.#firstNames.set(key, { path, file: null });
    return known;
  }

  #keepsLine(before: Entry, stat: Stat, target: string | undefined, first: string | undefined): boolean {
    if (!isUnchanged(before, stat, this.#parts.previousStartSeconds)) return false;
    if (before.hardlink !== first || before.target !== (first === undefined ? target : undefined)) return false;
    // The first name is being read again: whether it is kept, and as which inode, is not known yet.
    if (first !== undefined && this.#firstNames.get(`${stat.dev}:${stat.ino}`)?.file !== null) return false;
    return before.extents === undefined || this.#areReusable(volumesOf(before.extents));
  }

  #areReusable(volumes: Iterable<string>): boolean {
    for (const volume of volumes) if (!this.#parts.book.isReusable(volume)) return false;
    return true;
  }

  /** Takes over the lines of an unchanged entry; a file in chunks is read after all when one of its volumes is gone. */
  #keep(match: Entry, stat: Stat, previous: PreviousCatalog): void {
    const { path } = match;
    const volumes = new Set(volumesOf(match.extents ?? []));
    const lines: StoredLine[] = [{ stored: previous.place, path, volumes }];
    const spans = new Map<number, string>();
    const { span = 0 } = match.chunking ?? {};
    let covered = 0;
    for (const { place, raw, at } of previous.takeContinuations()) {
      const named = volumesNamed(raw);
      for (const volume of named) volumes.add(volume);
      spans.set(at, raw);
      lines.push({ stored: place, path, at, volumes: named });
      if (at === covered) covered += span;
    }
    // A damaged segment of the cache may have taken lines with it: what is not covered would come back as a hole.
    const isWhole = match.chunking === undefined || covered >= match.size;
    if (isWhole && this.#areReusable(volumes)) {
      for (const line of lines) this.#queue.push({ kind: "stored", line });
      return;
    }
    const file = this.#pending(path, stat, false);
    this.#queue.push({ kind: "file", file });
    if (stat.nlink > 1) this.#firstNames.set(`${stat.dev}:${stat.ino}`, { path, file });
    this.#underWay.spans(file, stat, { entry: match, spans: this.#reusable(spans) });
  }

  /** The continuation lines whose content may be named again, in part where some of their volumes are gone. */
  #reusable(spans: ReadonlyMap<number, string>): Map<number, string> {
    return new Map([...spans].map(([at, raw]) => [at, reusableSpan(raw, (volume) => this.#parts.book.isReusable(volume))]));
  }

  #link(path: string, stat: Stat, key: string): void {
    const settle = (): CatalogLineText | PendingFile => {
      const first = this.#firstNames.get(key);
      if (first !== undefined && (first.file === null || first.file.isKeptAs(key))) return this.#lines.hardLink(path, stat, first.path);
      const file = this.#pending(path, stat, true);
      this.#firstNames.set(key, { path, file });
      this.#underWay.beginNow(file, stat);
      return file;
    };
    this.#queue.push({ kind: "link", settle });
  }

  /** A file to read; the cursor passes over what is known of it, where anything is. */
  #file(path: string, stat: Stat, match: Entry | null): void {
    const { previous } = this.#parts;
    const file = this.#pending(path, stat, match === null);
    this.#queue.push({ kind: "file", file });
    if (stat.nlink > 1) this.#firstNames.set(`${stat.dev}:${stat.ino}`, { path, file });
    const spans = new Map<number, string>();
    if (match !== null && previous !== null) for (const { raw, at } of previous.takeContinuations()) spans.set(at, raw);
    this.#underWay.begin(file, stat, { entry: match ?? undefined, spans: this.#reusable(spans) });
  }

  #pending(path: string, stat: Stat, isNew: boolean): PendingFile {
    this.#parts.log.fileToRead(isNew);
    return new PendingFile(path, stat, this.#lines.names(stat), isNew);
  }

  #write({ text, path, at }: CatalogLineText): void {
    if (this.#parts.dispatch === null) return;
    this.#parts.segments.add(text, path, at);
  }

  #repeat({ stored, path, at, volumes }: StoredLine): void {
    if (this.#parts.dispatch === null) return;
    if (typeof volumes === "string") this.#volumes.add(volumes);
    else if (volumes !== null) this.#needVolumes(volumes);
    this.#parts.segments.addStored(stored, path, at);
  }

  #needVolumes(ids: Iterable<string>): void {
    for (const id of ids) this.#volumes.add(id);
  }
}
