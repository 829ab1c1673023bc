/** The work on one volume: which frames are needed, which bytes of the object hold them, and which pieces lie where. */
import { chunkSpan, plaintextLength } from "../../codec/age-payload.ts";
import type { FramePosition } from "../../format/entry.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { KIB, MIB } from "../../units.ts";
import type { ByteRange } from "./messages.ts";

/** Bytes of a decompressed frame, and what to do with them once their digest is right. */
export type WantedPiece = { path: string; frame: FramePosition; offset: number; length: number; sha256: string; write(bytes: Buffer): void };

/** A frame and what is wanted of it. */
export type WantedFrame = { position: number; length: number; pieces: WantedPiece[] };

/** Neighbouring frames fetched together: their bytes in the decrypted stream, and where the ciphertext lies. */
export type FrameRange = { plainOffset: number; frames: WantedFrame[]; bytes: ByteRange; firstChunk: number; skip: number };

const GAP_BYTES = 256 * KIB;
/** Small enough that many are on their way at once in little memory, and large enough that requests cost nothing. */
export const RANGE_PLAIN_BYTES_MAX = 3 * MIB;

/** `impossible`: pieces in frames that lie outside the volume, whatever its writer meant. */
export type FetchPlan = { ranges: FrameRange[]; plainTotal: number; impossible: WantedPiece[] };

/** Groups the frames of `pieces` into ranges. Throws E_OBJECT for an object that cannot be an age file. */
export function planFetch(object: ListedObject, pieces: readonly WantedPiece[]): FetchPlan {
  const plainTotal = plaintextLength(object.sizeBytes - object.head.lengthBytes);
  const byFrame = new Map<string, WantedFrame>();
  const impossible: WantedPiece[] = [];
  for (const piece of pieces) {
    const [position, length] = piece.frame;
    const known = byFrame.get(`${position} ${length}`);
    if (known !== undefined) known.pieces.push(piece);
    else if (length < 1 || position + length > plainTotal) impossible.push(piece);
    else byFrame.set(`${position} ${length}`, { position, length, pieces: [piece] });
  }
  const frames = [...byFrame.values()].toSorted((a, b) => a.position - b.position);
  const groups: WantedFrame[][] = [];
  for (const frame of frames) {
    const group = groups.at(-1);
    if (group !== undefined && fits(group, frame)) group.push(frame);
    else groups.push([frame]);
  }
  return { ranges: groups.map((group) => rangeOf(group, object, plainTotal)), plainTotal, impossible };
}

function endOf(frames: readonly WantedFrame[]): number {
  return frames.reduce((end, { position, length }) => Math.max(end, position + length), 0);
}

function fits(group: readonly WantedFrame[], frame: WantedFrame): boolean {
  const start = group[0]?.position ?? 0;
  const end = endOf(group);
  return frame.position - end <= GAP_BYTES && Math.max(end, frame.position + frame.length) - start <= RANGE_PLAIN_BYTES_MAX;
}

/** One range for some frames, in order of position. */
export function rangeOf(frames: WantedFrame[], object: ListedObject, plainTotal: number): FrameRange {
  const plainOffset = frames[0]?.position ?? 0;
  const { cipherOffset, cipherLength, firstChunk, skip } = chunkSpan(plainOffset, endOf(frames) - plainOffset, plainTotal);
  const bytes = { offset: object.head.lengthBytes + cipherOffset, length: cipherLength };
  return { plainOffset, frames, bytes, firstChunk, skip };
}
