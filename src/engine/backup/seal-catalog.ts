/** Writes a run's catalog object: the segments that have no object yet, then the root, encrypted into a spool file. */
import { sha256Hex } from "../../codec/digest.ts";
import { compressFrame } from "../../codec/zstd.ts";
import { ColdkeepError } from "../../errors.ts";
import { encodeCatalogRoot, type Problem } from "../../format/catalog-root.ts";
import type { RootReference } from "../../format/manifest.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { FORMAT_VERSION } from "../../format/format-version.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";
import type { SealRequest } from "./messages.ts";
import type { WrittenSegment } from "./segment-writer.ts";
import { SealedObjectWriter, spoolWindow } from "./volume-writer.ts";

const ROOT_LEVEL = 9;

export type CatalogFacts = { entries: number; problems: { total: number; items: Problem[] } };

export function sealCatalog(
  request: SealRequest,
  segments: WrittenSegment[],
  facts: CatalogFacts,
  cache: CatalogCache,
): { object: ListedObject; root: RootReference } {
  const writer = new SealedObjectWriter(request.catalogId, "catalog", request.sealed, request.recipientSet, spoolWindow(), request.spoolPath);
  for (const segment of segments) {
    if (segment.object !== "") continue;
    const frame = cache.frame(segment.sha256);
    if (frame === undefined || frame.length !== segment.length) {
      throw new ColdkeepError("E_DISK", `a catalog segment just written to ${cache.directory} is gone`);
    }
    [segment.offset] = writer.append(frame);
    segment.object = request.catalogId;
  }
  const head = {
    type: "catalog" as const,
    format: FORMAT_VERSION,
    ...request.head,
    entries: facts.entries,
    segments: segments.length,
    problems: facts.problems,
  };
  const text = encodeCatalogRoot({ head, segments });
  const [offset, length] = writer.append(compressFrame(text, ROOT_LEVEL));
  const root = { object: request.catalogId, offset, length, size: text.length, sha256: sha256Hex(text) };
  return { object: writer.finish(), root };
}
