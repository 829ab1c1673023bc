/** From places of chunks to extents: neighbours in one frame become one run (format §8.4). */
import { extentLength, nextChunkOffset, type ChunkRun, type Extent, type FramePosition } from "../../format/entry.ts";
import type { KnownChunk } from "./messages.ts";

export type PlacedChunk = { sha256: string; volume: string; frame: FramePosition; offset: number; length: number };

/** Builds the extents of one span in order. */
export class ExtentList {
  readonly extents: Extent[] = [];
  #open: { run: { volume: string; frame: FramePosition; offset: number; chunks: [number, string][] }; nextOffset: number } | null = null;

  addChunk(chunk: PlacedChunk): void {
    const open = this.#open;
    const continues =
      open !== null &&
      open.run.volume === chunk.volume &&
      open.run.frame[0] === chunk.frame[0] &&
      open.nextOffset === chunk.offset;
    const nextOffset = nextChunkOffset(chunk.offset, chunk.length);
    if (continues) {
      open.run.chunks.push([chunk.length, chunk.sha256]);
      open.nextOffset = nextOffset;
      return;
    }
    const run = { volume: chunk.volume, frame: chunk.frame, offset: chunk.offset, chunks: [[chunk.length, chunk.sha256] as [number, string]] };
    this.extents.push(run);
    this.#open = { run, nextOffset };
  }

  addZero(length: number): void {
    if (length > 0) this.extents.push({ zero: length });
    this.#open = null;
  }
}

/** The chunks of a run, each with its own place. */
export function runChunks(run: ChunkRun): KnownChunk[] {
  let offset = run.offset;
  return run.chunks.map(([length, sha256]) => {
    const chunk = { sha256, volume: run.volume, frame: run.frame, offset, length };
    offset = nextChunkOffset(offset, length);
    return chunk;
  });
}

/** The extents of the first `length` bytes; a chunk that goes on behind them is left out. */
export function clipExtents(extents: readonly Extent[], length: number): Extent[] {
  const clipped: Extent[] = [];
  let left = length;
  for (const extent of extents) {
    if (left <= 0) break;
    if ("zero" in extent) clipped.push({ zero: Math.min(extent.zero, left) });
    else if ("chunks" in extent) clipped.push(...clipRun(extent, left));
    left -= extentLength(extent);
  }
  return clipped;
}

function clipRun(run: ChunkRun, length: number): ChunkRun[] {
  let end = 0;
  const chunks = run.chunks.filter(([bytes]) => (end += bytes) <= length);
  return chunks.length === 0 ? [] : [{ ...run, chunks }];
}

/** Names every volume of some extents. */
export function* volumesOf(extents: readonly Extent[]): Generator<string> {
  for (const extent of extents) if ("volume" in extent) yield extent.volume;
}

/** Bytes of content in some extents. */
export function extentsLength(extents: readonly Extent[]): number {
  return extents.reduce((sum, extent) => sum + extentLength(extent), 0);
}
