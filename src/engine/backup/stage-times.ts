/** Where the time of a run goes: what `-v` tells. */
import type { Emit } from "../events.ts";

/** Of one packer, in ms. */
export const STAGES = ["read", "compressed", "encrypted", "waited"] as const;
export type Stage = (typeof STAGES)[number];
export type StageTimes = Record<Stage, number>;

export function noTimes(): StageTimes {
  return { read: 0, compressed: 0, encrypted: 0, waited: 0 };
}

/** Counts the time of one piece of work, a batch or a frame, never a single file. */
export function timed<T>(times: StageTimes, stage: Stage, work: () => T): T {
  const startMs = performance.now();
  const result = work();
  times[stage] += performance.now() - startMs;
  return result;
}

/** `2 packers: read 1.2 s, compressed 3.4 s, …`, each summed over all packers. */
export function describeStages(packers: readonly StageTimes[]): string {
  const sums = STAGES.map((stage) => `${stage} ${(packers.reduce((sum, times) => sum + times[stage], 0) / 1000).toFixed(1)} s`);
  return `${packers.length} packer${packers.length === 1 ? "" : "s"}: ${sums.join(", ")}`;
}

/** The stages of the whole run, each told when it ends. */
export class StageClock {
  readonly #emit: Emit;
  #sinceMs = performance.now();

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** The stage since the last call, or since the beginning. */
  end(what: string): void {
    const nowMs = performance.now();
    this.#emit({ kind: "detail", message: `${what}: ${((nowMs - this.#sinceMs) / 1000).toFixed(1)} s` });
    this.#sinceMs = nowMs;
  }
}
