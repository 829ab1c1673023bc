/** Files handed to packers: what is asked for, what has come back, and what becomes of a file that changes meanwhile. */
import { readLink } from "../../disk/long-path.ts";
import { lstatText, type Stat } from "../../disk/stat.ts";
import type { Entry } from "../../format/entry.ts";
import { CHUNKING_THRESHOLD_BYTES, chunkAverage, spanBytes } from "../../policy/sizing.ts";
import type { ContentBook } from "./content-book.ts";
import type { EntryLines } from "./entry-lines.ts";
import type { KnownChunk, PackResult, SpanTask } from "./messages.ts";
import type { FileResult, PendingFile, SpanResult } from "./pending-file.ts";
import type { ScanLog } from "./scan-log.ts";
import type { TaskDispatch } from "./task-dispatch.ts";

/** A file that keeps changing is read this often, then kept as it was read last. */
const ATTEMPTS_MAX = 2;

/** What packers say of files. */
export type FilePackResult = Exclude<PackResult, { kind: "bytes" }>;

/** What is known of a file's content from the archive before: its entry, and its continuation lines by place in the file. */
export type Before = { entry: Entry | undefined; spans: Map<number, string> };

type SpanPlan = { average: number; span: number; previous: Map<number, string> };

/** The tasks of a large file, made as packers come to them: a very large one has many thousands. */
function* spanTasks(number: number, path: string, { size, blocks, ino, dev }: Stat, { average, span, previous }: SpanPlan): Generator<SpanTask> {
  const sparse = blocks * 512 < size;
  for (let at = 0; at < size; at += span) {
    yield { kind: "span", number, path, ino, dev, at, length: Math.min(span, size - at), average, sparse, previous: previous.get(at) };
  }
}

const NOTHING_BEFORE: Before = { entry: undefined, spans: new Map() };

export type UnderWayParts = { book: ContentBook; dispatch: TaskDispatch | null; log: ScanLog; lines: EntryLines };

export class FilesUnderWay {
  readonly #parts: UnderWayParts;
  readonly #files = new Map<number, PendingFile>();
  readonly #chunking = new Map<number, SpanPlan>();
  #nextNumber = 0;
  #isStopped = false;

  constructor(parts: UnderWayParts) {
    this.#parts = parts;
  }

  /** Leaves out what was not handed to a packer yet, and all that is begun from now on. */
  stop(): void {
    this.#isStopped = true;
    for (const number of this.#parts.dispatch?.abandon() ?? []) {
      const file = this.#files.get(number);
      if (file !== undefined && !file.isDone) this.#drop(file);
    }
  }

