/** A work list's line for neighbouring chunks of a large file. Lists lie on this machine only, so their form is free. */
import type { ChunkRun } from "../../format/entry.ts";

/** Chunks of `path`, a file of `size` bytes, of which the first belongs at `at`. */
export type PieceLine = { path: string; size: number; at: number; run: ChunkRun };

const MARK = "piece ";

export function encodePiece(piece: PieceLine): string {
  return MARK + JSON.stringify(piece);
}

/** The piece of a line, or null when it is an entry's. JSON keeps the lone surrogates of byte text. */
export function decodePiece(line: string): PieceLine | null {
  // Written by `encodePiece` into a private folder moments ago.
  return line.startsWith(MARK) ? (JSON.parse(line.slice(MARK.length)) as PieceLine) : null;
}
