/** What a check is about: archives, the objects they need, and their manifests in every region. */
import { ColdkeepError, messageOf } from "../../errors.ts";
import { idTimeMs } from "../../format/id.ts";
import { MANIFEST_HEAD_BYTES, OBJECT_LIST_BYTES_MAX, type ListedObject } from "../../format/manifest.ts";
import { objectKey } from "../../format/object-key.ts";
import type { SeenArchive } from "../../policy/latest.ts";
import { StoreError } from "../../storage/object-store.ts";
import type { LivingSurvey } from "../living.ts";
import { eachOf, parseManifest, type Manifest } from "../manifests.ts";
import type { OpenVault } from "../open-vault.ts";
import { ManifestFault, RevokedFault, type Trust } from "../trust.ts";
import { objectName, type RegionTally } from "./region-tally.ts";
import type { ArchiveReport } from "./report.ts";

const MANIFESTS_AT_ONCE = 4;

export type Choice = { archives: SeenArchive[]; /** Ids of manifests that no region of the survey holds properly signed. */ ruined: string[] };

/** Throws E_NOT_FOUND, E_SIGNER. */
export function chooseTargets(vault: OpenVault, survey: LivingSurvey, wanted: { archive: string | undefined; all: boolean }): Choice {
  const known = new Set(survey.archives.map(({ header }) => header.id));
  const unsigned = [...new Set(survey.faulty.filter(({ fault }) => !fault.isUnknownSigner && !(fault instanceof RevokedFault)).map(({ id }) => id))].filter((id) => !known.has(id));
  const prefix = wanted.archive?.toLowerCase();
  const named = prefix === undefined || prefix === "latest" ? [] : unsigned.filter((id) => id.startsWith(prefix));
  if (named.length > 0 && ![...known].some((id) => id.startsWith(prefix ?? ""))) return { archives: [], ruined: named };
  if (known.size === 0 && unsigned.length > 0 && unsigned.length === new Set(survey.faulty.map(({ id }) => id)).size) return { archives: [], ruined: unsigned };
  const chosen = vault.choose(survey, wanted.archive);
  if (wanted.all) return { archives: survey.archives, ruined: unsigned };
  const isLatest = prefix === undefined || prefix === "latest";
  return { archives: [chosen], ruined: isLatest ? unsigned.filter((id) => idTimeMs(id) > chosen.header.sequence) : [] };
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
export async function gatherTargets(choice: Choice, tallies: readonly RegionTally[], trust: Trust, host: string, signal: AbortSignal): Promise<Targets> {
  const found = new Map<string, Manifest>();
  const targets = new Targets();
  for (const seen of choice.archives) {
    const { id } = seen.header;
    await eachOf(tallies, MANIFESTS_AT_ONCE, async (tally) => {
      const manifest = await checkManifest(tally, { host, id, sha256: seen.sha256 }, trust, signal);
      if (manifest !== null) found.set(id, manifest);
    });
    const manifest = found.get(id);
    if (manifest === undefined) targets.lostManifests.set(id, "its manifest is whole in no region");
    else targets.add(seen, manifest);
    found.clear();
  }
  for (const id of choice.ruined) {
    await eachOf(tallies, MANIFESTS_AT_ONCE, async (tally) => {
      await checkManifest(tally, { host, id, sha256: null }, trust, signal);
    });
    targets.lostManifests.set(id, "its manifest is properly signed in no region");
  }
  return targets;
}

/** The manifest when it is right in this region; else the tally knows what is wrong. Throws E_INTERRUPTED. */
export async function checkManifest(tally: RegionTally, wanted: { host: string; id: string; sha256: string | null }, trust: Trust, signal: AbortSignal): Promise<Manifest | null> {
  const { host, id } = wanted;
  if (tally.reason !== undefined) return null;
  try {
    const bytes = await tally.region.store.fetchBytes(objectKey(host, "archive", id), { maxBytes: MANIFEST_HEAD_BYTES + OBJECT_LIST_BYTES_MAX, signal });
    const manifest = parseManifest(bytes, { type: "manifest", host, id }, trust);
    if (wanted.sha256 !== null && manifest.sha256 !== wanted.sha256) throw new ManifestFault("it is another one than in other regions", false);
    tally.noteRightManifest(id);
    return manifest;
  } catch (error) {
    if (signal.aborted) throw error;
    noteManifestFault(tally, id, error);
    return null;
  }
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
