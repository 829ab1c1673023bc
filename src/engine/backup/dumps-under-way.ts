/**
 * Dumps in the scan's thread: their spans on the way to packers and back, and their catalog lines, which grow beside those of the
 * walk, so that neither waits for the other.
 */
import { continuationLine, encodeEntry, type Entry, type EntryType } from "../../format/entry.ts";
import { OWN_DIRECTORY } from "../../format/own-directory.ts";
import { isWithin, parentPath } from "../../format/entry-path.ts";
import { comparePaths } from "../../format/path-order.ts";
import { chunkAverage, spanBytes } from "../../policy/sizing.ts";
import type { ContentBook } from "./content-book.ts";
import type { DumpToScan, PackResult } from "./messages.ts";
import type { CatalogLineText } from "./pending-file.ts";
import type { PreviousCatalog } from "./previous-catalog.ts";
import { reusableSpan } from "./reusable-span.ts";
import type { ScanLog } from "./scan-log.ts";
import type { TaskDispatch } from "./task-dispatch.ts";

type BytesResult = Extract<PackResult, { kind: "bytes" }>;

/** The chunks of all dumps are of one average: their length is not known before their end. */
export const DUMP_CHUNK_AVERAGE = chunkAverage(0);
export const DUMP_SPAN_BYTES = spanBytes(DUMP_CHUNK_AVERAGE);

const DUMP_MODE = 0o600;
const FOLDER_MODE = 0o700;

export type DumpParts = {
  book: ContentBook;
  dispatch: TaskDispatch;
  log: ScanLog;
  /** A cursor of its own; null where there is no archive before. */
  previous: PreviousCatalog | null;
  /** Takes the lines, in order. */
  write: (line: CatalogLineText) => void;
};

type PendingDump = {
  path: string;
  isNew: boolean;
  /** Continuation lines of the archive before, by place. */
  previous: Map<number, string>;
  spans: BytesResult[];
  missing: number;
  packedBytes: number;
  /** Null while it is under way. */
  end: { size: number; mtime: string } | "dropped" | null;
};

function lineOf(path: string, type: EntryType, mode: number, mtime: string, more: Partial<Entry> = {}): CatalogLineText {
  const entry: Entry = { path, type, mode, uid: 0, gid: 0, user: "root", group: "root", mtime, ctime: mtime, ino: "0", dev: "0", size: 0, ...more };
  return { text: encodeEntry(entry), path };
}

export class DumpsUnderWay {
  readonly volumes = new Set<string>();
  readonly #parts: DumpParts;
  readonly #dumps = new Map<number, PendingDump>();
  readonly #folders = new Set<string>(["/"]);
  #isOver = false;

  constructor(parts: DumpParts) {
    this.#parts = parts;
  }

  /** Whether every dump has its lines, and none follows. */
  get isDone(): boolean {
    return this.#isOver && this.#dumps.size === 0;
  }

  /** Takes what the main thread says. */
  take(message: DumpToScan): void {
    const { log, book } = this.#parts;
    switch (message.kind) {
      case "begin":
        book.load();
        this.#dumps.set(message.number, { path: message.path, ...this.#before(message.path), spans: [], missing: 0, packedBytes: 0, end: null });
        return;
      case "span":
        return this.#span(message);
      case "end":
        return this.#end(message.number, { size: message.size, mtime: message.mtime });
      case "drop":
        return this.#end(message.number, "dropped");
      case "problem":
        return log.problem(message.path, message.code, message.message);
      case "note":
        return log.note(message.path, message.message);
      case "done":
        this.#isOver = true;
    }
  }

  #span({ number, at, length, buffer }: Extract<DumpToScan, { kind: "span" }>): void {
    const dump = this.#dumps.get(number);
    if (dump === undefined) return;
    dump.missing++;
    this.#parts.dispatch.addUrgent({ kind: "bytes", number, at, length, average: DUMP_CHUNK_AVERAGE, buffer, previous: dump.previous.get(at) });
    dump.previous.delete(at);
  }

  #end(number: number, end: PendingDump["end"]): void {
    const dump = this.#dumps.get(number);
    if (dump === undefined) return;
    dump.end = end;
    this.#flush();
  }

  /** Takes what a packer has to say of a span. */
  packed(result: BytesResult): void {
    const dump = this.#dumps.get(result.number);
    this.#parts.log.read(result.length, result.bytesPacked);
    if (dump === undefined) return;
    dump.missing--;
    dump.packedBytes += result.bytesPacked;
    dump.spans.push(result);
    this.#flush();
  }

  /** Writes the lines of the dumps that are complete, in the order in which they were begun. */
  #flush(): void {
    for (const [number, dump] of this.#dumps) {
      if (dump.end === null || dump.missing > 0) return;
      this.#dumps.delete(number);
      if (dump.end !== "dropped") this.#write(dump, dump.end);
    }
  }

  #write({ path, isNew, spans, packedBytes }: PendingDump, { size, mtime }: { size: number; mtime: string }): void {
    const { log, write } = this.#parts;
    this.#writeFolders(parentPath(path), mtime);
    const chunking = { average: DUMP_CHUNK_AVERAGE, span: DUMP_SPAN_BYTES };
    write(lineOf(path, "file", DUMP_MODE, mtime, size === 0 ? {} : { size, chunking }));
    log.dump(path, size, isNew, packedBytes > 0);
    for (const { at, extents, volumes } of spans.toSorted((a, b) => a.at - b.at)) {
      write({ text: continuationLine(path, at, extents), path, at });
      for (const volume of volumes) this.volumes.add(volume);
    }
  }

  #writeFolders(path: string, mtime: string): void {
    if (this.#folders.has(path)) return;
    this.#writeFolders(parentPath(path), mtime);
    this.#folders.add(path);
    this.#parts.write(lineOf(path, "dir", FOLDER_MODE, mtime));
    this.#parts.log.folder(path);
  }

  /** What the archive before says of a dump. They come in path order, as its entries do. */
  #before(path: string): Pick<PendingDump, "isNew" | "previous"> {
    const { previous, book } = this.#parts;
    const spans = new Map<number, string>();
    while (previous !== null && previous.raw !== null) {
      const order = isWithin(previous.path, OWN_DIRECTORY) ? comparePaths(previous.path, path) : comparePaths(previous.path, OWN_DIRECTORY);
      if (order > 0) break;
      if (order < 0) {
        previous.skip();
        continue;
      }
      for (const { raw, at } of previous.takeContinuations()) spans.set(at, reusableSpan(raw, (volume) => book.isReusable(volume)));
      return { isNew: false, previous: spans };
    }
    return { isNew: true, previous: spans };
  }
}
