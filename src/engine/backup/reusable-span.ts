/** What of the archive before may be named again of a span of a large file. */
import { encodeContinuation, extentLength, isContinuation } from "../../format/entry.ts";
import { parseCatalogLine } from "../../format/entry-parse.ts";
import { volumesNamed } from "../../format/kept-line.ts";

/** The continuation line; where some of its volumes are gone, with holes in their places, so that the rest keeps its own. */
export function reusableSpan(raw: string, isReusable: (volume: string) => boolean): string {
  let isWhole = true;
  for (const volume of volumesNamed(raw)) isWhole &&= isReusable(volume);
  const line = isWhole ? undefined : parseCatalogLine(raw);
  if (line === undefined || !isContinuation(line)) return raw;
  return encodeContinuation({ ...line, extents: line.extents.map((extent) => ("volume" in extent && !isReusable(extent.volume) ? { zero: extentLength(extent) } : extent)) });
}