  /** A dry run goes by what the walk shows. */
  #leaveUnread(file: PendingFile): void {
    file.drop();
    if (!file.isNew) this.#parts.log.rewritten();
  }

  #drop(file: PendingFile): void {
    file.drop();
    this.#parts.log.dropped(file.walkedBytes, file.isNew);
  }

  /** Has a file read that the walk has come to. */
  begin(file: PendingFile, stat: Stat, before: Before): void {
    const { dispatch, book } = this.#parts;
    if (dispatch === null) return this.#leaveUnread(file);
    book.load();
    const isSparse = stat.blocks * 512 < stat.size;
    if (stat.size >= CHUNKING_THRESHOLD_BYTES || (isSparse && stat.size > 0)) return this.spans(file, stat, before);
    const number = this.#nextNumber++;
    this.#files.set(number, file);
    file.stat = stat;
    file.attempts++;
    const { ino, dev, size } = stat;
    dispatch.add({ kind: "file", number, path: file.path, ino, dev, size, ...file.names, previous: this.#knownPiece(before.entry) });
  }

  /** Begins a file whose turn in the walk is over: no more tasks may come that would fill its batch. */
  beginNow(file: PendingFile, stat: Stat): void {
    if (this.#isStopped) return this.#drop(file);
    this.begin(file, stat, NOTHING_BEFORE);
    this.#parts.dispatch?.closeBatch();
  }

  #knownPiece(before: Entry | undefined): KnownChunk | undefined {
    const extent = before?.extents?.[0];
    if (before?.sha256 === undefined || extent === undefined || !("length" in extent)) return undefined;
    return this.#parts.book.isReusable(extent.volume) ? { sha256: before.sha256, ...extent } : undefined;
  }

  /** Has a file read in spans. */
  spans(file: PendingFile, stat: Stat, { entry, spans: previous }: Before): void {
    if (this.#parts.dispatch === null) return this.#leaveUnread(file);
    this.#parts.book.load();
    const average = chunkAverage(stat.size, entry?.chunking?.average);
    const number = this.#nextNumber++;
    this.#files.set(number, file);
    this.#chunking.set(number, { average, span: spanBytes(average), previous });
    this.#sendSpans(number, file, stat);
  }

  #sendSpans(number: number, file: PendingFile, stat: Stat): void {
    const plan = this.#chunking.get(number);
    if (plan === undefined) return;
    const count = Math.ceil(stat.size / plan.span);
    file.expectSpans(stat, count);
    this.#parts.dispatch?.feed(number, spanTasks(number, file.path, stat, plan), count);
  }

  /** Takes what a packer has to say of a task. */
  take(result: FilePackResult): void {
    const file = this.#files.get(result.number);
    if (file === undefined || file.isDone) return;
    switch (result.kind) {
      case "file":
        return this.#whole(file, result);
      case "span":
        return this.#span(file, result);
      case "grown":
        this.#files.delete(result.number);
        return this.spans(file, result.stat, NOTHING_BEFORE);
      case "failed":
        return this.#failed(file, result);
    }
  }

  #whole(file: PendingFile, result: FileResult): void {
    this.#files.delete(result.number);
    file.packedBytes += result.bytesPacked;
    file.completeWhole(result);
    this.#done(file, { ...result, bytesRead: result.size });
  }

  #span(file: PendingFile, result: SpanResult): void {
    this.#parts.log.read(result.bytesRead, result.bytesPacked);
    file.packedBytes += result.bytesPacked;
    if (!file.addSpan(result)) return;
    if (file.hasMoved && file.attempts < ATTEMPTS_MAX && !this.#isStopped) return this.#spansAgain(file, result);
    const plan = this.#chunking.get(result.number);
    this.#chunking.delete(result.number);
    this.#files.delete(result.number);
    if (plan === undefined) return;
    const { size, changed } = file.completeSpans(plan.average, plan.span);
    this.#done(file, { size, changed: changed === true, bytesRead: 0, bytesPacked: 0, lost: result.lost });
  }

  /** A file that changed is read once more: in one piece, should it be small by now. */
  #spansAgain(file: PendingFile, { number, stat }: SpanResult): void {
    if (stat.size >= CHUNKING_THRESHOLD_BYTES) return this.#sendSpans(number, file, stat);
    this.#files.delete(number);
    this.#chunking.delete(number);
    this.beginNow(file, stat);
  }

  #done(file: PendingFile, done: { size: number; changed: boolean; bytesRead: number; bytesPacked: number; lost?: string | undefined }): void {
    const { log } = this.#parts;
    log.read(done.bytesRead, done.bytesPacked);
    log.resized(done.size - file.walkedBytes);
    if (!file.isNew && file.packedBytes > 0) log.rewritten();
    if (done.changed) log.changedWhileRead(file.path);
    if (done.lost !== undefined) log.notKept(file.path, done.lost);
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
    if (stat?.type === "file" && file.attempts <= ATTEMPTS_MAX) return this.beginNow(file, stat);
    this.#drop(file);
    if (stat === null || stat.type === "dir") return log.vanished();
    if (stat.type === "socket") return log.socket();
    if (stat.type === "file") return log.problem(file.path, result.code, result.message);
    const target = stat.type === "symlink" ? readLink(file.path) : undefined;
    file.lines = [this.#parts.lines.plain(file.path, stat, target)];
    log.entry(file.path, stat);
  }
}
