/** Takes a copy of a real tree of this machine, to play with. */
import {
  chmodSync, copyFileSync, linkSync, lstatSync, lutimesSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, utimesSync, type Stats,
} from "node:fs";
import { basename, join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";

/** A single file above this is left out: it would eat the budget of many small ones. */
const FILE_BYTES_MAX = 24 * 1024 * 1024;

export type CopyLimits = { entries: number; bytes: number };

export type CopyReport = { entries: number; bytes: number; /** Could not be read by this user. */ unreadable: number; from: string[] };

class TreeCopier {
  readonly report: CopyReport = { entries: 0, bytes: 0, unreadable: 0, from: [] };
  readonly #limits: CopyLimits;
  readonly #signal: AbortSignal;
  /** Copies of files with several names, by device and inode. */
  readonly #links = new Map<string, string>();

  constructor(limits: CopyLimits, signal: AbortSignal) {
    this.#limits = limits;
    this.#signal = signal;
  }

  get isFull(): boolean {
    return this.report.entries >= this.#limits.entries;
  }

  async directory(from: string, to: string, stats: Stats): Promise<void> {
    const names = this.#try(() => readdirSync(from).sort());
    if (names === null) return;
    mkdirSync(to);
    this.report.entries++;
    for (const name of names) {
      if (this.isFull) break;
      await this.#member(join(from, name), join(to, name));
    }
    // The copy can be removed and changed by its owner, whatever the original's mode.
    chmodSync(to, (stats.mode & 0o777) | 0o700);
    utimesSync(to, stats.atime, stats.mtime);
  }

  async #member(from: string, to: string): Promise<void> {
    if (this.report.entries % 128 === 0) {
      await breathe();
      this.#signal.throwIfAborted();
    }
    const stats = this.#try(() => lstatSync(from));
    if (stats === null) return;
    if (stats.isDirectory()) await this.directory(from, to, stats);
    else if (stats.isSymbolicLink()) this.#symlink(from, to, stats);
    else if (stats.isFile()) this.#file(from, to, stats);
  }

  #symlink(from: string, to: string, stats: Stats): void {
    symlinkSync(readlinkSync(from), to);
    lutimesSync(to, stats.atime, stats.mtime);
    this.report.entries++;
  }

  #file(from: string, to: string, stats: Stats): void {
    const inode = `${stats.dev}:${stats.ino}`;
    const known = stats.nlink > 1 ? this.#links.get(inode) : undefined;
    if (known !== undefined) linkSync(known, to);
    else {
      if (stats.size > FILE_BYTES_MAX || this.report.bytes + stats.size > this.#limits.bytes) return;
      if (this.#try(() => copyFileSync(from, to) ?? true) === null) return;
      chmodSync(to, (stats.mode & 0o777) | 0o600);
      utimesSync(to, stats.atime, stats.mtime);
      if (stats.nlink > 1) this.#links.set(inode, to);
      this.report.bytes += stats.size;
    }
    this.report.entries++;
  }

  #try<T>(work: () => T): T | null {
    try {
      return work();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code !== "EACCES" && code !== "EPERM" && code !== "ENOENT") throw error;
      this.report.unreadable++;
      return null;
    }
  }
}

/** Copies trees one after the other into the new folder `to`, until there are enough entries. Throws when they are too few. */
export async function copyTrees(candidates: readonly string[], to: string, limits: CopyLimits, signal: AbortSignal): Promise<CopyReport> {
  const copier = new TreeCopier(limits, signal);
  mkdirSync(to);
  for (const [index, from] of candidates.entries()) {
    if (copier.isFull) break;
    const stats = lstatSync(from, { throwIfNoEntry: false });
    if (stats === undefined || !stats.isDirectory()) continue;
    await copier.directory(from, join(to, `${index}-${basename(from)}`), stats);
    copier.report.from.push(from);
  }
  if (copier.isFull) return copier.report;
  throw new Error(`found only ${copier.report.entries} of the ${limits.entries} entries wanted, in ${candidates.join(", ")}; name more with --source DIR`);
}
