/** The catalog's root: facts of the run, and every segment of the archive in order (format §8.1). Read by catalog-root-parse.ts. */
import { bytesFromText, escapeRaw, hasRawBytes } from "./byte-text.ts";

/** Problems beyond this many are counted, not listed. */
export const PROBLEMS_LISTED_MAX = 1000;

/** What could not be read or kept: the path as people see it, a short code, a sentence. */
export type Problem = { path: string; code: string; message: string };

export type RootHead = {
  type: "catalog";
  format: number;
  vault: string;
  host: string;
  id: string;
  entries: number;
  segments: number;
  sources: string[];
  run: Record<string, unknown>;
  problems: { total: number; items: Problem[] };
  databases: unknown[];
  profile: Record<string, unknown>;
};

/** One segment: where its frame lies, and what its text is. */
export type SegmentReference = {
  object: string;
  /** The frame in the decrypted stream of the object. */
  offset: number;
  length: number;
  /** Its text. */
  size: number;
  sha256: string;
  lines: number;
  /** Path of the first line (byte text), with `at` when that is a continuation line. */
  first: string;
  at?: number | undefined;
};

export type CatalogRoot = { head: RootHead; segments: SegmentReference[] };

export function encodeCatalogRoot(root: CatalogRoot): Buffer {
  const lines = [JSON.stringify({ ...root.head, segments: root.segments.length })];
  for (const segment of root.segments) {
    const { first, at, ...rest } = segment;
    const name = hasRawBytes(first) ? { firstRaw: escapeRaw(bytesFromText(first)) } : { first };
    lines.push(JSON.stringify(at === undefined ? { ...rest, ...name } : { ...rest, ...name, at }));
  }
  return Buffer.from(lines.map((line) => `${line}\n`).join(""));
}
