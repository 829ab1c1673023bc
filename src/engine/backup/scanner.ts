/**
 * The walk beside the previous catalog, in a worker: what is unchanged keeps its line, the rest becomes tasks for packers, and
 * the new catalog grows in path order as their results come in.
 */
import type { Owners } from "../../disk/owners.ts";
import { readLink } from "../../disk/long-path.ts";
import { lstatText, type Stat } from "../../disk/stat.ts";
import type { WalkItem } from "../../disk/walk.ts";
import type { Entry } from "../../format/entry.ts";
import { comparePaths } from "../../format/path-order.ts";
import { isUnchanged } from "../../policy/change.ts";
import { CHUNKING_THRESHOLD_BYTES, chunkAverage, spanBytes } from "../../policy/sizing.ts";
import type { ContentBook } from "./content-book.ts";
import { EntryLines, keepingFault } from "./entry-lines.ts";
import { extentsLength, runChunks, volumesOf } from "./extents.ts";
import { LineQueue } from "./line-queue.ts";
import type { KnownChunk, PackResult } from "./messages.ts";
import { PendingFile, type CatalogLineText, type FileResult, type SpanResult } from "./pending-file.ts";
import type { PreviousCatalog, StoredLine } from "./previous-catalog.ts";
import type { ScanLog } from "./scan-log.ts";
import type { SegmentWriter } from "./segment-writer.ts";
import type { TaskDispatch } from "./task-dispatch.ts";

const QUEUE_BYTES_MAX = 48 * 1024 * 1024;
/** A file that keeps changing is read this often, then kept as it was read last. */
const ATTEMPTS_MAX = 2;

export type ScannerParts = {
  items: Iterator<WalkItem>;
  previous: PreviousCatalog | null;
  previousStartSeconds: number;
  sources: readonly string[];
  owners: Owners;
  book: ContentBook;
  dispatch: TaskDispatch | null;
  segments: SegmentWriter;
  log: ScanLog;
};

export class Scanner {
  readonly #parts: ScannerParts;
  readonly #lines: EntryLines;
  readonly #queue = new LineQueue();
  readonly #files = new Map<number, PendingFile>();
  readonly #chunking = new Map<number, { average: number; span: number; previous: Map<number, KnownChunk[]> }>();
  /** First names of files that have several, by device and inode; null once it is known to be kept. */
  readonly #firstNames = new Map<string, { path: string; file: PendingFile | null }>();
  readonly #volumes = new Set<string>();
  #nextNumber = 0;
  #walkEnded = false;
  #isStopped = false;

  constructor(parts: ScannerParts) {
    this.#parts = parts;
    this.#lines = new EntryLines(parts.owners, parts.log);
  }

  get volumes(): ReadonlySet<string> {
    return this.#volumes;
  }

  get walkEnded(): boolean {
    return this.#walkEnded;
  }

  /** Every entry has its lines. */
  get isComplete(): boolean {
    return this.#walkEnded && this.#queue.isEmpty;
  }

  /** Whether the walk has to wait for packers. */
  get mustWait(): boolean {
    return this.#parts.dispatch?.isFull === true || this.#queue.waitingBytes > QUEUE_BYTES_MAX;
  }

  /** Walks on until `deadlineMs` (of performance.now), the end, or until packers have to catch up. */
  step(deadlineMs: number): void {
    for (let i = 0; !this.#walkEnded && !this.mustWait; i++) {
      if (i % 64 === 63 && performance.now() > deadlineMs) break;
      const next = this.#parts.items.next();
      if (next.done === true) this.#endWalk();
      else this.#take(next.value);
    }
    this.#drain();
  }

  /** Ends the walk where it is; files not handed to a packer are left out. */
  stop(): void {
    this.#walkEnded = true;
    this.#isStopped = true;
    for (const { number } of this.#parts.dispatch?.abandon() ?? []) {
      const file = this.#files.get(number);
      if (file !== undefined && !file.isDone) this.#drop(file);
    }
    this.#drain();
  }

