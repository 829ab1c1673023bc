/** The catalog's root: facts of the run, and every segment of the archive in order (format §8.1). */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { bytesFromText, escapeRaw, hasRawBytes, textFromBytes, unescapeRaw } from "./byte-text.ts";
import { isId } from "./id.ts";
import { comparePaths } from "./path-order.ts";
import { SEGMENT_BYTES_CEILING } from "./segment.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseJson, requireFormat } from "./vault-marker.ts";

export const ROOT_BYTES_MAX = 64 * 1024 * 1024;
/** Problems beyond this many are counted, not listed. */
export const PROBLEMS_LISTED_MAX = 1000;

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const Problem = z.object({ path: z.string(), code: z.string(), message: z.string() });

const Head = z.object({
  type: z.literal("catalog"),
  format: z.number().int(),
  vault: z.string(),
  host: z.string(),
  id: z.string(),
  entries: count,
  segments: count,
  sources: z.array(z.string()),
  run: z.record(z.string(), z.unknown()),
  problems: z.object({ total: count, items: z.array(Problem) }),
  databases: z.array(z.unknown()),
  profile: z.record(z.string(), z.unknown()),
});

/** What could not be read or kept: the path as people see it, a short code, a sentence. */
export type Problem = z.infer<typeof Problem>;
export type RootHead = z.infer<typeof Head>;

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

const SegmentLine = z.object({
  object: z.string().refine(isId),
  offset: count,
  length: count.max(SEGMENT_BYTES_CEILING * 2),
  size: count.max(SEGMENT_BYTES_CEILING),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  lines: count,
  first: z.string().optional(),
  firstRaw: z.string().optional(),
  at: count.optional(),
});

/** Parses a root whose digest was already compared. Throws E_FORMAT. */
export function parseCatalogRoot(bytes: Buffer, what: string): CatalogRoot {
  const lines = bytes.toString().split("\n");
  if (lines.pop() !== "") throw new ColdkeepError("E_FORMAT", `the catalog of ${what} ends within a line`);
  const value = parseJson(lines[0] ?? "", `the catalog of ${what}`);
  const head = Head.safeParse(value);
  if (!head.success) throw new ColdkeepError("E_FORMAT", `the catalog of ${what} is malformed: ${shapeFault(head.error)}`);
  requireFormat(head.data.format, `the catalog of ${what}`);
  const segments = lines.slice(1).map((line) => parseSegmentLine(line, what));
  const ordered = segments.every((segment, i) => i === 0 || compareStarts(segments[i - 1] ?? segment, segment) < 0);
  if (!ordered || segments.length !== head.data.segments) {
    throw new ColdkeepError("E_FORMAT", `the segments of the catalog of ${what} are out of order or too few`);
  }
  return { head: head.data, segments };
}

/** Order of two segments by their first line. */
export function compareStarts(a: SegmentReference, b: SegmentReference): number {
  return comparePaths(a.first, b.first) || (a.at ?? -1) - (b.at ?? -1);
}

function parseSegmentLine(text: string, what: string): SegmentReference {
  const parsed = SegmentLine.safeParse(parseJson(text, `a segment of the catalog of ${what}`));
  if (!parsed.success) throw new ColdkeepError("E_FORMAT", `a segment of the catalog of ${what} is malformed`);
  const { first, firstRaw, ...rest } = parsed.data;
  const name = first ?? (firstRaw === undefined ? undefined : textFromBytes(unescapeRaw(firstRaw)));
  if (name === undefined) throw new ColdkeepError("E_FORMAT", `a segment of the catalog of ${what} has no first path`);
  return { ...rest, first: name };
}
