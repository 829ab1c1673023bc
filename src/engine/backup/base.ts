/** What a run builds on: the archive before, and which stored objects may be named again. */
import { fingerprintSet } from "./recipient-sets.ts";
import type { Manifest } from "../manifests.ts";
import { loadManifest, listObjects, surveyHost } from "../manifests.ts";
import type { KnownObject, RunState } from "../../state/run-state.ts";
import type { SeenArchive } from "../../policy/latest.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { Region } from "../region.ts";
import type { Trust } from "../trust.ts";

/** An archive needs this many catalog objects at the most; the emptiest are written again before it would need more. */
const CATALOG_OBJECTS_MAX = 32;

/** Objects of a manifest with their recipients by fingerprint. */
export function knownObjects(manifest: Manifest): KnownObject[] {
  return manifest.objects.map((object) => ({ ...object, recipients: manifest.header.recipientSets[object.set] ?? [] }));
}

export type Reusable = { volumes: string[]; catalogs: string[]; objects: Map<string, KnownObject> };

/**
 * Which known objects may be named again: encrypted to today's recipients, and held at their full size by as many of the
 * reachable regions as an archive needs copies.
 */
export async function reusableObjects(
  known: Map<string, KnownObject>,
  regions: readonly Region[],
  wanted: { host: string; copies: number; volumeRecipients: string[]; catalogRecipients: string[] },
): Promise<Reusable> {
  const listings = await Promise.all(
    regions.map(async (region) => {
      const [volumes, catalogs] = await Promise.all([listObjects(region, wanted.host, "volume"), listObjects(region, wanted.host, "catalog")]);
      return new Map([...volumes, ...catalogs].map(([id, object]) => [id, object.sizeBytes]));
    }),
  );
  const needed = Math.min(wanted.copies, regions.length);
  const sets = { volume: fingerprintSet(wanted.volumeRecipients).join(), catalog: fingerprintSet(wanted.catalogRecipients).join() };
  const usable = [...known.values()].filter(
    (object) => object.recipients.join() === sets[object.kind] && listings.filter((held) => held.get(object.id) === object.sizeBytes).length >= needed,
  );
  return {
    volumes: usable.filter(({ kind }) => kind === "volume").map(({ id }) => id),
    catalogs: usable.filter(({ kind }) => kind === "catalog").map(({ id }) => id),
    objects: new Map(usable.map((object) => [object.id, object])),
  };
}

/** Everything this host is known to have stored: by its state, its last archive, and checkpoints of unfinished runs. */
export async function collectKnown(state: RunState, base: Manifest | null, regions: readonly Region[], host: string, trust: Trust): Promise<Map<string, KnownObject>> {
  const known = state.objects();
  const checkpoints = await newCheckpoints(base, regions, host, trust);
  for (const manifest of [...checkpoints, ...(base === null ? [] : [base])]) {
    for (const object of knownObjects(manifest)) known.set(object.id, object);
  }
  return known;
}

/** Checkpoints younger than the last archive: what they name may still be of use. */
export async function newCheckpoints(base: Manifest | null, regions: readonly Region[], host: string, trust: Trust): Promise<Manifest[]> {
  const { archives } = await surveyHost(regions, host, trust, "checkpoint");
  const young = archives.filter((checkpoint: SeenArchive) => checkpoint.header.sequence > (base?.header.sequence ?? 0));
  return Promise.all(young.map((checkpoint) => loadManifest(regions, checkpoint, trust)));
}

/** Catalog objects whose segments are to be written again: the emptiest, once there are too many. */
export function objectsToRewrite(segments: readonly SegmentReference[]): string[] {
  const bytes = new Map<string, number>();
  for (const segment of segments) bytes.set(segment.object, (bytes.get(segment.object) ?? 0) + segment.length);
  const excess = bytes.size - (CATALOG_OBJECTS_MAX - 1);
  if (excess <= 0) return [];
  return [...bytes].toSorted((a, b) => a[1] - b[1]).slice(0, excess).map(([object]) => object);
}
