/**
 * Content-defined chunking: cut points that depend on the bytes around them, so that bytes put in or taken out of a
 * large file move only the chunks they touch. A gear hash (Xia et al., FastCDC, USENIX ATC 2016) with normalised sizes.
 *
 * Cut points are part of what makes two archives share chunks: every constant here is frozen with the format.
 */
import { ColdkeepError } from "../errors.ts";
import { KIB, MIB } from "../units.ts";
import { sha256 } from "./digest.ts";

export const MIN_AVERAGE_BYTES = 4 * KIB;
export const MAX_AVERAGE_BYTES = 64 * MIB;

/** The table's values only have to be fixed and look random; all-zero bytes must not cut, which a test checks. */
const GEAR_LABEL = "coldkeep gear 1 ";

/**
 * Before the turning point a cut needs this many more zero bits than log2(average), after it this many fewer, which
 * keeps sizes together. Of 0 to 3, and of turning points from 0.3 to 0.9, 2 and 13/16 store the least (82 KiB a
 * page at 64 KiB) when single 8 KiB pages are rewritten, and hold the mean of random data at the average.
 */
const NORMALISATION_BITS = 2;
const TURNING_POINT = 13 / 16;

function gearTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) table[byte] = sha256(`${GEAR_LABEL}${byte}`).readInt32LE(0);
  return table;
}

const GEAR = gearTable();

/** A byte is shifted out of the 32-bit hash after as many steps; no chunk is shorter. */
const WINDOW_BYTES = 32;

/** Mask of the top bits, which depend on the whole window; the low ones depend on its last bytes only. */
function topBits(count: number): number {
  return -1 << (32 - count);
}

/** The shortest chunk (but for the last of a span), in bytes. */
export function minChunkBytes(averageBytes: number): number {
  return averageBytes / 4;
}

/** The longest chunk, in bytes. */
export function maxChunkBytes(averageBytes: number): number {
  return averageBytes * 4;
}

/** Whether this is a usable average: a power of two from 4 KiB to 64 MiB. */
export function isAverage(averageBytes: number): boolean {
  const inRange = averageBytes >= MIN_AVERAGE_BYTES && averageBytes <= MAX_AVERAGE_BYTES;
  return inRange && Number.isInteger(averageBytes) && (averageBytes & (averageBytes - 1)) === 0;
}

/**
 * Ends of the chunks of `bytes[start, end)`, ascending; the last is `end`. A chunk depends only on the bytes from its
 * own start on, so a caller that holds a span in parts takes the last cut of a part as open and goes on from the cut
 * before it. About 1.9 GB/s. Throws E_INTERNAL for an unusable average or span.
 */
export function cutPoints(bytes: Uint8Array, start: number, end: number, averageBytes: number): number[] {
  const cuts: number[] = [];
  for (let from = start; from < end || start > end; ) {
    from = nextCut(bytes, from, end, averageBytes);
    cuts.push(from);
  }
  return cuts;
}

/** The end of the chunk that begins at `from`; `end` where the bytes end before it does. Throws as `cutPoints` does. */
export function nextCut(bytes: Uint8Array, from: number, end: number, averageBytes: number): number {
  if (!isAverage(averageBytes)) throw new ColdkeepError("E_INTERNAL", `${averageBytes} is not a chunk average`);
  if (!(from >= 0 && from <= end && end <= bytes.length)) {
    throw new ColdkeepError("E_INTERNAL", `chunk span ${from} to ${end} lies outside ${bytes.length} bytes`);
  }
  if (end - from <= minChunkBytes(averageBytes)) return end;
  const bits = 31 - Math.clz32(averageBytes);
  const hardMask = topBits(bits + NORMALISATION_BITS);
  const easyMask = topBits(bits - NORMALISATION_BITS);
  const turn = Math.min(end, from + averageBytes * TURNING_POINT);
  const stop = Math.min(end, from + maxChunkBytes(averageBytes));
  return firstCut(bytes, from + minChunkBytes(averageBytes), turn, hardMask) || firstCut(bytes, turn, stop, easyMask) || stop;
}

/** The first place in `(from, stop]` where the hash of the 32 bytes before it has no bit of the mask, or 0. */
function firstCut(bytes: Uint8Array, from: number, stop: number, mask: number): number {
  const gear = GEAR;
  let hash = 0;
  let i = from - WINDOW_BYTES;
  for (; i < from; i++) hash = ((hash << 1) + (gear[bytes[i] ?? 0] ?? 0)) | 0;
  // Four steps a round: written out, V8 runs them at twice the speed.
  for (const lastRound = stop - 3; i < lastRound; i += 4) {
    hash = ((hash << 1) + (gear[bytes[i] ?? 0] ?? 0)) | 0;
    if ((hash & mask) === 0) return i + 1;
    hash = ((hash << 1) + (gear[bytes[i + 1] ?? 0] ?? 0)) | 0;
    if ((hash & mask) === 0) return i + 2;
    hash = ((hash << 1) + (gear[bytes[i + 2] ?? 0] ?? 0)) | 0;
    if ((hash & mask) === 0) return i + 3;
    hash = ((hash << 1) + (gear[bytes[i + 3] ?? 0] ?? 0)) | 0;
    if ((hash & mask) === 0) return i + 4;
  }
  for (; i < stop; i++) {
    hash = ((hash << 1) + (gear[bytes[i] ?? 0] ?? 0)) | 0;
    if ((hash & mask) === 0) return i + 1;
  }
  return 0;
}
