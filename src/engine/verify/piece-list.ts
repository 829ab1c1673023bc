/**
 * Which pieces of content a volume must hold, as a file of fixed records a volume: made while the catalog is read, used while
 * the volume is decrypted. Binary, because an archive may have a hundred million chunks.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../../errors.ts";
import { KIB, MIB } from "../../units.ts";

/** A file or chunk in a frame; all in bytes. */
export type ListedPiece = { position: number; frameLength: number; offset: number; length: number; sha256: string };

const RECORD_BYTES = 50;
const SHA256_AT = 18;
const HELD_BYTES_MAX = 32 * MIB;
const FIRST_BYTES = 4 * KIB;

type Held = { buffer: Buffer; used: number };

export function pieceListPath(directory: string, volume: string): string {
  return join(directory, `${volume}.pieces`);
}

/** Gathers pieces by volume, in memory first. `flush` at the end. */
export class PieceListWriter {
  readonly #directory: string;
  readonly #held = new Map<string, Held>();
  #heldBytes = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  add(volume: string, piece: ListedPiece): void {
    const { buffer, used } = this.#room(volume);
    buffer.writeUIntBE(piece.position, used, 6);
    buffer.writeUInt32BE(piece.frameLength, used + 6);
    buffer.writeUInt32BE(piece.offset, used + 10);
    buffer.writeUInt32BE(piece.length, used + 14);
    buffer.write(piece.sha256, used + SHA256_AT, "hex");
    if (this.#heldBytes > HELD_BYTES_MAX) this.flush();
  }

  flush(): void {
    for (const [volume, { buffer, used }] of this.#held) appendFileSync(pieceListPath(this.#directory, volume), buffer.subarray(0, used), { mode: 0o600 });
    this.#held.clear();
    this.#heldBytes = 0;
  }

  /** The buffer of a volume and where the next record goes. */
  #room(volume: string): Held {
    let held = this.#held.get(volume);
    if (held === undefined) {
      held = { buffer: Buffer.allocUnsafeSlow(FIRST_BYTES), used: 0 };
      this.#held.set(volume, held);
      this.#heldBytes += FIRST_BYTES;
    }
    if (held.used + RECORD_BYTES > held.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(held.buffer.length * 2);
      held.buffer.copy(larger, 0, 0, held.used);
      this.#heldBytes += held.buffer.length;
      held.buffer = larger;
    }
    const at = { buffer: held.buffer, used: held.used };
    held.used += RECORD_BYTES;
    return at;
  }
}

/** The pieces of one volume, given out frame by frame from the start of the volume on. */
export class PieceList {
  readonly #bytes: Buffer;
  readonly #order: Uint32Array;
  #next = 0;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#order = Uint32Array.from({ length: Math.floor(bytes.length / RECORD_BYTES) }, (_, i) => i);
    this.#order.sort((a, b) => bytes.compare(bytes, b * RECORD_BYTES, (b + 1) * RECORD_BYTES, a * RECORD_BYTES, (a + 1) * RECORD_BYTES));
  }

  /** None where no catalog names the volume. */
  static load(path: string): PieceList {
    try {
      return new PieceList(readFileSync(path));
    } catch (error) {
      if (systemCode(error) === "ENOENT") return new PieceList(Buffer.alloc(0));
      throw error;
    }
  }

  /** The pieces of all frames that begin before `end`, and not yet given out: each once, however many files share it. */
  *upTo(end: number): Generator<ListedPiece> {
    for (; this.#next < this.#order.length; this.#next++) {
      if (this.#repeats(this.#next)) continue;
      const piece = this.#piece(this.#next);
      if (piece.position >= end) return;
      yield piece;
    }
  }

  #start(index: number): number {
    return (this.#order[index] ?? 0) * RECORD_BYTES;
  }

  #repeats(index: number): boolean {
    if (index === 0) return false;
    const [before, here] = [this.#start(index - 1), this.#start(index)];
    return this.#bytes.compare(this.#bytes, here, here + RECORD_BYTES, before, before + RECORD_BYTES) === 0;
  }

  #piece(index: number): ListedPiece {
    const at = this.#start(index);
    const bytes = this.#bytes;
    return {
      position: bytes.readUIntBE(at, 6),
      frameLength: bytes.readUInt32BE(at + 6),
      offset: bytes.readUInt32BE(at + 10),
      length: bytes.readUInt32BE(at + 14),
      sha256: bytes.toString("hex", at + SHA256_AT, at + RECORD_BYTES),
    };
  }
}
