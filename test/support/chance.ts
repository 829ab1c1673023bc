/** Chance that a seed decides, so that what was found once is found again. */

/** `COLDKEEP_SEED` where it is given, else the day: a failure of today can be repeated today, and every day looks elsewhere. */
export function seedOfRun(): number {
  const given = process.env["COLDKEEP_SEED"];
  return given === undefined || given === "" ? Math.floor(Date.now() / 86_400_000) : Number(given);
}

export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
  }

  /** A number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  of<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list];
    for (let at = result.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      const [a, b] = [result[at], result[other]];
      if (a === undefined || b === undefined) continue;
      [result[at], result[other]] = [b, a];
    }
    return result;
  }
}
