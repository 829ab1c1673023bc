/** Memory for ranges between the network and the threads that unpack them: bounded, and the same few buffers again and again. */
import { KIB, MIB } from "../../units.ts";
import { RANGE_PLAIN_BYTES_MAX } from "./unpack-job.ts";

const BYTES_MAX = 64 * MIB;
/** Any range but a single large frame: its plaintext, the rest of its first and last chunk, and the tags. */
const SLOT_BYTES = RANGE_PLAIN_BYTES_MAX + 256 * KIB;
/** Ranges up to this length are never held back: the others may be waiting for what is in them. */
const SMALL_BYTES_MAX = 128 * KIB;

export class RangeMemory {
  /** The one given back last comes first: its pages are at hand. */
  readonly #free: SharedArrayBuffer[] = [];
  #bytes = 0;

  /** Room for a range of `length` bytes, shared by all threads; null while there is none. */
  take(length: number): SharedArrayBuffer | null {
    if (length <= SMALL_BYTES_MAX) return new SharedArrayBuffer(length);
    const bytes = Math.max(length, SLOT_BYTES);
    // One that is larger than all of the memory must come through too.
    if (this.#bytes > 0 && this.#bytes + bytes > BYTES_MAX) return null;
    this.#bytes += bytes;
    return (bytes === SLOT_BYTES ? this.#free.pop() : undefined) ?? new SharedArrayBuffer(bytes);
  }

  give(room: SharedArrayBuffer): void {
    if (room.byteLength < SLOT_BYTES) return;
    this.#bytes -= room.byteLength;
    if (room.byteLength === SLOT_BYTES) this.#free.push(room);
  }
}
