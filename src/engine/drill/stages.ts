/** The stages of a drill, timed. */
import { performance } from "node:perf_hooks";
import { formatDuration } from "../../units.ts";
import type { Emit } from "../events.ts";

export type StageName = "fetch" | "base system" | "packages" | "restore" | "compare" | "rebuild";

export class Stages {
  readonly done: { name: StageName; seconds: number }[] = [];
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** Also notes how long it took where it fails. */
  async run<T>(name: StageName, work: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    this.#emit({ kind: "progress", text: name });
    try {
      return await work();
    } finally {
      const ms = performance.now() - startedMs;
      this.done.push({ name, seconds: Math.round(ms) / 1000 });
      this.#emit({ kind: "detail", message: `${name}: ${formatDuration(ms)}` });
    }
  }

  /** Milliseconds of these stages together. */
  sumMs(names: readonly StageName[]): number {
    return Math.round(this.done.reduce((sum, { name, seconds }) => sum + (names.includes(name) ? seconds * 1000 : 0), 0));
  }
}
