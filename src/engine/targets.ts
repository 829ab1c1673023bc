/** What a check is about: archives, the objects they need, and their manifests in every region. */
import { ColdkeepError, messageOf } from "../errors.ts";
import { MANIFEST_HEAD_BYTES, OBJECT_LIST_BYTES_MAX, type ListedObject } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import type { SeenArchive } from "../policy/latest.ts";
import { StoreError } from "../storage/object-store.ts";
import type { LivingSurvey } from "./living.ts";
import { eachOf, parseManifest, type Manifest, type SignedManifest } from "./manifests.ts";
import { olderVersions } from "./hidden-version.ts";
import type { OpenVault } from "./open-vault.ts";
import type { Region } from "./region.ts";
import { isVoidIn, ruinedIds, ruinedSince } from "./survey.ts";
import { ManifestFault, RevokedFault, type Trust } from "./trust.ts";
import { objectName, type RegionTally } from "./region-tally.ts";
import type { ArchiveReport } from "./verify/report.ts";

const MANIFESTS_AT_ONCE = 4;

export type Choice = {
  archives: SeenArchive[];
  /** Ids of manifests that no region of the survey holds properly signed. */
  ruined: string[];
  /** Whether a manifest found for one of those counts for nothing, as its signer was revoked. */
  isVoid: (manifest: SeenArchive) => boolean;
};

/** Throws E_NOT_FOUND, E_SIGNER. */
export function chooseTargets(vault: OpenVault, survey: LivingSurvey, wanted: { archive: string | undefined; all: boolean }): Choice {
  const isVoid = (manifest: SeenArchive): boolean => isVoidIn(survey, manifest);
  const known = new Set(survey.archives.map(({ header }) => header.id));
  const unsigned = ruinedIds(survey);
  const prefix = wanted.archive?.toLowerCase();
  const named = prefix === undefined || prefix === "latest" ? [] : unsigned.filter((id) => id.startsWith(prefix));
  if (named.length > 0 && ![...known].some((id) => id.startsWith(prefix ?? ""))) return { archives: [], ruined: named, isVoid };
  if (known.size === 0 && unsigned.length > 0 && unsigned.length === new Set(survey.faulty.map(({ id }) => id)).size) return { archives: [], ruined: unsigned, isVoid };
  const chosen = vault.choose(survey, wanted.archive);
  if (wanted.all) return { archives: survey.archives, ruined: unsigned, isVoid };
  const isLatest = prefix === undefined || prefix === "latest";
  return { archives: [chosen], ruined: isLatest ? ruinedSince(survey, chosen) : [], isVoid };
}

/** An object with the archives that need it, by their index in `Targets.archives`. */
export type NeededObject = { object: ListedObject; archives: number[] };

export class Targets {
  readonly archives: { seen: SeenArchive; report: ArchiveReport }[] = [];
  readonly objects = new Map<string, NeededObject>();
  /** Archives whose manifest is whole in no region, by id. */
  readonly lostManifests = new Map<string, string>();

  add(seen: SeenArchive, manifest: Manifest): void {
    const { id, host, status } = manifest.header;
    const index = this.archives.length;
    const bytes = manifest.objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.archives.push({ seen, report: { id, host, status, objects: manifest.objects.length, bytes, faults: [] } });
    for (const object of manifest.objects) {
      const name = objectName(object);
      const known = this.objects.get(name);
      if (known === undefined) this.objects.set(name, { object, archives: [index] });
      else known.archives.push(index);
    }
  }
}

