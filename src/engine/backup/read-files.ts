/** Reads a batch of small files for a packer; what changes while it is read is read once more, then flagged. */
import { closeSync } from "node:fs";
import { openForReading, ReadRace, readXattrs } from "../../disk/read-file.ts";
import { beginRead, type BegunRead, endRead, readQuietly } from "../../disk/read-quietly.ts";
import { type FileIdentity, fstatText, lstatText, type Stat } from "../../disk/stat.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { messageOf, systemCode } from "../../errors.ts";
import { encodeEntry, type Xattr } from "../../format/entry.ts";
import { MIB } from "../../units.ts";
import type { FileTask, PackResult } from "./messages.ts";
import type { Candidate, Packer, Placed } from "./packer.ts";
import { entryBase } from "./pending-file.ts";
import { readRoom } from "./read-room.ts";

/** A file that has grown beyond this since the walk is handed back, to be read in spans. */
const ONE_PIECE_BYTES_MAX = 2 * MIB;
/** How often a path is looked at again when another file has come to lie there. */
const SWAPS_MAX = 32;
const ARENA_BYTES = 4 * MIB;
/** Files that are open beyond the one that is read: a disk answers many questions at once in little more time than one. */
const OPEN_AHEAD = 64;
const OUT_OF_DESCRIPTORS = new Set(["EMFILE", "ENFILE"]);

type OpenFile = { task: FileTask; fd: number; stat: Stat; begun: BegunRead };
type Read = { stat: Stat; bytes: Buffer; changed: boolean; xattrs: Xattr[]; lost?: string | undefined };

const arena = readRoom.subarray(0, ARENA_BYTES);

function sameContent(a: Stat, b: Stat): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime;
}

/**
 * Opens the file that lies at a path now: where a program replaces it all the time, the one the walk saw is never there.
 * It is looked at anew each time, because only a regular file may be opened. Throws ReadRace.
 */
function openCurrent(task: FileTask): { fd: number; stat: Stat } {
  let expected: FileIdentity = task;
  for (let tries = 1; ; tries++) {
    try {
      return openForReading(task.path, expected);
    } catch (error) {
      const isSwapped = error instanceof ReadRace && error.kind === "swapped";
      const now = isSwapped && tries < SWAPS_MAX ? lstatText(task.path) : null;
      if (now?.type !== "file") throw error;
      expected = now;
    }
  }
}

