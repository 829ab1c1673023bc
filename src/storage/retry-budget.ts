/** How long a region may fail before it counts as down, and how the waits between its attempts grow. */

/** Full jitter: a wait is random between nothing and a ceiling that doubles with each attempt. */
const BASE_MS = 200;
const CEILING_MS = 20_000;

/** The wait before attempt `failures + 1`, ms. `random` gives numbers in [0, 1). */
export function backoffMs(failures: number, random: () => number): number {
  return random() * Math.min(CEILING_MS, BASE_MS * 2 ** Math.min(failures - 1, 30));
}

/**
 * The time one region has spent in attempts that failed and in waits for the next, since its last success. Calls that fail
 * side by side are counted once, and time in which nothing was tried is not counted. All times in ms of one clock.
 */
export class RetryBudget {
  readonly budgetMs: number;
  #spentMs = 0;
  /** Everything before this is counted already, or was ended by a success. */
  #countedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(budgetMs: number) {
    this.budgetMs = budgetMs;
  }

  /** Counts an attempt that failed, or a wait. */
  spend(fromMs: number, toMs: number): void {
    const newFromMs = Math.max(fromMs, this.#countedUntilMs);
    if (toMs > newFromMs) this.#spentMs += toMs - newFromMs;
    this.#countedUntilMs = Math.max(this.#countedUntilMs, toMs);
  }

  /** The region answered: the count starts again. */
  succeed(atMs: number): void {
    this.#spentMs = 0;
    this.#countedUntilMs = Math.max(this.#countedUntilMs, atMs);
  }

  /** What is left, never below 0. */
  get leftMs(): number {
    return Math.max(0, this.budgetMs - this.#spentMs);
  }
}