/** Looks at the manifest of every chosen archive in every region, whole, and gathers what the archives need. */
export async function gatherTargets({ archives, ruined, isVoid }: Choice, tallies: readonly RegionTally[], trust: Trust, host: string, signal: AbortSignal): Promise<Targets> {
  const targets = new Targets();
  const find = async (wanted: WantedManifest): Promise<SignedManifest | undefined> => {
    const found: SignedManifest[] = [];
    await eachOf(tallies, MANIFESTS_AT_ONCE, async (tally) => {
      const manifest = await checkManifest(tally, wanted, trust, signal);
      if (manifest !== null) found.push(manifest);
    });
    return found[0];
  };
  for (const seen of archives) {
    const { id, type } = seen.header;
    const manifest = await find({ host, id, sha256: seen.sha256, type });
    if (manifest === undefined) targets.lostManifests.set(id, "its manifest is whole in no region");
    else targets.add(seen, manifest);
  }
  for (const id of ruined) {
    const manifest = await find({ host, id, sha256: null, isVoid });
    // No survey sees what only an older version of its key shows.
    if (manifest !== undefined) targets.add(unseen(manifest), manifest);
    else targets.lostManifests.set(id, "its manifest is properly signed in no region");
  }
  return targets;
}

function unseen({ header, sha256, signer }: SignedManifest): SeenArchive {
  return { header, sha256, signer, regions: [] };
}

/** What is asked for: `sha256` is that of line 1, null where no region is known to have it right. */
export type WantedManifest = { host: string; id: string; sha256: string | null; type?: "manifest" | "checkpoint"; isVoid?: Choice["isVoid"] };

/** The manifest when it is right in this region, if only as an older version; else the tally knows what is wrong. Throws E_INTERRUPTED. */
export async function checkManifest(tally: RegionTally, wanted: WantedManifest, trust: Trust, signal: AbortSignal): Promise<SignedManifest | null> {
  const { id } = wanted;
  if (tally.reason !== undefined) return null;
  try {
    const manifest = await readManifest(tally.region, wanted, trust, { signal });
    tally.noteRightManifest(id);
    return manifest;
  } catch (error) {
    if (signal.aborted) throw error;
    const older = isAway(tally, error) ? null : await olderManifest(tally.region, wanted, trust, signal);
    if (older === null) noteManifestFault(tally, id, error);
    else tally.noteHiddenManifest(id);
    return older;
  }
}

function manifestKey({ host, id, type = "manifest" }: WantedManifest): string {
  return objectKey(host, type === "manifest" ? "archive" : "checkpoint", id);
}

/** Reads a manifest, or a version of it, and checks it. Throws StoreError, ManifestFault, E_FORMAT. */
async function readManifest(region: Region, wanted: WantedManifest, trust: Trust, { version, signal }: { version?: string; signal: AbortSignal }): Promise<SignedManifest> {
  const { host, id, type = "manifest", sha256, isVoid } = wanted;
  const bytes = await region.store.fetchBytes(manifestKey(wanted), { maxBytes: MANIFEST_HEAD_BYTES + OBJECT_LIST_BYTES_MAX, version, signal });
  const manifest = parseManifest(bytes, { type, host, id }, trust);
  if (sha256 !== null && manifest.sha256 !== sha256) throw new ManifestFault("it is another one than in other regions", false);
  if (isVoid?.(unseen(manifest)) === true) throw new RevokedFault(`${type} ${id} of ${host}`, manifest.signer);
  return manifest;
}

/** The version that is right of a manifest that something newer hides. */
async function olderManifest(region: Region, wanted: WantedManifest, trust: Trust, signal: AbortSignal): Promise<SignedManifest | null> {
  const versions = await olderVersions(region, manifestKey(wanted), signal).catch(() => []);
  signal.throwIfAborted();
  for (const { version } of versions) {
    try {
      return await readManifest(region, wanted, trust, { version, signal });
    } catch {
      signal.throwIfAborted();
    }
  }
  return null;
}

function noteManifestFault(tally: RegionTally, id: string, error: unknown): void {
  if (isAway(tally, error)) tally.noteUnreachable(messageOf(error));
  else if (error instanceof StoreError && error.fault === "missing") tally.noteManifest(id, "missing: the region is behind", true);
  else if (error instanceof ColdkeepError) tally.noteManifest(id, messageOf(error), false);
  else throw error;
}

/** Whether an error says something about the region, not about the object. */
export function isAway(tally: RegionTally, error: unknown): boolean {
  if (tally.region.store.downReason !== undefined) return true;
  return error instanceof StoreError && (error.fault === "unreachable" || error.fault === "transient");
}
