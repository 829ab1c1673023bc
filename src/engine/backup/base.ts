/** What a run builds on: the archive before, and which stored objects may be named again. */
import { fingerprintSet } from "./recipient-sets.ts";
import type { Manifest } from "../manifests.ts";
import { askEach, loadManifest, surveyHost, type LostRegion } from "../manifests.ts";
import type { EarlyListings } from "../early-listings.ts";
import type { KnownObject, RunState } from "../../state/run-state.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { GRACE_MS, SEEN_VALID_MS, UNLISTED_MS } from "../../policy/grace.ts";
import { newestFirst, type SeenArchive } from "../../policy/latest.ts";
import type { StoredObject } from "../../storage/object-store.ts";
import type { Region } from "../region.ts";
import type { Trust } from "../trust.ts";

/** An archive needs this many catalog objects at the most; the emptiest are written again before it would need more. */
const CATALOG_OBJECTS_MAX = 32;

/** Objects of a manifest with their recipients by fingerprint. */
export function knownObjects({ header, objects }: Manifest): KnownObject[] {
  return objects.map((object) => ({ ...object, recipients: header.recipientSets[object.set] ?? [], archive: header.id }));
}

export type Known = {
  /** By id. */
  objects: Map<string, KnownObject>;
  /** Ids of archives and checkpoints that keep what they list. */
  living: ReadonlySet<string>;
  /** Whether the state has seen every archive: an object of which it knows none was never listed by any. */
  isComplete: boolean;
};

export type Reusable = {
  volumes: string[];
  catalogs: string[];
  objects: Map<string, KnownObject>;
  /** Known objects that no region shows. */
  gone: string[];
};

/**
 * Which known objects may be named again: encrypted to today's recipients, held at their full size by as many of the
 * regions that answer as an archive needs copies, and not about to be deleted: listed by what has not expired, or so new that
 * no prune takes them before this run ends (what a run left behind that was cut off, for weeks). Regions that fail go to `lost`.
 */
export async function reusableObjects(
  known: Known,
  regions: readonly Region[],
  wanted: { copies: number; volumeRecipients: string[]; catalogRecipients: string[] },
  early: EarlyListings,
  lost: LostRegion[],
  signal: AbortSignal,
): Promise<Reusable> {
  const listings = await askEach(regions, (region) => storedIn(region, early, signal), lost, signal);
  const needed = Math.min(wanted.copies, listings.length);
  const objects = [...known.objects.values()];
  const holders = ({ id, sizeBytes }: KnownObject): number => listings.filter(({ answer }) => answer.stored.get(id)?.sizeBytes === sizeBytes).length;
  const isYounger = (id: string, ms: number): boolean => listings.every(({ answer: { stored, nowMs } }) => nowMs - (stored.get(id)?.modifiedMs ?? nowMs) < ms);
  const stays = ({ id, archive }: KnownObject): boolean => {
    if (archive !== undefined && known.living.has(archive)) return true;
    return isYounger(id, archive === undefined && known.isComplete ? UNLISTED_MS - GRACE_MS : SEEN_VALID_MS);
  };
  const sets = { volume: fingerprintSet(wanted.volumeRecipients).join(), catalog: fingerprintSet(wanted.catalogRecipients).join() };
  const usable = objects.filter((object) => object.recipients.join() === sets[object.kind] && holders(object) >= needed && stays(object));
  return {
    volumes: usable.filter(({ kind }) => kind === "volume").map(({ id }) => id),
    catalogs: usable.filter(({ kind }) => kind === "catalog").map(({ id }) => id),
    objects: new Map(usable.map((object) => [object.id, object])),
    gone: objects.filter((object) => holders(object) === 0).map(({ id }) => id),
  };
}

/** The stored objects of a region by id, and what time it is there. */
async function storedIn(region: Region, early: EarlyListings, signal: AbortSignal): Promise<{ stored: Map<string, StoredObject>; nowMs: number }> {
  const [volumes, catalogs] = await Promise.all([early.get(region, "volume"), early.get(region, "catalog")]);
  return { stored: new Map([...volumes, ...catalogs]), nowMs: await region.store.nowMs(signal) };
}

/** Everything this host is known to have stored: by its state, its last archive, and checkpoints of unfinished runs. */
export async function collectKnown(
  state: RunState,
  archives: readonly SeenArchive[],
  base: Manifest | null,
  regions: readonly Region[],
  host: string,
  trust: Trust,
  signal?: AbortSignal,
  early?: EarlyListings,
): Promise<Known> {
  const objects = state.objects();
  const checkpoints = await newCheckpoints(base, regions, host, trust, signal, early);
  for (const manifest of [...checkpoints, ...(base === null ? [] : [base])]) {
    for (const object of knownObjects(manifest)) objects.set(object.id, object);
  }
  const newest = newestFirst(archives)[0];
  const isComplete = state.latest()?.id === newest?.header.id;
  return { objects, living: new Set([...archives, ...checkpoints].map(({ header }) => header.id)), isComplete };
}

/**
 * Checkpoints younger than the last archive: what they name may still be of use. One that no region gives whole is of none,
 * and neither is a region that fails.
 */
export async function newCheckpoints(base: Manifest | null, regions: readonly Region[], host: string, trust: Trust, signal?: AbortSignal, early?: EarlyListings): Promise<Manifest[]> {
  const { archives } = await surveyHost(regions, host, trust, "checkpoint", signal, early);
  const young = archives.filter(({ header }) => header.sequence > (base?.header.sequence ?? 0));
  const loaded = await Promise.allSettled(young.map((checkpoint) => loadManifest(regions, checkpoint, trust, signal)));
  signal?.throwIfAborted();
  return loaded.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

/** Catalog objects whose segments are to be written again: the emptiest, once there are too many. */
export function objectsToRewrite(segments: readonly SegmentReference[]): string[] {
  const bytes = new Map<string, number>();
  for (const segment of segments) bytes.set(segment.object, (bytes.get(segment.object) ?? 0) + segment.length);
  const excess = bytes.size - (CATALOG_OBJECTS_MAX - 1);
  if (excess <= 0) return [];
  return [...bytes].toSorted((a, b) => a[1] - b[1]).slice(0, excess).map(([object]) => object);
}