/** Opens a file and begins to read it into the start of `room`, or returns its stat alone when it has become too large. */
function openAhead(task: FileTask, room: Buffer): OpenFile | { grown: Stat } {
  const { fd, stat } = openCurrent(task);
  try {
    if (stat.size <= Math.min(ONE_PIECE_BYTES_MAX, room.length)) return { task, fd, stat, begun: beginRead(fd, room.subarray(0, stat.size), 0) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  closeSync(fd);
  return { grown: stat };
}

function finish({ fd, stat, begun }: OpenFile): Read {
  try {
    let before = stat;
    let bytes = begun.target.subarray(0, endRead(begun));
    let after = fstatText(fd);
    if (!sameContent(before, after) && after.size <= ONE_PIECE_BYTES_MAX) {
      before = after;
      // What lies behind it in the arena is another file's.
      const room = Buffer.allocUnsafe(after.size);
      bytes = room.subarray(0, readQuietly(fd, room, 0));
      after = fstatText(fd);
    }
    const { xattrs, problem } = readXattrs(fd);
    const changed = !sameContent(before, after) || bytes.length !== before.size;
    return { stat: { ...before, size: bytes.length }, bytes, changed, xattrs, lost: problem };
  } finally {
    closeSync(fd);
  }
}

/** The result of a task that could not be read. */
export function failedResult(task: { number: number }, error: unknown): PackResult {
  const race = error instanceof ReadRace ? error.kind : "unreadable";
  return { kind: "failed", number: task.number, code: systemCode(error) ?? "E_INTERNAL", message: messageOf(error), race };
}

type Pending = { task: FileTask; read: Read; sha256: string };

/** Reads, places and delivers a batch. */
export async function readFiles(tasks: readonly FileTask[], packer: Packer): Promise<void> {
  for (let next = 0; next < tasks.length; ) {
    const { pending, end } = packer.reading(() => fillArena(tasks, next, packer));
    await placeFiles(pending, packer);
    next = end;
  }
}

/** Reads files from number `start` on, as many as the arena holds, while the disk is at work on those that come next. */
function fillArena(tasks: readonly FileTask[], start: number, packer: Packer): { pending: Pending[]; end: number } {
  const pending: Pending[] = [];
  const ahead: OpenFile[] = [];
  let used = 0;
  let end = start;
  const isFull = (task: FileTask): boolean => end > start && used + Math.max(task.size, MIB) > ARENA_BYTES;
  for (;;) {
    for (let task; ahead.length < OPEN_AHEAD && (task = tasks[end]) !== undefined && !isFull(task); end++) {
      const opened = openNext(task, arena.subarray(used), packer, ahead.length > 0);
      if (opened === "later") break;
      if (opened === null) continue;
      used += opened.stat.size;
      ahead.push(opened);
    }
    const next = ahead.shift();
    if (next === undefined) return { pending, end };
    try {
      const read = finish(next);
      pending.push({ task: next.task, read, sha256: read.bytes.length === 0 ? "" : sha256Hex(read.bytes) });
    } catch (error) {
      deliverFailed(next.task, error, packer);
    }
  }
}

/** Null, and delivered, where a file cannot be read in one piece; `later` where descriptors are short and `others` will be closed. */
function openNext(task: FileTask, room: Buffer, packer: Packer, others: boolean): OpenFile | "later" | null {
  try {
    const opened = openAhead(task, room);
    if (!("grown" in opened)) return opened;
    packer.deliver([], () => ({ kind: "grown", number: task.number, stat: opened.grown }));
  } catch (error) {
    if (others && OUT_OF_DESCRIPTORS.has(systemCode(error) ?? "")) return "later";
    deliverFailed(task, error, packer);
  }
  return null;
}

function deliverFailed(task: FileTask, error: unknown, packer: Packer): void {
  const result = failedResult(task, error);
  packer.deliver([], () => result);
}

async function placeFiles(pending: readonly Pending[], packer: Packer): Promise<void> {
  const placed = await packer.place(pending.filter(({ sha256 }) => sha256 !== "").map(candidate));
  let next = 0;
  for (const { task, read, sha256 } of pending) {
    const place = sha256 === "" ? undefined : placed[next++];
    packer.deliver(place === undefined ? [] : [place.piece], () => fileResult(task, read, place));
  }
}

function candidate({ task, read, sha256 }: Pending): Candidate {
  const { mode, uid, gid, mtime, size } = read.stat;
  const meta = { path: task.path, mode, uid, gid, user: task.user, group: task.group, mtime, size };
  return { sha256, bytes: read.bytes, previous: task.previous, pack: (frame) => frame.addFile(meta, read.bytes, sha256) };
}

function fileResult(task: FileTask, read: Read, place: Placed | undefined): PackResult {
  const { stat, xattrs, changed, lost } = read;
  const entry = entryBase(task.path, stat, task, xattrs);
  if (place !== undefined && place.piece.frame !== null) {
    const { sha256, volume, frame, offset, length } = place.piece;
    entry.sha256 = sha256;
    entry.extents = [{ volume, frame, offset, length }];
  }
  if (changed) entry.changed = true;
  const inode = `${stat.dev}:${stat.ino}`;
  return { kind: "file", number: task.number, line: encodeEntry(entry), size: stat.size, inode, volume: place?.piece.volume, changed, bytesPacked: place?.bytesPacked ?? 0, lost };
}
