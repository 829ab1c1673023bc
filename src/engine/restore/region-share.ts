/**
 * Which region is asked for the next bytes: the one that will have sent them first, by what each has sent until now. Regions of
 * one speed thus share the work, and a slow one hardly gets any; one that takes far too long over what it got loses it again.
 */
import { KIB, MIB } from "../../units.ts";

/** What is remembered of a region fades, so that one that becomes slow is noticed. */
const REMEMBERED_BYTES = 64 * MIB;
/** Shorter fetches say more about the way to a region than about its pace. */
const TELLING_BYTES_MIN = 256 * KIB;
/** No fetch takes too long before this, nor before another region would have been this many times as fast. */
const PATIENCE_MS = 3000;
const PATIENCE_TIMES = 3;

type Pace = {
  /** Bytes asked for and not there yet. */
  outstanding: number;
  fetches: number;
  /** From when on the outstanding bytes count as waited for. */
  sinceMs: number;
  /** Bytes that came, and the time in which any were waited for. */
  bytes: number;
  busyMs: number;
};

/** How long it takes until a region has sent what is outstanding and `length` bytes more; infinite where nothing ever came. */
function waitMs({ outstanding, fetches, sinceMs, bytes, busyMs }: Pace, length: number, nowMs: number): number {
  const spentMs = busyMs + (fetches > 0 ? nowMs - sinceMs : 0);
  return bytes === 0 ? Number.POSITIVE_INFINITY : ((outstanding + length) * spentMs) / bytes;
}

/** All times in ms of one clock. Regions go by their index. */
export class RegionShare {
  readonly #paces: Pace[];

  /** `count` regions, the preferred one first. */
  constructor(count: number) {
    this.#paces = Array.from({ length: count }, () => ({ outstanding: 0, fetches: 0, sinceMs: 0, bytes: 0, busyMs: 0 }));
  }

  /** Chooses the region that is asked for `length` bytes. `not`: regions that are no choice, unless all are. */
  begin(length: number, nowMs: number, not: ReadonlySet<number>): number {
    const index = this.#best(length, nowMs, not);
    const pace = this.#paces[index];
    if (pace === undefined || length < TELLING_BYTES_MIN) return index;
    if (pace.fetches++ === 0) pace.sinceMs = nowMs;
    pace.outstanding += length;
    return index;
  }

  /** The end of what `begin` began; `got` bytes came from that region. */
  end(index: number, length: number, got: number, nowMs: number): void {
    const pace = this.#paces[index];
    if (pace === undefined || length < TELLING_BYTES_MIN) return;
    pace.fetches--;
    pace.outstanding -= length;
    pace.busyMs += nowMs - pace.sinceMs;
    pace.sinceMs = nowMs;
    pace.bytes += got;
    if (pace.bytes <= REMEMBERED_BYTES) return;
    pace.bytes /= 2;
    pace.busyMs /= 2;
  }

  /** Whether a fetch begun at `startMs` has taken so long that a region not in `not` should be asked instead. */
  isTooLong(index: number, length: number, startMs: number, nowMs: number, not: ReadonlySet<number>): boolean {
    const others = this.#paces.flatMap((pace, i) => (i === index || not.has(i) ? [] : [waitMs(pace, length, nowMs)]));
    return nowMs - startMs > Math.max(PATIENCE_MS, PATIENCE_TIMES * Math.min(Number.POSITIVE_INFINITY, ...others));
  }

  #best(length: number, nowMs: number, not: ReadonlySet<number>): number {
    const choice = this.#paces.map((pace, index) => ({ pace, index })).filter(({ index }) => !not.has(index));
    // One fetch shows what a region can do; until that is there, the preferred region has the rest.
    const untried = length < TELLING_BYTES_MIN ? undefined : choice.find(({ pace }) => pace.fetches === 0 && pace.busyMs === 0);
    if (untried !== undefined) return untried.index;
    let best = choice[0]?.index ?? 0;
    let least = Number.POSITIVE_INFINITY;
    for (const { pace, index } of choice) {
      const wait = waitMs(pace, length, nowMs);
      if (wait < least) [best, least] = [index, wait];
    }
    return best;
  }
}
