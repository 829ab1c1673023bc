/**
 * Turns at reading, for packers in several threads: as many read at once as the configuration allows, so that the head of a
 * single disk is not sent to and fro, while the others compress.
 */
export class ReadingTurns {
  readonly memory: SharedArrayBuffer;
  readonly #free: Int32Array;

  /** `turns` at once. */
  static of(turns: number): ReadingTurns {
    const made = new ReadingTurns(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    Atomics.store(made.#free, 0, turns);
    return made;
  }

  /** The same turns in another thread. */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#free = new Int32Array(memory);
  }

  /** Does `work` when it is this thread's turn; blocks the thread until then. */
  take<T>(work: () => T): T {
    for (;;) {
      const free = Atomics.load(this.#free, 0);
      if (free <= 0) Atomics.wait(this.#free, 0, free);
      else if (Atomics.compareExchange(this.#free, 0, free, free - 1) === free) break;
    }
    try {
      return work();
    } finally {
      Atomics.add(this.#free, 0, 1);
      Atomics.notify(this.#free, 0, 1);
    }
  }
}
