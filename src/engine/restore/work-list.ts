/**
 * Work lists: catalog lines sorted into files, a few a volume, with little memory whatever the number of lines. Read
 * synchronously, by the threads that work on them.
 */
import { appendFileSync, closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { systemCode } from "../../errors.ts";
import { MIB } from "../../units.ts";

const HELD_BYTES_MAX = 4 * MIB;
const BLOCK_BYTES = MIB;
const LINE_FEED = 10;

export class WorkLists {
  readonly #directory: string;
  readonly #held = new Map<string, string[]>();
  #heldBytes = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Puts a line at the end of a list. Throws system errors. */
  add(list: string, line: string): void {
    const lines = this.#held.get(list);
    if (lines === undefined) this.#held.set(list, [line]);
    else lines.push(line);
    this.#heldBytes += line.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.flush();
  }

  /** Writes what is held. Throws system errors. */
  flush(): void {
    for (const [list, lines] of this.#held) appendFileSync(join(this.#directory, list), `${lines.join("\n")}\n`, { mode: 0o600 });
    this.#held.clear();
    this.#heldBytes = 0;
  }
}

/** The lines of a list, all at once; none when nothing was put on it. For lists whose length the planner limits. */
export function readList(directory: string, list: string): string[] {
  try {
    return readFileSync(join(directory, list), "utf8").split("\n").filter((line) => line !== "");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** The blocks of a file from its start or its end; none when there is no such file. A block is valid until the next is asked for. */
function* blocksOf(path: string, fromEnd: boolean): Generator<Buffer> {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    const block = Buffer.allocUnsafe(Math.min(size, BLOCK_BYTES));
    for (let done = 0; done < size; ) {
      const length = Math.min(block.length, size - done);
      const got = readSync(fd, block, 0, length, fromEnd ? size - done - length : done);
      if (got !== length) throw new Error(`${path} became shorter while it was read`);
      yield block.subarray(0, length);
      done += length;
    }
  } finally {
    closeSync(fd);
  }
}

/** The lines of a list that may be as long as the archive, one at a time. Lines end in line feeds and in nothing else. */
export function* streamList(directory: string, list: string): Generator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for (const block of blocksOf(join(directory, list), false)) {
    const text = Buffer.concat([rest, block]);
    let start = 0;
    for (let end = text.indexOf(LINE_FEED); end >= 0; end = text.indexOf(LINE_FEED, start)) {
      if (end > start) yield text.toString("utf8", start, end);
      start = end + 1;
    }
    rest = text.subarray(start);
  }
  if (rest.length > 0) yield rest.toString();
}

/** The same, last line first. */
export function* streamListBackwards(directory: string, list: string): Generator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for (const block of blocksOf(join(directory, list), true)) {
    const text = Buffer.concat([block, rest]);
    let end = text.length;
    for (let start = text.lastIndexOf(LINE_FEED); start >= 0; start = end === 0 ? -1 : text.lastIndexOf(LINE_FEED, end - 1)) {
      if (start + 1 < end) yield text.toString("utf8", start + 1, end);
      end = start;
    }
    rest = text.subarray(0, end);
  }
  if (rest.length > 0) yield rest.toString();
}
