/** Gauges in the text exposition format 0.0.4 of Prometheus. */

export type Labels = Readonly<Record<string, string>>;
export type Sample = { labels: Labels; value: number };

export class Exposition {
  readonly #lines: string[] = [];
  readonly #common: Labels;

  constructor(common: Labels) {
    this.#common = common;
  }

  /** A gauge, where there is anything to say of it. */
  gauge(name: string, help: string, samples: readonly Sample[]): void {
    if (samples.length === 0) return;
    this.#lines.push(`# HELP coldkeep_${name} ${help}`, `# TYPE coldkeep_${name} gauge`);
    for (const { labels, value } of samples) {
      const pairs = Object.entries({ ...this.#common, ...labels }).map(([key, text]) => `${key}="${escaped(text)}"`);
      this.#lines.push(`coldkeep_${name}{${pairs.join(",")}} ${value}`);
    }
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** One sample, where there is a value. */
export const sum = (value: number | undefined, labels: Labels = {}): Sample[] => (value === undefined ? [] : [{ labels, value }]);
