/** Reads one span of a large file for a packer: holes left out, the rest cut into chunks. */
import { closeSync } from "node:fs";
import { maxChunkBytes } from "../../codec/chunker.ts";
import { dataRegions, openForReading, readXattrs, type Region } from "../../disk/read-file.ts";
import { readQuietly } from "../../disk/read-quietly.ts";
import { fstatText } from "../../disk/stat.ts";
import { encodeExtents, type Extent } from "../../format/entry.ts";
import { MIB } from "../../units.ts";
import { ExtentList, extentsLength, volumesOf } from "./extents.ts";
import type { Piece } from "./frame-builder.ts";
import { KnownSpan } from "./known-span.ts";
import type { BytesTask, SpanTask } from "./messages.ts";
import type { Candidate, Packer } from "./packer.ts";
import { failedResult } from "./read-files.ts";
import { readRoom } from "./read-room.ts";
import { chunksOf } from "./span-chunks.ts";

/** Read at a time where no chunk is longer than a quarter of it; what is not written to of the room takes no memory. */
const PART_BYTES = 4 * MIB;

type Item = { zero: number } | { piece: Piece };
type SpanRead = { known: KnownSpan; items: Item[]; pieces: Piece[]; bytesRead: number; bytesPacked: number; endsAt?: number };

/** Data regions within `[at, at + length)`, in order. */
function regionsOf(fd: number, task: SpanTask): Region[] {
  if (!task.sparse) return [{ offset: task.at, length: task.length }];
  return dataRegions(fd, task.at + task.length, task.at);
}

/** Chunks one region part by part and places the chunks. Returns the bytes read. */
async function packRegion(fd: number, region: Region, task: SpanTask, span: SpanRead, packer: Packer): Promise<number> {
  let at = region.offset;
  const end = region.offset + region.length;
  // A chunk cut short by the end of a part goes on in the next.
  const part = readRoom.subarray(0, Math.max(PART_BYTES, 4 * maxChunkBytes(task.average)));
  while (at < end) {
    const wanted = Math.min(part.length, end - at);
    const from = at;
    const got = packer.reading(() => readQuietly(fd, part.subarray(0, wanted), from));
    const isLast = got < wanted || at + got === end;
    const isOpen = !isLast && got > 2 * maxChunkBytes(task.average);
    const chunks = chunksOf(part.subarray(0, got), at, task.average, isOpen, span.known);
    at += await packing(() => packChunks(chunks, span, packer));
    if (got < wanted) break;
  }
  span.bytesRead += at - region.offset;
  return at - region.offset;
}

/** Places chunks, which follow what the span holds already; returns their bytes. */
async function packChunks(chunks: readonly Candidate[], span: SpanRead, packer: Packer): Promise<number> {
  let bytes = 0;
  for (const { piece, bytesPacked } of await packer.place(chunks)) {
    span.bytesPacked += bytesPacked;
    span.pieces.push(piece);
    span.items.push({ piece });
    bytes += piece.length;
  }
  return bytes;
}

/** A fault of the packer itself, a full spool among them: not of the file that is read. */
class PackingFault extends Error {}

async function packing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new PackingFault("packing failed", { cause });
  }
}

async function packSpan(fd: number, task: SpanTask, packer: Packer): Promise<SpanRead> {
  const span: SpanRead = { known: new KnownSpan(task.previous), items: [], pieces: [], bytesRead: 0, bytesPacked: 0 };
  let at = task.at;
  for (const region of regionsOf(fd, task)) {
    if (region.offset > at) span.items.push({ zero: region.offset - at });
    const got = await packRegion(fd, region, task, span, packer);
    at = region.offset + got;
    if (got < region.length) return { ...span, endsAt: at };
  }
  const end = task.at + task.length;
  if (at < end) span.items.push({ zero: end - at });
  return span;
}

function extentsOf(items: readonly Item[]): Extent[] {
  const list = new ExtentList();
  for (const item of items) {
    if ("zero" in item) list.addZero(item.zero);
    else if (item.piece.frame !== null) list.addChunk({ ...item.piece, frame: item.piece.frame });
  }
  return list.extents;
}

/** What the catalog says of a span once all of its pieces have a place. */
function textOf(span: SpanRead): { extents: string; length: number; volumes: string[] } {
  const extents = extentsOf(span.items);
  return { extents: encodeExtents(extents), length: extentsLength(extents), volumes: [...new Set(volumesOf(extents))] };
}

/** Reads, places and delivers one span. */
export async function readSpan(task: SpanTask, packer: Packer): Promise<void> {
  try {
    const { fd } = openForReading(task.path, task);
    try {
      const { xattrs, problem } = readXattrs(fd);
      const span = await packSpan(fd, task, packer);
      const stat = fstatText(fd);
      const endsAt = stat.size < task.at + task.length ? Math.min(stat.size, span.endsAt ?? stat.size) : span.endsAt;
      packer.deliver(span.pieces, () => ({
        kind: "span",
        number: task.number,
        at: task.at,
        stat,
        xattrs: task.at === 0 ? xattrs : undefined,
        ...textOf(span),
        bytesRead: span.bytesRead,
        bytesPacked: span.bytesPacked,
        endsAt,
        lost: problem,
      }));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof PackingFault) throw error.cause;
    const result = failedResult(task, error);
    packer.deliver([], () => result);
  }
}

/** Places and delivers one span of a dump. */
export async function packBytes({ number, at, length, average, buffer, previous }: BytesTask, packer: Packer): Promise<void> {
  const bytes = new Uint8Array(buffer, 0, length);
  const span: SpanRead = { known: new KnownSpan(previous), items: [], pieces: [], bytesRead: length, bytesPacked: 0 };
  await packChunks(chunksOf(bytes, at, average, false, span.known), span, packer);
  packer.deliver(span.pieces, () => ({ kind: "bytes", number, at, ...textOf(span), bytesPacked: span.bytesPacked }));
}
