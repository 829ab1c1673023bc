/** How large volumes, chunks and spans are: fixed by what an archive already holds, so that its list stays short. */
import { GIB, KIB, MIB } from "../units.ts";

/** Files below this are stored in one piece, larger ones in chunks. */
export const CHUNKING_THRESHOLD_BYTES = MIB;
/** Tar bytes gathered before a frame is compressed. */
export const FRAME_TARGET_BYTES = 2 * MIB;
export const VOLUME_BYTES_MAX = 512 * MIB;

const CHUNK_AVERAGE_MIN = 32 * KIB;
/** So that the largest chunk, four times the average, still fits a frame. */
const CHUNK_AVERAGE_MAX = 2 * MIB;
const FILE_BYTES_AT_MINIMUM = 32 * GIB;
const CHUNKS_PER_SPAN = 256;
const OBJECTS_PER_DOUBLING = 1000;

/** Target size of the next volume: doubles with every 1,000 objects, so that 8,000 hold some 2.5 TiB. */
export function volumeTargetBytes(configuredBytes: number, objectsListed: number): number {
  const doubled = configuredBytes * 2 ** Math.floor(objectsListed / OBJECTS_PER_DOUBLING);
  return Math.max(configuredBytes, Math.min(doubled, VOLUME_BYTES_MAX));
}

/**
 * Average chunk of a file of `sizeBytes`: 32 KiB up to 32 GiB, then in proportion: half of 64 KiB stores two thirds where single
 * pages change, for a hundredth more of everything else. An average already in use is kept until
 * the size it stands for is four times off, because another one would store the whole file again.
 */
export function chunkAverage(sizeBytes: number, inUse?: number): number {
  let average = CHUNK_AVERAGE_MIN;
  while (average < CHUNK_AVERAGE_MAX && average * (FILE_BYTES_AT_MINIMUM / CHUNK_AVERAGE_MIN) < sizeBytes) average *= 2;
  const usable = inUse !== undefined && inUse >= CHUNK_AVERAGE_MIN && inUse <= CHUNK_AVERAGE_MAX && Number.isInteger(Math.log2(inUse));
  return usable && inUse < average * 4 && average < inUse * 4 ? inUse : average;
}

/** The piece of a file one packer works on: its length is fixed, so that spans do not depend on each other. */
export function spanBytes(average: number): number {
  return average * CHUNKS_PER_SPAN;
}
