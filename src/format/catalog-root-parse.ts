/** Reads a catalog's root (format §8.1). Its digest was compared by then, but its writer may be hostile. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { textFromBytes, unescapeRaw } from "./byte-text.ts";
import type { CatalogRoot, SegmentReference } from "./catalog-root.ts";
import { requireFormat } from "./format-version.ts";
import { isId } from "./id.ts";
import { comparePaths } from "./path-order.ts";
import { SEGMENT_BYTES_CEILING } from "./segment.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseJson } from "./vault-marker.ts";

export const ROOT_BYTES_MAX = 64 * 1024 * 1024;

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
function compareStarts(a: SegmentReference, b: SegmentReference): number {
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
