/** Catalog entries for people (`ls -l` style) and for programs. */
import { bytesFromText, escapeRaw, hasRawBytes } from "../format/byte-text.ts";
import { encodeEntry, type Entry, type EntryType } from "../format/entry.ts";
import { formatLocalTime } from "../units.ts";
import { printable } from "./printable.ts";

const TYPE_LETTERS: Record<EntryType, string> = { file: "-", dir: "d", symlink: "l", fifo: "p", char: "c", block: "b" };
/** Years of four digits; what lies outside is shown as the number it is. */
const SHOWN_SECONDS_MIN = -62_135_596_800;
const SHOWN_SECONDS_MAX = 253_402_300_799 - 86_400;

/** `-rwsr-xr-x` */
export function modeText(type: EntryType, mode: number): string {
  const triple = (shift: number, special: number, letter: string): string => {
    const bits = (mode >> shift) & 7;
    const runs = (bits & 1) !== 0;
    const last = (mode & special) !== 0 ? (runs ? letter : letter.toUpperCase()) : runs ? "x" : "-";
    return `${(bits & 4) !== 0 ? "r" : "-"}${(bits & 2) !== 0 ? "w" : "-"}${last}`;
  };
  return TYPE_LETTERS[type] + triple(6, 0o4000, "s") + triple(3, 0o2000, "s") + triple(0, 0o1000, "t");
}

/** Local time of `sec.nsec`. */
function timeText(time: string): string {
  const seconds = Number(time.slice(0, time.indexOf(".")));
  return seconds >= SHOWN_SECONDS_MIN && seconds <= SHOWN_SECONDS_MAX ? formatLocalTime(seconds * 1000) : time;
}

/** One line of `files --long`. */
export function longLine(entry: Entry): string {
  const user = printable(entry.user ?? String(entry.uid)).padEnd(8);
  const group = printable(entry.group ?? String(entry.gid)).padEnd(8);
  const size = (entry.rdev ?? String(entry.size)).padStart(12);
  const link = entry.hardlink !== undefined ? ` link to ${printable(entry.hardlink)}` : entry.target !== undefined ? ` -> ${printable(entry.target)}` : "";
  return `${modeText(entry.type, entry.mode)} ${user} ${group} ${size} ${timeText(entry.mtime)} ${printable(entry.path)}${link}`;
}

/** The entry as the catalog has it (format §8.3), without what only a restore needs. */
export function entryDocument(entry: Entry): unknown {
  return JSON.parse(encodeEntry({ ...entry, extents: undefined, chunking: undefined }));
}

/** A path as JSON carries it: `path`, or `pathRaw` with octal escapes where it is not UTF-8. */
export function pathField(path: string): { path: string } | { pathRaw: string } {
  return hasRawBytes(path) ? { pathRaw: escapeRaw(bytesFromText(path)) } : { path };
}
