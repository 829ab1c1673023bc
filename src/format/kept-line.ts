/**
 * Whether a catalog line says of a file or directory what a walk sees now, found by comparing text: the line of what did not
 * change begins with the very characters `encodeEntry` would write again. Several times faster than parsing the line, which
 * stays the answer wherever this one is not sure.
 */
import { ID_LENGTH } from "./id.ts";

const AT = '"at":';
/** No JSON string holds this: its quotes would have backslashes. */
const NAMED = '{"volume":"';
const DIGEST = ',"sha256":"';
const BEHIND_XATTRS = `]${DIGEST}`;
const EXTENT = '","extents":[{"volume":"';
const VOLUME_AT = DIGEST.length + 64 + EXTENT.length;

/** Where the path of a line ends: no JSON string can hold a quote that no backslash precedes. */
function pathEnd(raw: string): number {
  return raw.indexOf('","', 9);
}

/** Whether a line is a continuation line, judged by the field behind its path. */
export function isContinuationText(raw: string): boolean {
  return raw.startsWith(AT, pathEnd(raw) + 2);
}

/** The place in its file, bytes, that a continuation line is for. */
export function continuationPlace(raw: string): number {
  return Number.parseInt(raw.slice(pathEnd(raw) + 2 + AT.length, pathEnd(raw) + 2 + AT.length + 16), 10);
}

/** Every volume a continuation line names. */
export function volumesNamed(raw: string): Set<string> {
  const named = new Set<string>();
  for (let at = raw.indexOf(NAMED); at >= 0; at = raw.indexOf(NAMED, at + ID_LENGTH)) named.add(raw.slice(at + NAMED.length, at + NAMED.length + ID_LENGTH));
  return named;
}

/** The path of a line whose path is UTF-8 text without escapes; undefined where it must be parsed. */
export function plainPath(raw: string): string | undefined {
  if (!raw.startsWith('{"path":"')) return undefined;
  const path = raw.slice(9, pathEnd(raw));
  return path.includes("\\") ? undefined : path;
}

/**
 * Compares a line with how it would begin today: `head` up to the value of `dev` (which changes when a machine starts, and
 * counts for nothing), `tail` behind that up to and with the last field a walk knows. Returns the volume of a file's content,
 * null for what has none, undefined where the line differs or has an uncommon form.
 */
export function keptContent(raw: string, head: string, tail: string): string | null | undefined {
  if (!raw.startsWith(head)) return undefined;
  const at = raw.indexOf('"', head.length);
  if (!raw.startsWith(tail, at)) return undefined;
  let rest = at + tail.length;
  if (raw.length === rest + 1) return null;
  if (raw.startsWith(',"xattrs":[', rest)) {
    rest = raw.indexOf(BEHIND_XATTRS, rest) + 1;
    if (rest === 0) return undefined;
  }
  if (!raw.startsWith(DIGEST, rest) || !raw.startsWith(EXTENT, rest + DIGEST.length + 64) || !raw.endsWith("}]}")) return undefined;
  return raw.slice(rest + VOLUME_AT, rest + VOLUME_AT + ID_LENGTH);
}
