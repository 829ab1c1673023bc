/** Reads one span of a large file for a packer: holes left out, the rest cut into chunks. */
import { closeSync } from "node:fs";
import { cutPoints, maxChunkBytes } from "../../codec/chunker.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { dataRegions, openForReading, readFully, readXattrs } from "../../disk/read-file.ts";
import { fstatText } from "../../disk/stat.ts";
import { MIB } from "../../units.ts";
import { ExtentList } from "./extents.ts";
import type { Piece } from "./frame-builder.ts";
import type { SpanTask } from "./messages.ts";
import type { Candidate, Packer, Placed } from "./packer.ts";
import { failedResult } from "./read-files.ts";

/** Read at a time; a chunk cut short by the end of a part goes on in the next. */
const PART_BYTES = 16 * MIB;
const part = Buffer.allocUnsafeSlow(PART_BYTES);

type Item = { zero: number } | { piece: Piece };
type SpanRead = { items: Item[]; pieces: Piece[]; bytesRead: number; bytesPacked: number; endsAt?: number };

/** Data regions within `[at, at + length)`, in order. */
function regionsOf(fd: number, task: SpanTask): { offset: number; length: number }[] {
  if (!task.sparse) return [{ offset: task.at, length: task.length }];
  return dataRegions(fd, task.at + task.length, task.at);
}

/** Chunks one region part by part and places the chunks. Returns the bytes read. */
async function packRegion(fd: number, region: { offset: number; length: number }, task: SpanTask, span: SpanRead, packer: Packer): Promise<number> {
  const known = new Map(task.previous.map((chunk) => [chunk.sha256, chunk]));
  let at = region.offset;
  const end = region.offset + region.length;
  while (at < end) {
    const wanted = Math.min(PART_BYTES, end - at);
    const got = readFully(fd, part, 0, wanted, at);
    const isLast = got < wanted || at + got === end;
    const cuts = cutPoints(part, 0, got, task.average);
    if (!isLast && cuts.length > 1 && got > 2 * maxChunkBytes(task.average)) cuts.pop();
    for (const { piece, bytesPacked } of await placed(packer, candidates(cuts, known))) {
      span.bytesPacked += bytesPacked;
      span.pieces.push(piece);
      span.items.push({ piece });
    }
    at += cuts.at(-1) ?? 0;
    if (got < wanted) break;
  }
  span.bytesRead += at - region.offset;
  return at - region.offset;
}

/** A fault of the packer itself, a full spool among them: not of the file that is read. */
class PackingFault extends Error {}

async function placed(packer: Packer, wanted: Candidate[]): Promise<Placed[]> {
  try {
    return await packer.place(wanted);
  } catch (cause) {
    throw new PackingFault("packing failed", { cause });
  }
}

function candidates(cuts: readonly number[], known: ReadonlyMap<string, SpanTask["previous"][number]>): Candidate[] {
  let start = 0;
  return cuts.map((end) => {
    const bytes = part.subarray(start, end);
    start = end;
    const sha256 = sha256Hex(bytes);
    return { sha256, bytes, previous: known.get(sha256), pack: (frame) => frame.addChunk(bytes, sha256) };
  });
}

async function packSpan(fd: number, task: SpanTask, packer: Packer): Promise<SpanRead> {
  const span: SpanRead = { items: [], pieces: [], bytesRead: 0, bytesPacked: 0 };
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

function extentsOf(items: readonly Item[]): ExtentList["extents"] {
  const list = new ExtentList();
  for (const item of items) {
    if ("zero" in item) list.addZero(item.zero);
    else if (item.piece.frame !== null) list.addChunk({ ...item.piece, frame: item.piece.frame });
  }
  return list.extents;
}

/** Reads, places and delivers one span. */
export async function readSpan(task: SpanTask, packer: Packer): Promise<void> {
  try {
    const { fd } = openForReading(task.path, task.stat);
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
        extents: extentsOf(span.items),
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
