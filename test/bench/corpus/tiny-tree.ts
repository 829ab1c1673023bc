/** Very many tiny files: what a catalog of a million entries costs, with as little content as can be. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { makePool } from "./pools.ts";
import { below, logNormal, randomOf } from "./random.ts";

const FILES_A_FOLDER = 100;
const MEDIAN_BYTES = 200;
const SIGMA = 0.8;
const BYTES_MAX = 16_384;

export class TinyTree {
  readonly folder: string;
  readonly files: number;
  readonly #seed: number;

  constructor(folder: string, files: number, seed: number) {
    this.folder = folder;
    this.files = files;
    this.#seed = seed;
  }

  async write(signal?: AbortSignal): Promise<void> {
    const random = randomOf(this.#seed);
    const pool = makePool("config", this.#seed);
    let dir = "";
    for (let i = 0; i < this.files; i++) {
      if (i % FILES_A_FOLDER === 0) {
        await breathe();
        signal?.throwIfAborted();
        const number = i / FILES_A_FOLDER;
        dir = join(this.folder, `d${Math.floor(number / FILES_A_FOLDER)}`, `e${number % FILES_A_FOLDER}`);
        mkdirSync(dir, { recursive: true });
      }
      const bytes = Math.min(BYTES_MAX, Math.round(logNormal(random, MEDIAN_BYTES, SIGMA)));
      const at = below(random, pool.length - bytes);
      // A number first, so that no two are the same content.
      writeFileSync(join(dir, `file-${i}`), Buffer.concat([Buffer.from(`${i}\n`), pool.subarray(at, at + bytes)]));
    }
  }
}
