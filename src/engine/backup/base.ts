/** What a run builds on: the archive before, and which stored objects may be named again. */
import { fingerprintSet } from "./recipient-sets.ts";
import type { Emit } from "../events.ts";
import type { Manifest } from "../manifests.ts";
import { readRecords } from "../records.ts";
import { askEach, loadManifest, surveyHost, type LostRegion } from "../manifests.ts";
import type { EarlyListings } from "../early-listings.ts";
import type { KnownObject, RunState } from "../../state/run-state.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { Region } from "../region.ts";
import type { Trust } from "../trust.ts";

/** An archive needs this many catalog objects at the most; the emptiest are written again before it would need more. */
const CATALOG_OBJECTS_MAX = 32;

/** Objects of a manifest with their recipients by fingerprint. */
export function knownObjects(manifest: Manifest): KnownObject[] {
  return manifest.objects.map((object) => ({ ...object, recipients: manifest.header.recipientSets[object.set] ?? [] }));
}

export type Reusable = {
  volumes: string[];
  catalogs: string[];
  objects: Map<string, KnownObject>;
  /** Known objects that no region shows. */
  gone: string[];
};

/**
 * Which known objects may be named again: encrypted to today's recipients, held at their full size by as many of the
 * regions that answer as an archive needs copies, and not recorded as damaged in all of them. Regions that fail go to `lost`.
 */
export async function reusableObjects(
  known: Map<string, KnownObject>,
  regions: readonly Region[],
  wanted: { copies: number; volumeRecipients: string[]; catalogRecipients: string[]; damaged: ReadonlySet<string> },
  early: EarlyListings,
  lost: LostRegion[],
  signal: AbortSignal,
): Promise<Reusable> {
  const listings = await askEach(regions, (region) => sizesIn(region, early), lost, signal);
  const needed = Math.min(wanted.copies, listings.length);
  const holders = ({ id, sizeBytes }: KnownObject): number => listings.filter(({ answer }) => answer.get(id) === sizeBytes).length;
  const sets = { volume: fingerprintSet(wanted.volumeRecipients).join(), catalog: fingerprintSet(wanted.catalogRecipients).join() };
  const usable = [...known.values()].filter(
    (object) => object.recipients.join() === sets[object.kind] && holders(object) >= needed && !wanted.damaged.has(object.id),
  );
  return {
    volumes: usable.filter(({ kind }) => kind === "volume").map(({ id }) => id),
    catalogs: usable.filter(({ kind }) => kind === "catalog").map(({ id }) => id),
    objects: new Map(usable.map((object) => [object.id, object])),
    gone: [...known.values()].filter((object) => holders(object) === 0).map(({ id }) => id),
  };
}

/** Objects of a host that its operator has recorded as lost: their content is stored again. Throws StoreError when no region answers. */
export async function recordedLost(regions: readonly Region[], host: string, trust: Trust, emit: Emit, signal: AbortSignal, early: EarlyListings): Promise<Set<string>> {
  const records = await readRecords(regions, host, trust, emit, signal, early);
  return new Set(records.flatMap((each) => (each.kind === "lost" ? each.record.objects : [])));
}

/** Sizes of the stored objects in a region, by id. */
async function sizesIn(region: Region, early: EarlyListings): Promise<Map<string, number>> {
  const [volumes, catalogs] = await Promise.all([early.get(region, "volume"), early.get(region, "catalog")]);
  return new Map([...volumes, ...catalogs].map(([id, object]) => [id, object.sizeBytes]));
}

/** Everything this host is known to have stored: by its state, its last archive, and checkpoints of unfinished runs. */
export async function collectKnown(
  state: RunState,
  base: Manifest | null,
  regions: readonly Region[],
  host: string,
  trust: Trust,
  signal?: AbortSignal,
  early?: EarlyListings,
): Promise<Map<string, KnownObject>> {
  const known = state.objects();
  const checkpoints = await newCheckpoints(base, regions, host, trust, signal, early);
  for (const manifest of [...checkpoints, ...(base === null ? [] : [base])]) {
    for (const object of knownObjects(manifest)) known.set(object.id, object);
  }
  return known;
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
