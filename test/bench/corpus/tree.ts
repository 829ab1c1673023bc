/**
 * A tree shaped like a server's. Calibrated against the /usr of a Debian 12 machine with Python, a compiler and a JDK (files up to
 * 8 MiB; zstd level 3, one thread, frames of 2 MiB over the files one after the other, the frames of both trees in turn):
 *
 *             entries            bytes     median   95 %    ratio   compressed   decompressed
 *   /usr      118,497 files      2.2 GiB   2.0 KiB  55 KiB  0.299   329 MB/s     1.36 GB/s
 *   this      118,000 entries    2.3 GiB   2.6 KiB  79 KiB  0.282   332 MB/s     1.82 GB/s
 *
 * with folders (16 and 18 thousand), symbolic links (5.7 and 5.4 thousand) and duplicates (7.7 and 7 %) about as many.
 */
import { appendFileSync, chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { KIB, MIB } from "../../../src/units.ts";
import { type Kind, makePool } from "./pools.ts";
import { below, logNormal, type Random, randomOf } from "./random.ts";

/** Share of the folders whose files are mostly of a kind, and the median size of those in bytes. */
const KINDS: readonly { kind: Kind; share: number; median: number }[] = [
  { kind: "config", share: 0.24, median: 1 * KIB },
  { kind: "source", share: 0.46, median: 2.6 * KIB },
  { kind: "catalogue", share: 0.07, median: 4.2 * KIB },
  { kind: "log", share: 0.03, median: 5 * KIB },
  { kind: "binary", share: 0.17, median: 6.3 * KIB },
  { kind: "packed", share: 0.03, median: 8 * KIB },
];
/** Of 100 files in a folder, so many are of its own kind; the others are of any. */
const OWN_KIND = 0.8;
const SIGMA = 1.95;
const FILE_BYTES_MAX = 8 * MIB;
const DUPLICATES = 0.07;
const SYMBOLIC_LINKS = 0.045;
const HARD_LINKS = 0.002;
/** Nothing longer is the same in two files: else a store that cuts files in pieces would find content that real files do not share. */
const PIECE_BYTES = 64 * KIB;
const TOPS = ["etc", "opt", "srv", "usr/lib", "usr/share", "var/lib", "var/log", "home"];

/** Files of one tree, numbered; the same for the same seed and number of files. */
export class TreeCorpus {
  readonly folder: string;
  readonly entries: number;
  readonly #files: { path: string; kind: Kind }[] = [];
  bytes = 0;
  readonly #seed: number;
  readonly #random: Random;
  readonly #pools: Record<Kind, Buffer>;

  constructor(folder: string, entries: number, seed: number) {
    this.folder = folder;
    this.entries = entries;
    this.#seed = seed;
    this.#random = randomOf(seed);
    this.#pools = {
      config: makePool("config", seed + 1),
      source: makePool("source", seed + 2),
      catalogue: makePool("catalogue", seed + 3),
      log: makePool("log", seed + 4),
      binary: makePool("binary", seed + 5),
      packed: makePool("packed", seed + 6),
    };
  }

  /** Regular files, without second names. */
  get paths(): string[] {
    return this.#files.map(({ path }) => path);
  }

  async write(signal?: AbortSignal): Promise<void> {
    const random = this.#random;
    let left = 0;
    let dir = "";
    let own: Kind = "source";
    let previous = "";
    let earlier: Buffer = Buffer.alloc(0);
    for (let i = 0; i < this.entries; i++) {
      if (i % 500 === 0) {
        await breathe();
        signal?.throwIfAborted();
      }
      if (left-- === 0) {
        dir = this.#newFolder(i);
        own = this.#kind();
        left = below(random, 16);
        previous = "";
      }
      const kind = random() < OWN_KIND ? own : this.#kind();
      const name = `${kind}-${i}`;
      const path = join(dir, name);
      const chance = random();
      if (chance < SYMBOLIC_LINKS) symlinkSync(previous === "" ? "../missing" : previous, path);
      else if (chance < SYMBOLIC_LINKS + HARD_LINKS && previous !== "") linkSync(join(dir, previous), path);
      else {
        const content = random() < DUPLICATES ? earlier : this.#content(random, kind, `${i}`);
        writeFileSync(path, content);
        if (kind === "binary") chmodSync(path, 0o755);
        this.#files.push({ path, kind });
        this.bytes += content.length;
        previous = name;
        if (random() < 0.2) earlier = content;
      }
    }
  }

  /** Changes every `every`-th file, others in each round: half of them get a line more, half another content. */
  change(every: number, round: number): void {
    const random = randomOf(this.#seed + round);
    for (const [i, { path, kind }] of this.#files.entries()) {
      if (i % every !== round % every) continue;
      if (random() < 0.5) appendFileSync(path, `appended in round ${round} to file ${i}\n`);
      else writeFileSync(path, this.#content(random, kind, `${i} ${round}`));
    }
  }

  #newFolder(i: number): string {
    const random = this.#random;
    const parts = Array.from({ length: 1 + below(random, 3) }, (_, level) => `part-${below(random, 6 + level * 6)}`);
    const dir = join(this.folder, TOPS[below(random, TOPS.length)] ?? "", ...parts, `n${i}`);
    mkdirSync(dir, { recursive: true });
    return dir;
  }

  #kind(): Kind {
    let share = this.#random();
    return KINDS.find((candidate) => (share -= candidate.share) < 0)?.kind ?? "source";
  }

  #content(random: Random, kind: Kind, title: string): Buffer {
    const median = KINDS.find((candidate) => candidate.kind === kind)?.median ?? KIB;
    const bytes = Math.min(FILE_BYTES_MAX, Math.round(logNormal(random, median, SIGMA)));
    const pool = this.#pools[kind];
    const pieces: Uint8Array[] = [Buffer.from(`${kind} ${title}\n`)];
    for (let left = bytes; left > 0; ) {
      const length = Math.min(left, PIECE_BYTES);
      const at = below(random, pool.length - length);
      pieces.push(pool.subarray(at, at + length));
      left -= length;
    }
    return Buffer.concat(pieces);
  }
}
