/** The work on one volume: which frames are needed, which bytes of the object hold them, and which pieces lie where. */
import { chunkSpan, plaintextLength } from "../../codec/age-payload.ts";
import type { FramePosition } from "../../format/entry.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { MIB } from "../../units.ts";
import type { ByteRange } from "./messages.ts";

/** Bytes of a decompressed frame, and what to do with them once their digest is right. */
export type WantedPiece = { path: string; frame: FramePosition; offset: number; length: number; sha256: string; write(bytes: Buffer): void };

/** Neighbouring frames fetched together: their bytes in the decrypted stream, and where the ciphertext lies. */
export type FrameRange = { plainOffset: number; plainLength: number; frames: FramePosition[]; bytes: ByteRange; firstChunk: number; skip: number };

const GAP_BYTES = 256 * 1024;
const RANGE_BYTES_MAX = 16 * MIB;
/** From this part of an object on, it is fetched whole: one request, and checked before it is decrypted. */
const WHOLE_SHARE = 0.7;
const WHOLE_BYTES_MAX = 64 * MIB;

export type FetchPlan = { whole: boolean; ranges: FrameRange[]; plainTotal: number };

/** Groups the frames of `pieces` into ranges. */
export function planFetch(object: ListedObject, pieces: readonly WantedPiece[]): FetchPlan {
  const plainTotal = plaintextLength(object.sizeBytes - object.head.lengthBytes);
  const frames = [...new Map(pieces.map(({ frame }) => [frame[0], frame])).values()].toSorted((a, b) => a[0] - b[0]);
  const needed = frames.reduce((sum, [, length]) => sum + length, 0);
  const whole = needed >= plainTotal * WHOLE_SHARE && object.sizeBytes <= WHOLE_BYTES_MAX;
  const groups: FramePosition[][] = [];
  for (const frame of frames) {
    const group = groups.at(-1);
    if (group !== undefined && (whole || fits(group, frame))) group.push(frame);
    else groups.push([frame]);
  }
  return { whole, ranges: groups.map((group) => rangeOf(group, object, plainTotal)), plainTotal };
}

function fits(group: readonly FramePosition[], frame: FramePosition): boolean {
  const first = group[0] ?? frame;
  const last = group.at(-1) ?? frame;
  return frame[0] - (last[0] + last[1]) <= GAP_BYTES && frame[0] + frame[1] - first[0] <= RANGE_BYTES_MAX;
}

function rangeOf(frames: FramePosition[], object: ListedObject, plainTotal: number): FrameRange {
  const first = frames[0] ?? ([0, 1] as const);
  const last = frames.at(-1) ?? first;
  const plainOffset = first[0];
  const plainLength = last[0] + last[1] - plainOffset;
  const { cipherOffset, cipherLength, firstChunk, skip } = chunkSpan(plainOffset, plainLength, plainTotal);
  const bytes = { offset: object.head.lengthBytes + cipherOffset, length: cipherLength };
  return { plainOffset, plainLength, frames, bytes, firstChunk, skip };
}
