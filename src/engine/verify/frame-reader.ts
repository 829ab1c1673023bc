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

export class FrameReader {
  readonly #total: number;
  /** Plaintext not yet handed out, and where it begins. */
  #rest: Buffer = Buffer.alloc(0);
  #position = 0;
  #isPadding = false;

  /** `plainTotal`: bytes of the whole plaintext. */
  constructor(plainTotal: number) {
    this.#total = plainTotal;
  }

  /** The frames that are complete with `plain`. Throws E_FORMAT. */
  *push(plain: Buffer): Generator<PlacedFrame> {
    this.#rest = this.#rest.length === 0 ? plain : Buffer.concat([this.#rest, plain]);
    while (this.#rest.length > 0) {
      if (this.#isPadding) return this.#skipPadding();
      const length = this.#nextLength();
      if (length === undefined) return;
      yield { position: this.#position, bytes: this.#rest.subarray(0, length) };
      this.#advance(length);
    }
  }

  get isAtEnd(): boolean {
    return this.#position === this.#total;
  }

  #advance(bytes: number): void {
    this.#position += bytes;
    this.#rest = this.#rest.subarray(bytes);
  }

  /** Length of the frame that begins here, or undefined when it needs more bytes, or when it turned out to be the padding. */
  #nextLength(): number | undefined {
    const isAllHere = this.#position + this.#rest.length === this.#total;
    if (this.#rest.length < SKIPPABLE_HEADER_BYTES && !isAllHere) return undefined;
    if (this.#rest.length >= SKIPPABLE_HEADER_BYTES && (this.#rest.readUInt32LE(0) & 0xfffffff0) === SKIPPABLE_MAGIC) {
      this.#beginPadding();
      return undefined;
    }
    try {
      return frameLength(this.#rest);
    } catch (error) {
      if (isAllHere || this.#rest.length > COMPRESSED_BYTES_MAX) throw error;
      return undefined;
    }
  }

  #beginPadding(): void {
    const length = this.#rest.readUInt32LE(4);
    if (this.#rest.readUInt32LE(0) !== SKIPPABLE_MAGIC || this.#position + SKIPPABLE_HEADER_BYTES + length !== this.#total) {
      throw new ColdkeepError("E_FORMAT", "a skippable frame is not the padding at the end");
    }
    this.#isPadding = true;
    this.#advance(SKIPPABLE_HEADER_BYTES);
    if (this.#rest.length > 0) this.#skipPadding();
  }

  #skipPadding(): void {
    if (!this.#rest.equals(Buffer.alloc(this.#rest.length))) throw new ColdkeepError("E_FORMAT", "the padding is not zero");
    this.#advance(this.#rest.length);
  }
}
