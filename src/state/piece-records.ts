/**
 * Pieces of content and where they lie in a volume, packed: 50 bytes each, little-endian. Threads hand them on and the index
 * stores them without an object for each.
 *
 *   0 digest (32) · 32 position of the frame (6) · 38 length of the frame (4) · 42 offset in it (4) · 46 length (4)
 */
export const PIECE_BYTES = 50;
export const DIGEST_BYTES = 32;

/** Where one piece of content lies in its volume. */
export type PiecePlace = { frame: readonly [number, number]; offset: number; length: number };

export function writePiece(records: Buffer, at: number, sha256: string, { frame, offset, length }: PiecePlace): void {
  records.write(sha256, at, DIGEST_BYTES, "hex");
  records.writeUIntLE(frame[0], at + 32, 6);
  records.writeUInt32LE(frame[1], at + 38);
  records.writeUInt32LE(offset, at + 42);
  records.writeUInt32LE(length, at + 46);
}

/** The place in the record at `at`. */
export function readPlace(records: Buffer, at: number): PiecePlace {
  return {
    frame: [records.readUIntLE(at + 32, 6), records.readUInt32LE(at + 38)],
    offset: records.readUInt32LE(at + 42),
    length: records.readUInt32LE(at + 46),
  };
}

/** Records of many pieces. */
export function packPieces(pieces: readonly (readonly [sha256: string, place: PiecePlace])[]): Buffer {
  const records = Buffer.alloc(pieces.length * PIECE_BYTES);
  for (const [i, [sha256, place]] of pieces.entries()) writePiece(records, i * PIECE_BYTES, sha256, place);
  return records;
}
