/** Learns from a catalog where content lies: what a host does when its state is lost. */
import { isContinuation, type Extent } from "../format/entry.ts";
import type { ContentIndex, ContentPlace } from "../state/content-index.ts";
import { packPieces } from "../state/piece-records.ts";
import { runChunks } from "./backup/extents.ts";
import type { CatalogReader } from "./catalog-reader.ts";

const PIECES_HELD_MAX = 100_000;

/** Adds all content of an archive to the index. Returns how many pieces there were. */
export async function indexCatalog(catalog: CatalogReader, index: ContentIndex): Promise<number> {
  const { segments } = catalog.root;
  await catalog.fetch(segments);
  const held = new Map<string, [string, ContentPlace][]>();
  let count = 0;
  const flush = (): void => {
    for (const [volume, pieces] of held) index.add(volume, [packPieces(pieces)]);
    held.clear();
  };
  for (const line of catalog.lines(segments)) {
    const sha256 = isContinuation(line) ? undefined : line.sha256;
    for (const [digest, place] of piecesOf(line.extents ?? [], sha256)) {
      const pieces = held.get(place.volume) ?? [];
      pieces.push([digest, place]);
      held.set(place.volume, pieces);
      if (++count % PIECES_HELD_MAX === 0) flush();
    }
  }
  flush();
  return count;
}

function* piecesOf(extents: readonly Extent[], sha256: string | undefined): Generator<[string, ContentPlace]> {
  for (const extent of extents) {
    if ("zero" in extent) continue;
    if ("chunks" in extent) for (const { sha256: digest, ...place } of runChunks(extent)) yield [digest, place];
    else if (sha256 !== undefined) yield [sha256, extent];
  }
}
