/** Reads a batch of small files for a packer; what changes while it is read is read once more, then flagged. */
import { closeSync } from "node:fs";
import { openForReading, ReadRace, readFully, readXattrs } from "../../disk/read-file.ts";
import { fstatText, lstatText, type Stat } from "../../disk/stat.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { messageOf, systemCode } from "../../errors.ts";
import type { Xattr } from "../../format/entry.ts";
import { MIB } from "../../units.ts";
import type { FileTask, PackResult } from "./messages.ts";
import type { Candidate, Packer, Placed } from "./packer.ts";

/** A file that has grown beyond this since the walk is handed back, to be read in spans. */
const ONE_PIECE_BYTES_MAX = 4 * MIB;
/** How often a path is looked at again when another file has come to lie there. */
const SWAPS_MAX = 32;
const ARENA_BYTES = 12 * MIB;

type Read = { stat: Stat; bytes: Buffer; changed: boolean; xattrs: Xattr[]; lost?: string | undefined };

/** Reused by every batch: its bytes are copied into the frame before the next is read. */
const arena = Buffer.allocUnsafeSlow(ARENA_BYTES);

function sameContent(a: Stat, b: Stat): boolean {
  return a.size === b.size && a.mtime === b.mtime && a.ctime === b.ctime;
}

function readOnce(fd: number, before: Stat, target: Buffer): { bytes: Buffer; after: Stat } {
  const length = readFully(fd, target, 0, Math.min(before.size, target.length), 0);
  return { bytes: target.subarray(0, length), after: fstatText(fd) };
}

/**
 * Opens the file that lies at a path now: where a program replaces it all the time, the one the walk saw is never there.
 * It is looked at anew each time, because only a regular file may be opened. Throws ReadRace.
 */
function openCurrent(task: FileTask): { fd: number; stat: Stat } {
  let expected: Stat = task.stat;
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

/** Reads one file into `target`, or returns its stat alone when it has become too large. */
function readFile(task: FileTask, target: Buffer): Read | { grown: Stat } {
  const { fd, stat } = openCurrent(task);
  try {
    if (stat.size > Math.min(ONE_PIECE_BYTES_MAX, target.length)) return { grown: stat };
    let before = stat;
    let { bytes, after } = readOnce(fd, before, target);
    if (!sameContent(before, after) && after.size <= Math.min(ONE_PIECE_BYTES_MAX, target.length)) {
      before = after;
      ({ bytes, after } = readOnce(fd, before, target));
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
  let pending: Pending[] = [];
  let used = 0;
  for (const task of tasks) {
    if (used + Math.max(task.stat.size, MIB) > ARENA_BYTES) {
      await placeFiles(pending, packer);
      pending = [];
      used = 0;
    }
    try {
      const read = readFile(task, arena.subarray(used));
      if ("grown" in read) {
        packer.deliver([], () => ({ kind: "grown", number: task.number, stat: read.grown }));
        continue;
      }
      used += read.bytes.length;
      pending.push({ task, read, sha256: read.bytes.length === 0 ? "" : sha256Hex(read.bytes) });
    } catch (error) {
      const result = failedResult(task, error);
      packer.deliver([], () => result);
    }
  }
  await placeFiles(pending, packer);
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
  const result = { kind: "file", number: task.number, stat, xattrs, changed, bytesRead: stat.size, bytesPacked: place?.bytesPacked ?? 0, lost } as const;
  if (place === undefined || place.piece.frame === null) return result;
  const { sha256, volume, frame, offset, length } = place.piece;
  return { ...result, sha256, extent: { volume, frame, offset, length } };
}
