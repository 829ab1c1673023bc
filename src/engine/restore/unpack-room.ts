/** The two buffers of an unpacker, which work on one range at a time: fresh memory for each costs more than what is done in it. */
import { FRAME_BYTES_MAX } from "../../format/entry-parse.ts";

export class UnpackRoom {
  #plain = Buffer.alloc(0);
  #frame: Buffer | undefined;

  /** Room for `length` bytes of decrypted text, or of a file read back; valid until the next call. */
  plain(length: number): Buffer {
    if (this.#plain.length < length) this.#plain = Buffer.allocUnsafeSlow(length);
    return this.#plain.subarray(0, length);
  }

  /** Room for any frame's content; what is not written to takes no memory. */
  frame(): Buffer {
    return (this.#frame ??= Buffer.allocUnsafeSlow(FRAME_BYTES_MAX));
  }
}
