/** Where a catalog is cut into segments, so that a changed entry changes one of them (format §8.2). */
import { bytesFromText } from "./byte-text.ts";

export const SEGMENT_BYTES_MIN = 64 * 1024;
export const SEGMENT_BYTES_MAX = 512 * 1024;
/** What a reader accepts. */
export const SEGMENT_BYTES_CEILING = 4 * 1024 * 1024;
export const LINE_BYTES_MAX = 2 * 1024 * 1024;

const ENTRY_MODULUS = 1024;
const CONTINUATION_MODULUS = 16;

/** The bytes whose CRC-32 decides whether a segment may begin with the line of `path` (and `at`). */
export function cutKey(path: string, at?: number): Buffer {
  return bytesFromText(at === undefined ? path : `${path}${at}`);
}

/** Whether a new segment begins before a line, given the text already in the current one and the CRC-32 of its cut key. */
export function cutsBefore(segmentBytes: number, lineBytes: number, crc: number, isContinuation: boolean): boolean {
  if (segmentBytes === 0) return false;
  if (segmentBytes + lineBytes > SEGMENT_BYTES_MAX) return true;
  return segmentBytes >= SEGMENT_BYTES_MIN && crc % (isContinuation ? CONTINUATION_MODULUS : ENTRY_MODULUS) === 0;
}
