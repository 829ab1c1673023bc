/** The open frame of a packer: tar members gathered until they are worth compressing. */
import { FRAME_BYTES_MAX } from "../../format/entry-parse.ts";
import type { FramePosition } from "../../format/entry.ts";
import { encodeChunkMember, encodeMember, paddedSize, type TarMember } from "../../format/tar-member.ts";
import { FRAME_TARGET_BYTES } from "../../policy/sizing.ts";

/** A piece of content on its way into a volume; `volume` and `frame` are known once its frame is compressed. */
export type Piece = { sha256: string; volume: string; frame: FramePosition | null; offset: number; length: number };

/** Headers of one member: a pax header, its records (names may be long) and the ustar block. */
const MEMBER_HEAD_BYTES_MAX = 64 * 1024;

export class FrameBuilder {
  readonly #buffer = Buffer.allocUnsafeSlow(FRAME_BYTES_MAX);
  #used = 0;
  #pieces: Piece[] = [];
  #chunkNumber = 0;

  get isEmpty(): boolean {
    return this.#used === 0;
  }

  /** Whether the frame should be compressed before `bytes` more of content are added. */
  isFullFor(bytes: number): boolean {
    return this.#used > 0 && this.#used + bytes + 2048 > FRAME_TARGET_BYTES;
  }

  addFile(meta: TarMember, content: Uint8Array, sha256: string): Piece {
    this.#requireRoom(content.length);
    this.#used = encodeMember(meta, this.#buffer, this.#used);
    return this.#addContent(content, sha256);
  }

  addChunk(content: Uint8Array, sha256: string): Piece {
    this.#requireRoom(content.length);
    const name = `chunks/${String(this.#chunkNumber++).padStart(10, "0")}`;
    this.#used = encodeChunkMember(name, content.length, this.#buffer, this.#used);
    return this.#addContent(content, sha256);
  }

  /** The tar bytes gathered, as a view until the next `add…`, and the pieces that lie in them. */
  take(): { bytes: Buffer; pieces: Piece[] } {
    const taken = { bytes: this.#buffer.subarray(0, this.#used), pieces: this.#pieces };
    this.#used = 0;
    this.#pieces = [];
    return taken;
  }

  #addContent(content: Uint8Array, sha256: string): Piece {
    const offset = this.#used;
    const end = offset + content.length;
    this.#buffer.set(content, offset);
    this.#used = offset + paddedSize(content.length);
    this.#buffer.fill(0, end, this.#used);
    const piece: Piece = { sha256, volume: "", frame: null, offset, length: content.length };
    this.#pieces.push(piece);
    return piece;
  }

  #requireRoom(contentBytes: number): void {
    const needed = this.#used + contentBytes + MEMBER_HEAD_BYTES_MAX;
    if (needed > FRAME_BYTES_MAX) throw new RangeError(`a frame of ${needed} bytes is over ${FRAME_BYTES_MAX}`);
  }
}