  #drop(file: PendingFile): void {
    file.drop();
    this.#parts.log.dropped(file.walkedBytes, file.isNew);
  }

  take(results: readonly PackResult[]): void {
    for (const result of results) this.#takeResult(result);
    this.#drain();
  }

  #endWalk(): void {
    this.#walkEnded = true;
    while (this.#parts.previous?.entry) this.#passOver(this.#parts.previous);
    this.#parts.dispatch?.closeBatch();
    for (const source of this.#parts.sources) this.#parts.log.checkSource(source);
  }

  #take(item: WalkItem): void {
    const { log } = this.#parts;
    switch (item.kind) {
      case "entry":
        return this.#entry(item.path, item.stat, item.target);
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

  #passOver(previous: PreviousCatalog): void {
    if (previous.entry) this.#parts.log.sawPrevious(previous.entry.line.path);
    previous.skip();
  }

  /** The previous entry of this path, with the cursor standing at it. */
  #match(path: string): StoredLine<Entry> | null {
    const { previous } = this.#parts;
    while (previous?.entry) {
      const order = comparePaths(previous.entry.line.path, path);
      if (order === 0) return previous.entry;
      if (order > 0) return null;
      this.#passOver(previous);
    }
    return null;
  }

  #entry(path: string, stat: Stat, target: string | undefined): void {
    const { log } = this.#parts;
    const fault = keepingFault(path, stat);
    if (fault !== undefined) return log.problem(path, "E_FORMAT", fault);
    const match = this.#match(path);
    if (match !== null) log.sawPrevious(path);
    log.entry(path, stat);
    const first = stat.type !== "dir" && stat.nlink > 1 ? this.#firstName(path, stat) : undefined;
    if (match !== null && this.#keepsLine(match.line, stat, target, first?.path)) {
      if (stat.type === "file") log.unchanged();
      this.#keep(match, stat);
      return;
    }
    if (first !== undefined) this.#link(path, stat, `${stat.dev}:${stat.ino}`);
    else if (stat.type === "file") this.#file(path, stat, match?.line);
    else this.#queue.push({ kind: "line", line: this.#lines.plain(path, stat, target), volumes: null });
    if (match !== null && this.#parts.previous?.entry === match) this.#parts.previous.skip();
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
  #keep(match: StoredLine<Entry>, stat: Stat): void {
    const { previous } = this.#parts;
    const { path } = match.line;
    const volumes = new Set(volumesOf(match.line.extents ?? []));
    const lines: CatalogLineText[] = [{ text: match.raw, path }];
    const chunks = new Map<number, KnownChunk[]>();
    let covered = 0;
    for (const { raw, line } of previous?.takeContinuations() ?? []) {
      for (const volume of volumesOf(line.extents)) volumes.add(volume);
      chunks.set(line.at, this.#knownChunks(line.extents));
      lines.push({ text: raw, path, at: line.at });
      if (line.at === covered) covered += extentsLength(line.extents);
    }
    // A damaged segment of the cache may have taken lines with it: what is not covered would come back as a hole.
    const isWhole = match.line.chunking === undefined || covered === match.line.size;
    if (!isWhole || !this.#areReusable(volumes)) {
      const file = this.#pending(path, stat, false);
      if (stat.nlink > 1) this.#firstNames.set(`${stat.dev}:${stat.ino}`, { path, file });
      this.#spans(file, stat, match.line, chunks);
      return;
    }
    for (const line of lines) this.#queue.push({ kind: "line", line, volumes });
  }

  #knownChunks(extents: NonNullable<Entry["extents"]>): KnownChunk[] {
    return extents.flatMap((extent) => ("chunks" in extent && this.#parts.book.isReusable(extent.volume) ? runChunks(extent) : []));
  }

  #link(path: string, stat: Stat, key: string): void {
    const settle = (): CatalogLineText | PendingFile => {
      const first = this.#firstNames.get(key);
      if (first !== undefined && (first.file === null || first.file.isKeptAs(key))) return this.#lines.hardLink(path, stat, first.path);
      const file = this.#pending(path, stat, true, false);
      this.#firstNames.set(key, { path, file });
      if (this.#isStopped) this.#drop(file);
      else this.#beginNow(file, stat);
      return file;
    };
    this.#queue.push({ kind: "link", settle });
  }

  #file(path: string, stat: Stat, before: Entry | undefined): void {
    const file = this.#pending(path, stat, before === undefined);
    if (stat.nlink > 1) this.#firstNames.set(`${stat.dev}:${stat.ino}`, { path, file });
    this.#begin(file, stat, before);
  }

  #pending(path: string, stat: Stat, isNew: boolean, queued = true): PendingFile {
    const file = new PendingFile(path, stat, this.#lines.names(stat), isNew);
    if (queued) this.#queue.push({ kind: "file", file });
    this.#parts.log.fileToRead(isNew);
    return file;
  }

  #begin(file: PendingFile, stat: Stat, before: Entry | undefined): void {
    if (this.#parts.dispatch === null) {
      file.drop();
      return;
    }
    this.#parts.book.load();
    const isSparse = stat.blocks * 512 < stat.size;
    if (stat.size >= CHUNKING_THRESHOLD_BYTES || (isSparse && stat.size > 0)) {
      const chunks = new Map<number, KnownChunk[]>();
      if (before?.chunking !== undefined && this.#parts.previous?.entry?.line === before) {
        for (const { line } of this.#parts.previous.takeContinuations()) chunks.set(line.at, this.#knownChunks(line.extents));
      }
      this.#spans(file, stat, before, chunks);
      return;
    }
    const number = this.#nextNumber++;
    this.#files.set(number, file);
    file.stat = stat;
    file.attempts++;
    this.#parts.dispatch.add({ kind: "file", number, path: file.path, stat, ...file.names, previous: this.#knownPiece(before) });
  }

  /** Begins a file whose turn in the walk is over: no more tasks may come that would fill its batch. */
  #beginNow(file: PendingFile, stat: Stat): void {
    this.#begin(file, stat, undefined);
    this.#parts.dispatch?.closeBatch();
  }

  #knownPiece(before: Entry | undefined): KnownChunk | undefined {
    const extent = before?.extents?.[0];
    if (before?.sha256 === undefined || extent === undefined || !("length" in extent)) return undefined;
    return this.#parts.book.isReusable(extent.volume) ? { sha256: before.sha256, ...extent } : undefined;
  }

  #spans(file: PendingFile, stat: Stat, before: Entry | undefined, previous: Map<number, KnownChunk[]>): void {
    if (this.#parts.dispatch === null) {
      file.drop();
      return;
    }
    this.#parts.book.load();
    const average = chunkAverage(stat.size, before?.chunking?.average);
    const number = this.#nextNumber++;
    this.#files.set(number, file);
    this.#chunking.set(number, { average, span: spanBytes(average), previous });
    this.#sendSpans(number, file, stat);
  }

  #sendSpans(number: number, file: PendingFile, stat: Stat): void {
    const plan = this.#chunking.get(number);
    if (plan === undefined) return;
    file.expectSpans(stat, Math.ceil(stat.size / plan.span));
    const sparse = stat.blocks * 512 < stat.size;
    for (let at = 0; at < stat.size; at += plan.span) {
      const length = Math.min(plan.span, stat.size - at);
      const previous = plan.previous.get(at) ?? [];
      this.#parts.dispatch?.add({ kind: "span", number, path: file.path, stat, at, length, average: plan.average, sparse, previous });
    }
    this.#parts.dispatch?.closeBatch();
  }

  #takeResult(result: PackResult): void {
    // What was packed is stored, whatever becomes of the file.
    if (result.kind === "span") this.#noteChunks(result);
    const file = this.#files.get(result.number);
    if (file === undefined || file.isDone) return;
    switch (result.kind) {
      case "file":
        return this.#whole(file, result);
      case "span":
        return this.#span(file, result);
      case "grown":
        this.#files.delete(result.number);
        return this.#spans(file, result.stat, undefined, new Map());
      case "failed":
        return this.#failed(file, result);
    }
  }

  #whole(file: PendingFile, result: FileResult): void {
    this.#files.delete(result.number);
    const entry = file.completeWhole(result);
    if (result.bytesPacked > 0 && entry.sha256 !== undefined && result.extent !== undefined && "length" in result.extent) {
      const { volume, frame, offset, length } = result.extent;
      this.#parts.book.note(entry.sha256, { volume, frame, offset, length });
    }
    this.#done(file, entry, result);
  }

  #noteChunks(result: SpanResult): void {
    for (const extent of result.extents) {
      if ("chunks" in extent) for (const { sha256, ...place } of runChunks(extent)) this.#parts.book.note(sha256, place);
    }
  }

  #span(file: PendingFile, result: SpanResult): void {
    this.#parts.log.read(result.bytesRead, result.bytesPacked);
    if (!file.addSpan(result)) return;
    if (file.hasMoved && file.attempts < ATTEMPTS_MAX && !this.#isStopped) return this.#spansAgain(file, result);
    const plan = this.#chunking.get(result.number);
    this.#chunking.delete(result.number);
    this.#files.delete(result.number);
    if (plan === undefined) return;
    const entry = file.completeSpans(plan.average, plan.span);
    this.#done(file, entry, { ...result, bytesRead: 0, bytesPacked: 0 });
  }

  /** A file that changed is read once more: in one piece, should it be small by now. */
  #spansAgain(file: PendingFile, { number, stat }: SpanResult): void {
    if (stat.size >= CHUNKING_THRESHOLD_BYTES) return this.#sendSpans(number, file, stat);
    this.#files.delete(number);
    this.#chunking.delete(number);
    this.#beginNow(file, stat);
  }

  #done(file: PendingFile, entry: Entry, result: { bytesRead: number; bytesPacked: number; lost?: string | undefined }): void {
    const { log } = this.#parts;
    log.read(result.bytesRead, result.bytesPacked);
    log.resized(entry.size - file.walkedBytes);
    if (entry.changed) log.changedWhileRead(file.path);
    if (result.lost !== undefined) log.notKept(file.path, result.lost);
  }

  #failed(file: PendingFile, result: Extract<PackResult, { kind: "failed" }>): void {
    this.#files.delete(result.number);
    this.#chunking.delete(result.number);
    if (result.race === "swapped") return this.#swapped(file, result);
    this.#drop(file);
    if (result.race === "vanished") return this.#parts.log.vanished();
    this.#parts.log.problem(file.path, result.code, result.message);
  }

  /** Something else has come to lie at the path since the walk, as editors and log rotation do: takes that. */
  #swapped(file: PendingFile, result: Extract<PackResult, { kind: "failed" }>): void {
    const { log } = this.#parts;
    const stat = lstatText(file.path);
    if (stat?.type === "file" && file.attempts <= ATTEMPTS_MAX) return this.#beginNow(file, stat);
    this.#drop(file);
    if (stat === null || stat.type === "dir") return log.vanished();
    if (stat.type === "socket") return log.socket();
    if (stat.type === "file") return log.problem(file.path, result.code, result.message);
    const target = stat.type === "symlink" ? readLink(file.path) : undefined;
    file.lines = [this.#lines.plain(file.path, stat, target)];
    log.entry(file.path, stat);
  }

  #drain(): void {
    if (this.#parts.dispatch === null) return this.#queue.drain(() => undefined);
    this.#queue.drain((line, volumes) => {
      if (volumes !== null) for (const volume of volumes) this.#volumes.add(volume);
      this.#parts.segments.add(line.text, line.path, line.at);
      this.#parts.log.lineWritten(line.at === undefined);
    });
  }
}
