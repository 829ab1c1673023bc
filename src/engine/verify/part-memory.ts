/** Memory for the parts of objects between the network and the threads that check them: a few rooms, used again and again. */

export class PartMemory {
  /** Of each room, and so of each part but the last of an object. */
  readonly partBytes: number;
  #left: number;
  /** The one given back last comes first: its pages are at hand. */
  readonly #free: SharedArrayBuffer[] = [];
  readonly #waiting: ((room: SharedArrayBuffer) => void)[] = [];

  /** At most `bytes` in all, in rooms of at most `partBytesMax`. */
  constructor(bytes: number, partBytesMax: number) {
    this.partBytes = Math.min(bytes, partBytesMax);
    this.#left = Math.floor(bytes / this.partBytes);
  }

  /** A room, shared with other threads, once there is one. */
  async acquire(): Promise<SharedArrayBuffer> {
    const room = this.#free.pop();
    if (room !== undefined) return room;
    if (this.#left === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#left--;
    return new SharedArrayBuffer(this.partBytes);
  }

  /** Nobody looks at what is in it any more. */
  release(room: SharedArrayBuffer): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(room);
    else next(room);
  }
}
