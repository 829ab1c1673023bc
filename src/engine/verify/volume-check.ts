/** Looks at everything in a volume as its bytes arrive: age, zstd frames, the digest of every piece, and the tar stream. */
import type { HeaderOpener } from "../../codec/age-header.ts";
import { CHUNK_BYTES, openChunks, plaintextLength, SEALED_CHUNK_BYTES } from "../../codec/age-payload.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { decompressFrameInto } from "../../codec/zstd.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { FRAME_BYTES_MAX } from "../../format/entry-parse.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { FrameReader, type PlacedFrame } from "./frame-reader.ts";
import type { ContentFault } from "./messages.ts";
import type { ListedPiece, PieceList } from "./piece-list.ts";
import type { TarCheck } from "./tar-check.ts";

/** age chunks decrypted at once, 2 MiB: memory stays small whatever arrives. */
const RUN_CHUNKS = 32;
const RUN_BYTES = RUN_CHUNKS * SEALED_CHUNK_BYTES;
/** Used for every run, and every frame, of a thread; what is not written to takes no memory. */
const plainRoom = Buffer.allocUnsafeSlow(RUN_CHUNKS * CHUNK_BYTES);
const frameRoom = Buffer.allocUnsafeSlow(FRAME_BYTES_MAX);
const FAULTS_MAX = 1000;

/** One volume. Faults are gathered; after one that leaves nothing to go on with, the rest of the bytes is passed over. */
export class VolumeCheck {
  readonly faults: ContentFault[] = [];
  readonly #object: ListedObject;
  readonly #opener: HeaderOpener;
  readonly #pieces: PieceList;
  readonly #tar: TarCheck;
  readonly #plainTotal: number;
  readonly #frames: FrameReader;
  #key: Buffer | undefined;
  /** A chunk whose end has not arrived. */
  readonly #part = Buffer.allocUnsafeSlow(SEALED_CHUNK_BYTES);
  #partLength = 0;
  #arrived = 0;
  #chunk = 0;
  #isOver = false;

  constructor(object: ListedObject, opener: HeaderOpener, pieces: PieceList, tar: TarCheck) {
    this.#object = object;
    this.#opener = opener;
    this.#pieces = pieces;
    this.#tar = tar;
    this.#plainTotal = this.#plainLength();
    this.#frames = new FrameReader(this.#plainTotal);
  }

  #plainLength(): number {
    try {
      return plaintextLength(this.#object.sizeBytes - this.#object.head.lengthBytes);
    } catch (error) {
      this.#isOver = true;
      this.#note({ what: messageOf(error) });
      return 0;
    }
  }

  /** Stored bytes in order; the first ones hold the whole head. */
  async push(bytes: Buffer): Promise<void> {
    this.#arrived += bytes.length;
    if (this.#isOver) return;
    try {
      const payload = this.#key === undefined ? await this.#openHead(bytes) : bytes;
      if (this.#key !== undefined) this.#decrypt(payload, this.#key);
      if (this.#arrived === this.#object.sizeBytes) this.#finish();
    } catch (error) {
      this.#isOver = true;
      const isLocked = error instanceof ColdkeepError && error.code === "E_IDENTITY";
      this.#note(isLocked ? { what: messageOf(error), isLocked } : { what: messageOf(error) });
    }
  }

  async #openHead(bytes: Buffer): Promise<Buffer> {
    const { lengthBytes, sha256 } = this.#object.head;
    const head = bytes.subarray(0, lengthBytes);
    if (sha256Hex(head) !== sha256) throw new ColdkeepError("E_OBJECT", "its head does not match its digest");
    this.#key = await this.#opener.open(head);
    return bytes.subarray(lengthBytes);
  }

  #decrypt(payload: Buffer, key: Buffer): void {
    const isLast = this.#arrived === this.#object.sizeBytes;
    let at = 0;
    if (this.#partLength > 0) {
      at = payload.copy(this.#part, this.#partLength);
      this.#partLength += at;
      if (this.#partLength < SEALED_CHUNK_BYTES && !isLast) return;
      this.#open(this.#part.subarray(0, this.#partLength), key);
    }
    const left = payload.length - at;
    const end = isLast ? payload.length : payload.length - (left % SEALED_CHUNK_BYTES);
    for (; at < end; at += RUN_BYTES) this.#open(payload.subarray(at, Math.min(at + RUN_BYTES, end)), key);
    this.#partLength = payload.copy(this.#part, 0, end);
  }

  #open(sealed: Buffer, key: Buffer): void {
    const plain = openChunks(sealed, key, this.#chunk, this.#plainTotal, plainRoom);
    this.#chunk += Math.ceil(sealed.length / SEALED_CHUNK_BYTES);
    for (const frame of this.#frames.push(plain)) this.#checkFrame(frame);
  }

  #checkFrame({ position, bytes }: PlacedFrame): void {
    const content = decompressFrameInto(bytes, frameRoom);
    this.#tar.push(content);
    for (const piece of this.#pieces.upTo(position + 1)) this.#checkPiece(piece, position, bytes.length, content);
  }

  #checkPiece(piece: ListedPiece, position: number, frameLength: number, content: Buffer): void {
    const { offset, length } = piece;
    if (piece.position !== position || piece.frameLength !== frameLength) return this.#notePiece(piece, "no frame begins where the catalog says");
    if (offset + length > content.length) return this.#notePiece(piece, "it reaches beyond its frame");
    if (sha256Hex(content.subarray(offset, offset + length)) !== piece.sha256) this.#notePiece(piece, "it does not match its digest");
  }

  #finish(): void {
    this.#isOver = true;
    for (const piece of this.#pieces.upTo(Number.POSITIVE_INFINITY)) this.#notePiece(piece, "it lies behind the last frame");
    if (!this.#frames.isAtEnd) throw new ColdkeepError("E_FORMAT", "its last zstd frame is cut short");
    this.#tar.end();
  }

  #notePiece({ position, offset }: ListedPiece, what: string): void {
    this.#note({ what: `content at ${offset} in frame ${position}: ${what}`, piece: { position, offset } });
  }

  #note(fault: ContentFault): void {
    if (this.faults.length < FAULTS_MAX) this.faults.push(fault);
  }
}
