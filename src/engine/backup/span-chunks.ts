/** Cuts the bytes of a span into chunks, with the help of what the archive before holds of it. */
import { nextCut } from "../../codec/chunker.ts";
import { sha256Hex } from "../../codec/digest.ts";
import type { KnownSpan } from "./known-span.ts";
import type { KnownChunk } from "./messages.ts";
import type { Candidate } from "./packer.ts";

/**
 * The chunks of bytes that lie at `at` in their file. With `isOpen`, more follow: a chunk that reaches the end of the bytes is left
 * out, unless it is the only one. Where a chunk of the archive before began, its digest is tried first: as long as a file's bytes
 * stay in place, no cut has to be found again.
 */
export function chunksOf(source: Uint8Array, at: number, average: number, isOpen: boolean, known: KnownSpan): Candidate[] {
  const chunks: Candidate[] = [];
  for (let start = 0; start < source.length; ) {
    const before = known.beginningAt(at + start);
    const unmoved = before !== undefined && holds(source, start, before) ? before : undefined;
    const end = unmoved === undefined ? nextCut(source, start, source.length, average) : start + unmoved.length;
    if (isOpen && end === source.length && start > 0) break;
    const bytes = source.subarray(start, end);
    const sha256 = unmoved?.sha256 ?? sha256Hex(bytes);
    chunks.push({ sha256, bytes, previous: known.withDigest(sha256), pack: (frame) => frame.addChunk(bytes, sha256) });
    start = end;
  }
  return chunks;
}

function holds(source: Uint8Array, start: number, { length, sha256 }: KnownChunk): boolean {
  return start + length <= source.length && sha256Hex(source.subarray(start, start + length)) === sha256;
}
