/** The demo's small report: one line a step, with its time. */
const color = process.stdout.isTTY === true && !process.env["NO_COLOR"];
const paint = (code: number, text: string): string => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
const WIDTH = 100;

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`.padStart(8);
}

/** `12,345` */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export class Report {
  readonly #begin = performance.now();
  #since = performance.now();
  #step = 0;

  title(text: string): void {
    process.stdout.write(`${paint(1, text)}\n`);
  }

  /** A finished step and what it showed; its time runs from the step before. */
  step(name: string, text: string, details: readonly string[] = []): void {
    const now = performance.now();
    const line = `${String(++this.#step).padStart(3)}  ${name.padEnd(9)} ${text}`;
    process.stdout.write(`${line.padEnd(WIDTH)} ${paint(2, seconds(now - this.#since))}\n`);
    for (const detail of details) process.stdout.write(paint(2, `${" ".repeat(15)}${detail}\n`));
    this.#since = now;
  }

  passed(text: string): void {
    process.stdout.write(`\n${paint(32, "passed")}: ${text}, in ${seconds(performance.now() - this.#begin).trim()}\n`);
  }
}
