/** What a restore could not give back: counted by kind, with some paths each, so that a million losses take no memory. */
export type Loss = {
  /** The kind: "owner", "ACL", "device node", … */
  what: string;
  count: number;
  /** The first paths it happened to. */
  examples: string[];
};

const EXAMPLES_MAX = 20;

export class Losses {
  readonly #kinds = new Map<string, Loss>();

  add(path: string, what: string): void {
    const loss = this.#kinds.get(what) ?? { what, count: 0, examples: [] };
    loss.count++;
    if (loss.examples.length < EXAMPLES_MAX) loss.examples.push(path);
    this.#kinds.set(what, loss);
  }

  /** Adds what another thread counted. */
  merge(losses: Loss[]): void {
    for (const { what, count, examples } of losses) {
      const own = this.#kinds.get(what) ?? { what, count: 0, examples: [] };
      own.count += count;
      own.examples.push(...examples.slice(0, EXAMPLES_MAX - own.examples.length));
      this.#kinds.set(what, own);
    }
  }

  /** Plain values, fit to be sent to another thread. */
  list(): Loss[] {
    return [...this.#kinds.values()];
  }
}
