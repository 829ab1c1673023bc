/** Compares two trees, byte for byte and entry for entry, without holding more than a piece of a file. */
import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";

const PIECE_BYTES = 1024 * 1024;
const left = Buffer.allocUnsafe(PIECE_BYTES);
const right = Buffer.allocUnsafe(PIECE_BYTES);

export type Comparison = { entries: number; bytes: number; differences: string[] };

/** Fills the buffer as far as the file goes. */
function readPiece(descriptor: number, buffer: Buffer): number {
  let length = 0;
  while (length < buffer.length) {
    const got = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (got === 0) break;
    length += got;
  }
  return length;
}

function haveEqualBytes(a: string, b: string): boolean {
  const first = openSync(a, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const second = openSync(b, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      for (;;) {
        const length = readPiece(first, left);
        if (readPiece(second, right) !== length || left.compare(right, 0, length, 0, length) !== 0) return false;
        if (length < PIECE_BYTES) return true;
      }
    } finally {
      closeSync(second);
    }
  } finally {
    closeSync(first);
  }
}

class Comparer {
  readonly result: Comparison = { entries: 0, bytes: 0, differences: [] };
  readonly #reference: string;
  readonly #copy: string;
  readonly #signal: AbortSignal;
  /** Inode of a file with several names to the first path that led to it, in each tree. */
  readonly #firstPaths = [new Map<bigint, string>(), new Map<bigint, string>()] as const;

  constructor(reference: string, copy: string, signal: AbortSignal) {
    this.#reference = reference;
    this.#copy = copy;
    this.#signal = signal;
  }

  async entry(path: string): Promise<void> {
    if (this.result.entries++ % 128 === 0) {
      await breathe();
      this.#signal.throwIfAborted();
    }
    const [a, b] = [join(this.#reference, path), join(this.#copy, path)];
    const before = lstatSync(a, { bigint: true, throwIfNoEntry: false });
    const after = lstatSync(b, { bigint: true, throwIfNoEntry: false });
    if (before === undefined || after === undefined) {
      this.#differ(path, before === undefined ? "was not there before" : "is missing");
      return;
    }
    this.#facts(path, before, after);
    if ((before.mode & 0o170000n) !== (after.mode & 0o170000n)) return;
    if (before.isFile()) this.#content(path, a, b, before);
    if (before.isSymbolicLink() && readlinkSync(a) !== readlinkSync(b)) this.#differ(path, "the link leads elsewhere");
    if (before.isDirectory()) for (const name of [...new Set([...readdirSync(a), ...readdirSync(b)])].sort()) await this.entry(join(path, name));
  }

  #facts(path: string, before: BigIntStats, after: BigIntStats): void {
    if (before.mode !== after.mode) this.#differ(path, `mode ${before.mode.toString(8)} became ${after.mode.toString(8)}`);
    if (before.uid !== after.uid || before.gid !== after.gid) this.#differ(path, `owner ${before.uid}:${before.gid} became ${after.uid}:${after.gid}`);
    if (before.mtimeNs !== after.mtimeNs) this.#differ(path, `time ${before.mtimeNs} became ${after.mtimeNs} (ns)`);
    if (before.isDirectory()) return;
    const [first, second] = [this.#firstPath(0, before.ino, path), this.#firstPath(1, after.ino, path)];
    if (first !== second) this.#differ(path, `was another name of ${first}, and is one of ${second}`);
  }

  #firstPath(tree: 0 | 1, inode: bigint, path: string): string {
    const known = this.#firstPaths[tree].get(inode);
    if (known === undefined) this.#firstPaths[tree].set(inode, path);
    return known ?? path;
  }

  #content(path: string, a: string, b: string, before: BigIntStats): void {
    this.result.bytes += Number(before.size);
    if (!haveEqualBytes(a, b)) this.#differ(path, "its bytes differ");
  }

  #differ(path: string, what: string): void {
    this.result.differences.push(`${path || "."}: ${what}`);
  }
}

/** Type, mode, owner, time to the nanosecond, links, hard links and every byte of every entry. */
export async function compareTrees(reference: string, copy: string, signal: AbortSignal): Promise<Comparison> {
  const comparer = new Comparer(reference, copy, signal);
  await comparer.entry("");
  return comparer.result;
}
