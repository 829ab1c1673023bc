/** Takes the plaintext of a volume apart into its zstd frames as it arrives (format §7). */
import { frameLength } from "../../codec/zstd.ts";
import { ColdkeepError } from "../../errors.ts";
import { FRAME_BYTES_MAX } from "../../format/entry-parse.ts";
import { MIB } from "../../units.ts";

/** No frame compresses to more than a little above its content. */
const COMPRESSED_BYTES_MAX = FRAME_BYTES_MAX + MIB;
const SKIPPABLE_HEADER_BYTES = 8;
const SKIPPABLE_MAGIC = 0x184d2a50;

export type PlacedFrame = { position: number; bytes: Buffer };

/** Of a thread: the readers take turns, and what one has left at the end of its turn it keeps in memory of its own. */
let room = Buffer.allocUnsafeSlow(4 * MIB);

export class FrameReader {
  readonly #total: number;
  /** Plaintext not yet handed out lies at `[#start, #end)` of the room during a turn, else at `[0, #kept)` of `#own`. */
  #start = 0;
  #end = 0;
  #own = Buffer.alloc(0);
  #kept = 0;
  /** Of `#start` in the plaintext. */
  #position = 0;
  #isPadding = false;

  /** `plainTotal`: bytes of the whole plaintext. */
  constructor(plainTotal: number) {
    this.#total = plainTotal;
  }

  /** The frames that are complete with `plain`, each as a view until the next is asked for. Throws E_FORMAT. */
  *push(plain: Buffer): Generator<PlacedFrame> {
    this.#begin(plain);
    while (this.#start < this.#end) {
      if (this.#isPadding) return this.#skipPadding();
      const length = this.#nextLength();
      if (length === undefined) break;
      yield { position: this.#position, bytes: this.#rest.subarray(0, length) };
      this.#advance(length);
    }
    this.#keep();
  }

  #begin(plain: Buffer): void {
    const length = this.#kept + plain.length;
    if (length > room.length) room = Buffer.allocUnsafeSlow(length * 2);
    this.#own.copy(room, 0, 0, this.#kept);
    plain.copy(room, this.#kept);
    this.#kept = 0;
    this.#start = 0;
    this.#end = length;
  }

  #keep(): void {
    const rest = this.#rest;
    if (rest.length > this.#own.length) this.#own = Buffer.allocUnsafeSlow(rest.length * 2);
    this.#kept = rest.copy(this.#own);
  }

  get #rest(): Buffer {
    return room.subarray(this.#start, this.#end);
  }

  get isAtEnd(): boolean {
    return this.#position === this.#total;
  }

  #advance(bytes: number): void {
    this.#position += bytes;
    this.#start += bytes;
  }

  /** Length of the frame that begins here, or undefined when it needs more bytes, or when it turned out to be the padding. */
  #nextLength(): number | undefined {
    const rest = this.#rest;
    const isAllHere = this.#position + rest.length === this.#total;
    if (rest.length < SKIPPABLE_HEADER_BYTES && !isAllHere) return undefined;
    if (rest.length >= SKIPPABLE_HEADER_BYTES && (rest.readUInt32LE(0) & 0xfffffff0) === SKIPPABLE_MAGIC) {
      this.#beginPadding(rest);
      return undefined;
    }
    try {
      return frameLength(rest);
    } catch (error) {
      if (isAllHere || rest.length > COMPRESSED_BYTES_MAX) throw error;
      return undefined;
    }
  }

  #beginPadding(rest: Buffer): void {
    const length = rest.readUInt32LE(4);
    if (rest.readUInt32LE(0) !== SKIPPABLE_MAGIC || this.#position + SKIPPABLE_HEADER_BYTES + length !== this.#total) {
      throw new ColdkeepError("E_FORMAT", "a skippable frame is not the padding at the end");
    }
    this.#isPadding = true;
    this.#advance(SKIPPABLE_HEADER_BYTES);
    this.#skipPadding();
  }

  #skipPadding(): void {
    const rest = this.#rest;
    if (!rest.equals(Buffer.alloc(rest.length))) throw new ColdkeepError("E_FORMAT", "the padding is not zero");
    this.#advance(rest.length);
  }
}
