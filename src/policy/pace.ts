/** How fast measurable work goes, and when it will be done: over the last seconds, since speeds change. */

/** How far a piece of work is. `done` of `total` tells when it ends, `bytes` moved so far how fast it goes. */
export type Work = { done: number; total: number | null; bytes: number };

export type PaceReading = {
  /** Null while nothing has moved yet. */
  bytesPerSecond: number | null;
  /** Null while it would be a guess, or where nobody knows the total. */
  leftMs: number | null;
};

const WINDOW_MS = 20_000;
/** Samples nearer to each other tell nothing new. */
const SPACING_MS = 250;
/** Less says more about the start than about the speed. */
const LEAST_MS = 1_000;

type Sample = Work & { atMs: number };

export class Pace {
  readonly #samples: Sample[] = [];

  /** Takes a reading; `atMs` never goes back. Work that is less far than before is another piece of work. */
  note(work: Work, atMs: number): PaceReading {
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last !== undefined && work.done < last.done) samples.length = 0;
    const [first] = samples;
    if (last === undefined || samples.length === 0 || atMs - last.atMs >= SPACING_MS) samples.push({ ...work, atMs });
    while (samples[1] !== undefined && atMs - samples[1].atMs >= WINDOW_MS) samples.shift();
    const spentMs = first === undefined ? 0 : atMs - first.atMs;
    if (first === undefined || spentMs < LEAST_MS) return { bytesPerSecond: null, leftMs: null };
    const bytes = work.bytes - first.bytes;
    const done = work.done - first.done;
    const left = work.total === null ? null : work.total - work.done;
    return {
      bytesPerSecond: bytes > 0 ? (bytes * 1000) / spentMs : null,
      leftMs: left === null || left <= 0 || done <= 0 ? null : (left * spentMs) / done,
    };
  }
}
