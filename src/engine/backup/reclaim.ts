/** Space is reclaimed from the live disk: what is left in a volume that is kept for little is stored again, a bit each night. */
import type { RetentionConfig } from "../../config/retention-schema.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { extentLength } from "../../format/entry.ts";
import { lowVolumes, MEASURE_EVERY_MS, volumesToReclaim } from "../../policy/reclaim.ts";
import type { CatalogCache } from "../../state/catalog-cache.ts";
import { ContentIndex } from "../../state/content-index.ts";
import type { RunState } from "../../state/run-state.ts";
import { catalogLines } from "../catalog-reader.ts";
import type { Emit } from "../events.ts";

/** Volumes that are not to be named again by this run, of those that it could. `living`: ids of the archives that stay. */
export function volumesToLeave(state: RunState, retention: RetentionConfig | null, volumes: readonly string[], living: readonly string[], emit: Emit): ReadonlySet<string> {
  const budgetBytes = retention?.reclaimBytes ?? null;
  if (budgetBytes === null) return new Set();
  const usable = new Set(volumes);
  const low = (state.lowVolumes()?.volumes ?? []).filter(({ id }) => usable.has(id));
  const chosen = volumesToReclaim(low, living, budgetBytes);
  if (chosen.length > 0) emit({ kind: "detail", message: `what is still needed of ${chosen.length} volumes is stored again, so that they can go` });
  return new Set(chosen);
}

/** Notes how much of each volume the archive just made needs, where that was not done for a while. Throws E_DISK, E_FORMAT. */
export function measureUse(state: RunState, stateDir: string, archive: { id: string; segments: readonly SegmentReference[]; cache: CatalogCache }, nowMs: number): void {
  const before = state.lowVolumes();
  if (before !== undefined && Math.abs(nowMs - before.measuredAtMs) < MEASURE_EVERY_MS) return;
  const neededBytes = new Map<string, number>();
  for (const { extents = [] } of catalogLines(archive.segments, archive.cache)) {
    for (const extent of extents) if ("volume" in extent) neededBytes.set(extent.volume, (neededBytes.get(extent.volume) ?? 0) + extentLength(extent));
  }
  const index = new ContentIndex(stateDir);
  try {
    state.noteLowVolumes({ measuredAtMs: nowMs, volumes: lowVolumes(neededBytes, index.contentBytes(), before?.volumes ?? [], archive.id) });
  } finally {
    index.close();
  }
}
