/** Randomness that repeats: the same seed gives the same corpus on every machine. */
import { createCipheriv, createHash } from "node:crypto";

/** Numbers in [0, 1). */
export type Random = () => number;

/** Numbers from a seed (mulberry32, Tommy Ettinger, public domain). */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Bytes that do not compress. */
export function noiseOf(seed: string): (bytes: number) => Buffer {
  const stream = createCipheriv("aes-256-ctr", createHash("sha256").update(seed).digest(), Buffer.alloc(16));
  return (bytes) => stream.update(Buffer.alloc(bytes));
}

/** A whole number below `end`, each as likely. */
export function below(random: Random, end: number): number {
  return Math.floor(random() * end);
}

/** An element, the first ones far more often: the n-th about 1/n as often as the first, as words are used (Zipf). */
export function common<T>(random: Random, list: readonly T[]): T {
  return pick(list, Math.floor(Math.exp(random() * Math.log(list.length + 1))) - 1);
}

/** An element, each as likely. */
export function anyOf<T>(random: Random, list: readonly T[]): T {
  return pick(list, below(random, list.length));
}

function pick<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

/** A log-normal number, which is how the sizes of files are spread. `sigma` is of the logarithm. */
export function logNormal(random: Random, median: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return median * Math.exp(sigma * normal);
}
