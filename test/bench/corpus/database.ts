/** A file of 8 KiB pages: a header, rows of names and numbers, some free room; it compresses to about a quarter. */
import { closeSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { MIB } from "../../../src/units.ts";
import { below, noiseOf, randomOf } from "./random.ts";

const PAGE_BYTES = 8192;
const ROW_BYTES = 64;
/** Rows of a page that are in use; the last eighth is free. */
const ROWS_USED = 112;
const NOISE_BYTES = 2048;

export class DatabaseCorpus {
  readonly path: string;
  readonly bytes: number;
  readonly #seed: number;
  readonly #template: Buffer;

  /** `bytes` is rounded up to whole MiB. */
  constructor(path: string, bytes: number, seed: number) {
    this.path = path;
    this.bytes = Math.ceil(bytes / MIB) * MIB;
    this.#seed = seed;
    const rows = Array.from({ length: PAGE_BYTES / ROW_BYTES }, (_, i) => `${["paid", "open", "sent", "lost"][i % 4]}|2026-11-00|EUR|customer|shipping standard|`.padEnd(ROW_BYTES, " "));
    this.#template = Buffer.from(rows.join(""));
  }

  async write(signal?: AbortSignal): Promise<void> {
    const noise = noiseOf(`pages ${this.#seed}`);
    mkdirSync(dirname(this.path), { recursive: true });
    const descriptor = openSync(this.path, "wx");
    try {
      for (let at = 0; at < this.bytes; at += MIB) {
        if (at % (64 * MIB) === 0) await breathe();
        signal?.throwIfAborted();
        const block = Buffer.alloc(MIB);
        for (let page = 0; page < MIB; page += PAGE_BYTES) this.#fillPage(block.subarray(page, page + PAGE_BYTES), noise(NOISE_BYTES));
        writeSync(descriptor, block, 0, MIB, at);
      }
    } finally {
      closeSync(descriptor);
    }
  }

  /** Rewrites a share of the pages at random places, others in each round. */
  change(share: number, round: number): void {
    const random = randomOf(this.#seed + round);
    const noise = noiseOf(`pages ${this.#seed}, round ${round}`);
    const pages = this.bytes / PAGE_BYTES;
    const page = Buffer.alloc(PAGE_BYTES);
    const descriptor = openSync(this.path, "r+");
    try {
      for (let i = 0; i < Math.round(pages * share); i++) {
        const at = below(random, pages) * PAGE_BYTES;
        readSync(descriptor, page, 0, PAGE_BYTES, at);
        this.#fillPage(page, noise(NOISE_BYTES));
        writeSync(descriptor, page, 0, PAGE_BYTES, at);
      }
    } finally {
      closeSync(descriptor);
    }
  }

  #fillPage(page: Buffer, random: Buffer): void {
    this.#template.copy(page);
    random.copy(page, 0, 0, 24);
    // Of every 64 bytes 16 are a key of their own.
    for (let row = 1; row < ROWS_USED; row++) random.copy(page, row * ROW_BYTES + 40, row * 16, row * 16 + 16);
    page.fill(0, ROWS_USED * ROW_BYTES);
  }
}
