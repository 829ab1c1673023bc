/** The catalogs of the archives being checked: read whole by a thread of their own, and asked which files something lost belongs to. */
import { messageOf, ColdkeepError } from "../../errors.ts";
import { isContinuation, nextChunkOffset, type CatalogLine } from "../../format/entry.ts";
import type { SeenArchive } from "../../policy/latest.ts";
import { loadManifest, type Manifest } from "../manifests.ts";
import type { OpenVault } from "../open-vault.ts";
import { fromPortableError } from "../portable-error.ts";
import { startWorker } from "../start-worker.ts";
import type { CatalogSetup, CatalogToMain, MainToCatalog, ScanRequest } from "./messages.ts";
import type { Targets } from "../targets.ts";

/** Opens the catalog with all its segments at hand. Throws E_OBJECT, E_FORMAT, E_IDENTITY. */
async function requestOf(vault: OpenVault, seen: SeenArchive, manifest: Manifest): Promise<ScanRequest> {
  const catalog = await vault.catalog(seen, manifest);
  await catalog.fetch(catalog.root.segments);
  const idsOf = (wanted: string): string[] => manifest.objects.filter(({ kind }) => kind === wanted).map(({ id }) => id);
  return {
    rootObject: manifest.header.root.object,
    segments: catalog.root.segments,
    entries: [catalog.root.head.entries, manifest.header.totals.entries],
    volumes: idsOf("volume"),
    catalogs: idsOf("catalog"),
  };
}

/**
 * Holds the catalog of every archive against its manifest, and writes into `listDir` what each of `volumes` must hold.
 * What is wrong becomes a fault of the archive. Throws E_IDENTITY, E_DISK.
 */
export async function scanCatalogs(vault: OpenVault, targets: Targets, order: { listDir: string; volumes: string[] | null; signal: AbortSignal }): Promise<void> {
  const setup: CatalogSetup = { catalogDir: vault.cache.directory, listDir: order.listDir, volumes: order.volumes };
  const worker = startWorker(new URL("./catalog.worker.ts", import.meta.url), setup);
  const scan = (request: ScanRequest): Promise<string[]> =>
    new Promise((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", (message: CatalogToMain) => {
        worker.off("error", reject);
        if (message.kind === "scanned") resolve(message.faults);
        else reject(fromPortableError(message.error));
      });
      const message: MainToCatalog = { kind: "archive", request };
      worker.postMessage(message);
    });
  try {
    for (const { seen, report } of targets.archives) {
      try {
        const manifest = await loadManifest(vault.reachable, seen, vault.trust, order.signal);
        report.faults.push(...(await scan(await requestOf(vault, seen, manifest))));
      } catch (error) {
        const isOfArchive = error instanceof ColdkeepError && (error.code === "E_OBJECT" || error.code === "E_FORMAT" || error.code === "E_STORE");
        if (order.signal.aborted || !isOfArchive) throw error;
        report.faults.push(messageOf(error));
      }
    }
  } finally {
    await worker.terminate();
  }
}

/** Which content is lost: of each volume all of it (null), or the pieces at `position offset`. */
export type LostContent = Map<string, ReadonlySet<string> | null>;

export function pieceName(position: number, offset: number): string {
  return `${position} ${offset}`;
}

/** Volumes of `lost` that hold content of a line. */
function lostVolumesOf(line: CatalogLine, lost: LostContent): string[] {
  return (line.extents ?? []).flatMap((extent) => {
    if ("zero" in extent) return [];
    const pieces = lost.get(extent.volume);
    if (pieces === undefined) return [];
    if (pieces === null || pieces.has(pieceName(extent.frame[0], extent.offset))) return [extent.volume];
    return "chunks" in extent && hasLostChunk(extent, pieces) ? [extent.volume] : [];
  });
}

function hasLostChunk(extent: { frame: readonly [number, number]; offset: number; chunks: readonly (readonly [number, string])[] }, pieces: ReadonlySet<string>): boolean {
  let { offset } = extent;
  return extent.chunks.some(([length]) => {
    const isLost = pieces.has(pieceName(extent.frame[0], offset));
    offset = nextChunkOffset(offset, length);
    return isLost;
  });
}

/** Paths by volume: the first `max` in all, and how many there are of each. */
export async function namePaths(vault: OpenVault, seen: SeenArchive, lost: LostContent, max: number): Promise<Map<string, { paths: string[]; total: number }>> {
  const catalog = await vault.catalog(seen, await loadManifest(vault.reachable, seen, vault.trust));
  await catalog.fetch(catalog.root.segments);
  const found = new Map<string, { paths: string[]; total: number; last: string }>();
  let listed = 0;
  for (const line of catalog.lines(catalog.root.segments)) {
    if (!isContinuation(line) && line.extents === undefined) continue;
    for (const volume of new Set(lostVolumesOf(line, lost))) {
      const known = found.get(volume) ?? { paths: [], total: 0, last: "" };
      found.set(volume, known);
      if (known.last === line.path) continue;
      known.last = line.path;
      known.total++;
      if (listed++ < max) known.paths.push(line.path);
    }
  }
  return found;
}
