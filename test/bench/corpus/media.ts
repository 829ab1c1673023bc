/** Files that do not compress, as pictures, sound and video do not. */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { MIB } from "../../../src/units.ts";
import { noiseOf, randomOf } from "./random.ts";

const FILES_A_FOLDER = 20;

export class MediaCorpus {
  readonly folder: string;
  readonly bytes: number;
  readonly #seed: number;
  readonly #sizes: readonly [least: number, most: number];
  files = 0;

  /** Files of `sizes` bytes, as many between 2 and 4 MiB as between 20 and 40, until there are `bytes` of them. */
  constructor(folder: string, bytes: number, seed: number, sizes: readonly [least: number, most: number] = [2 * MIB, 40 * MIB]) {
    this.folder = folder;
    this.bytes = bytes;
    this.#seed = seed;
    this.#sizes = sizes;
  }

  async write(signal?: AbortSignal): Promise<void> {
    const random = randomOf(this.#seed);
    const noise = noiseOf(`media ${this.#seed}`);
    const [least, most] = this.#sizes;
    for (let left = this.bytes; left > 0; this.files++) {
      const size = Math.min(left, Math.round(least * (most / least) ** random()));
      const dir = join(this.folder, `album-${Math.floor(this.files / FILES_A_FOLDER)}`);
      mkdirSync(dir, { recursive: true });
      await writeNoise(join(dir, `${this.files}.jpg`), size, noise, signal);
      left -= size;
    }
  }
}

async function writeNoise(path: string, size: number, noise: (bytes: number) => Buffer, signal: AbortSignal | undefined): Promise<void> {
  const descriptor = openSync(path, "wx");
  try {
    for (let at = 0; at < size; at += MIB) {
      if (at % (32 * MIB) === 0) await breathe();
      signal?.throwIfAborted();
      writeSync(descriptor, noise(Math.min(MIB, size - at)));
    }
  } finally {
    closeSync(descriptor);
  }
}
