/** Data to archive, the same for the same seed: a tree shaped like a server's, and a file shaped like a database's. */
import { createCipheriv, createHash } from "node:crypto";
import { appendFileSync, closeSync, mkdirSync, openSync, readSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";

const KIB = 1024;
const MIB = 1024 * KIB;
const PAGE_BYTES = 8192;
const ROW_BYTES = 64;

/** Repeatable bytes that do not compress. */
function noiseOf(seed: string): (bytes: number) => Buffer {
  const stream = createCipheriv("aes-256-ctr", createHash("sha256").update(seed).digest(), Buffer.alloc(16));
  return (bytes) => stream.update(Buffer.alloc(bytes));
}

/** Numbers in [0, 1) from a seed (mulberry32, Tommy Ettinger, public domain). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Kind = "config" | "source" | "log" | "binary" | "media";

/** Share of files, median size in bytes. Sizes are log-normal, which is what trees of real servers look like. */
const KINDS: readonly { kind: Kind; share: number; median: number }[] = [
  { kind: "config", share: 0.25, median: 1.2 * KIB },
  { kind: "source", share: 0.5, median: 5 * KIB },
  { kind: "log", share: 0.08, median: 10 * KIB },
  { kind: "binary", share: 0.14, median: 14 * KIB },
  { kind: "media", share: 0.03, median: 30 * KIB },
];
const SIGMA = 1.5;
const FILE_BYTES_MAX = 8 * MIB;
const DUPLICATES = 0.06;
const LINKS = 0.02;
const POOL_BYTES = 48 * MIB;

function words(random: () => number, count: number): string[] {
  const syllables = "ba co di fe ga hu ji ka lo me ni op qua re su ti un ver wo xa ye zi con str net sys log get set".split(" ");
  return Array.from({ length: count }, () => Array.from({ length: 1 + Math.floor(random() * 3) }, () => syllables[Math.floor(random() * syllables.length)]).join(""));
}

/** Text with the statistics of code: few words often, most rarely, with signs and numbers between them. */
function textPool(random: () => number, line: (pick: () => string, random: () => number) => string): Buffer {
  const vocabulary = words(random, 6000);
  const pick = (): string => vocabulary[Math.floor(random() ** 3 * vocabulary.length)] ?? "";
  const pool = Buffer.alloc(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; ) at += pool.write(line(pick, random), at, "latin1") || POOL_BYTES;
  return pool;
}

function binaryPool(random: () => number): Buffer {
  const noise = noiseOf("binary")(POOL_BYTES);
  const block = noise.subarray(0, 4096);
  const pool = Buffer.from(noise);
  // Every second run of bytes comes from a small set, as instructions and tables of programs do.
  for (let at = 0; at < POOL_BYTES - 64; at += 8 + Math.floor(random() * 24)) {
    const length = 4 + Math.floor(random() * 20);
    block.copy(pool, at, Math.floor(random() ** 2 * 4000), Math.floor(random() ** 2 * 4000) + length);
  }
  return pool;
}

function makePools(random: () => number): Record<Kind, Buffer> {
  const number = (max: number): string => String(Math.floor(random() * max));
  return {
    config: textPool(random, (pick) => `${pick()}.${pick()} = ${random() < 0.4 ? number(65_536) : pick()}\n`),
    source: textPool(random, (pick) => `${"  ".repeat(Math.floor(random() * 4))}${pick()}(${pick()}, ${pick()}_${pick()}[${number(100)}]); // ${pick()} ${pick()} ${pick()}\n`),
    log: textPool(random, (pick) => `2026-11-${number(28)}T${number(24)}:${number(60)}:${number(60)}.${number(1e6)}Z host ${pick()}[${number(32_768)}]: ${pick()} ${pick()} from 10.${number(255)}.${number(255)}.${number(255)} ${pick()}\n`),
    binary: binaryPool(random),
    media: noiseOf("media")(POOL_BYTES),
  };
}

/** Files of one tree, numbered; writing a number again with another round changes its content. */
export class TreeCorpus {
  readonly folder: string;
  readonly files: number;
  readonly paths: string[] = [];
  bytes = 0;
  readonly #random: () => number;
  readonly #pools: Record<Kind, Buffer>;

  constructor(folder: string, files: number, seed: number) {
    this.folder = folder;
    this.files = files;
    this.#random = randomOf(seed);
    this.#pools = makePools(this.#random);
  }

  async write(): Promise<void> {
    let dir = "";
    let left = 0;
    let previous: Buffer = Buffer.alloc(0);
    for (let i = 0; i < this.files; i++) {
      if (i % 500 === 0) await breathe();
      if (left-- === 0) {
        dir = this.#newFolder(i);
        left = 1 + Math.floor(this.#random() * 40);
      }
      const path = join(dir, `file-${i}${this.#random() < 0.5 ? ".txt" : ""}`);
      if (this.#random() < LINKS) symlinkSync(`file-${i - 1}`, path);
      else {
        const content = this.#random() < DUPLICATES ? previous : this.#content(i, 0);
        writeFileSync(path, content);
        this.paths.push(path);
        this.bytes += content.length;
        if (this.#random() < 0.2) previous = content;
      }
    }
  }

  /** Rewrites every `every`-th file from `offset` on: half of them get lines more, half another content. */
  change(every: number, offset: number): void {
    for (let i = offset; i < this.paths.length; i += every) {
      const path = this.paths[i] ?? "";
      if (i % 2 === 0) appendFileSync(path, `appended in change ${offset} to file ${i}\n`);
      else writeFileSync(path, this.#content(i, offset));
    }
  }

  #newFolder(i: number): string {
    const depth = 2 + Math.floor(this.#random() * 4);
    const parts = Array.from({ length: depth }, (_, level) => `${"srvetcoptlib"[level * 3] ?? "d"}${Math.floor(this.#random() * (4 + level * 6))}`);
    const dir = join(this.folder, ...parts, `n${i}`);
    mkdirSync(dir, { recursive: true });
    return dir;
  }

  #content(i: number, round: number): Buffer {
    const random = this.#random;
    let share = random();
    const { kind, median } = KINDS.find((candidate) => (share -= candidate.share) < 0) ?? { kind: "source" as const, median: 4 * KIB };
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const bytes = Math.min(FILE_BYTES_MAX, Math.round(median * Math.exp(SIGMA * normal)));
    const at = Math.floor(random() * (POOL_BYTES - bytes));
    return Buffer.concat([Buffer.from(`# ${kind} ${i} ${round}\n`), this.#pools[kind].subarray(at, at + bytes)]);
  }
}

/** A file of 8 KiB pages: a header, rows of names and numbers, some free room; it compresses to about a quarter. */
export class DatabaseCorpus {
  readonly path: string;
  readonly bytes: number;
  readonly #template: Buffer;

  constructor(path: string, bytes: number) {
    this.path = path;
    this.bytes = bytes;
    const rows = Array.from({ length: PAGE_BYTES / ROW_BYTES }, (_, i) => `${["paid", "open", "sent", "lost"][i % 4]}|2026-11-00|EUR|customer|shipping standard|`.padEnd(ROW_BYTES, " "));
    this.#template = Buffer.from(rows.join(""));
  }

  async write(): Promise<void> {
    const noise = noiseOf("pages");
    const descriptor = openSync(this.path, "wx");
    for (let at = 0; at < this.bytes; at += MIB) {
      if (at % (64 * MIB) === 0) await breathe();
      const block = Buffer.alloc(MIB);
      const random = noise(MIB / 4);
      for (let page = 0; page < MIB / PAGE_BYTES; page++) this.#fillPage(block.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), random.subarray(page * 2048, (page + 1) * 2048));
      writeSync(descriptor, block, 0, MIB, at);
    }
    closeSync(descriptor);
  }

  #fillPage(page: Buffer, random: Buffer): void {
    this.#template.copy(page);
    random.copy(page, 0, 0, 24);
    // Of every 64 bytes 16 are a key of their own; the last eighth of the page is free.
    for (let row = 1; row < 112; row++) random.copy(page, row * ROW_BYTES + 40, row * 16, row * 16 + 16);
    page.fill(0, 112 * ROW_BYTES);
  }

  /** Rewrites a share of the pages at random places. */
  rewritePages(share: number, seed: number): void {
    const random = randomOf(seed);
    const noise = noiseOf(`rewrite ${seed}`);
    const pages = this.bytes / PAGE_BYTES;
    const descriptor = openSync(this.path, "r+");
    const page = Buffer.alloc(PAGE_BYTES);
    for (let i = 0; i < Math.round(pages * share); i++) {
      const at = Math.floor(random() * pages) * PAGE_BYTES;
      readSync(descriptor, page, 0, PAGE_BYTES, at);
      this.#fillPage(page, noise(2048));
      writeSync(descriptor, page, 0, PAGE_BYTES, at);
    }
    closeSync(descriptor);
  }
}
