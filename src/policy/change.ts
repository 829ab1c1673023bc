/** When an entry counts as unchanged since the previous archive, so that its content is not read again. */
import type { Entry } from "../format/entry.ts";

/** What a walk knows of an entry without opening it. */
export type WalkedStat = {
  type: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: string;
  ctime: string;
  ino: string;
};

/** A write in the same clock tick as the reading leaves no trace in the times. */
const CLOCK_TICK_SECONDS = 2;

/** Whole seconds of a `sec.nsec` text. */
export function secondsOf(time: string): number {
  return Number(time.slice(0, time.indexOf(".")));
}

/** Whether what changed last at `ctime` was old enough when the previous run began, so that every later write shows in its times. */
export function isSettled(ctime: string, previousStartSeconds: number): boolean {
  return secondsOf(ctime) < previousStartSeconds - CLOCK_TICK_SECONDS;
}

/**
 * Same type, size, times, inode, mode and owner, and not changed so shortly before the previous run began, or during it,
 * that a later write could have kept its times.
 */
export function isUnchanged(previous: Entry, now: WalkedStat, previousStartSeconds: number): boolean {
  return (
    previous.ctime === now.ctime &&
    previous.mtime === now.mtime &&
    previous.ino === now.ino &&
    previous.type === now.type &&
    (now.type !== "file" || previous.size === now.size) &&
    previous.mode === now.mode &&
    previous.uid === now.uid &&
    previous.gid === now.gid &&
    previous.changed === undefined &&
    isSettled(now.ctime, previousStartSeconds)
  );
}
