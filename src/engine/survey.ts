/** Which archives a host has, over all regions: verified, and without what a revoked signer signed after its last good one. */
import { sha256Hex } from "../codec/digest.ts";
import { idTimeMs } from "../format/id.ts";
import { MANIFEST_HEAD_BYTES, type ManifestHeader } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import type { VaultRecord } from "../format/record.ts";
import { newestFirst, type SeenArchive } from "../policy/latest.ts";
import { judgeRevoked, revokedSigners } from "../policy/revocation.ts";
import type { StoredObject } from "../storage/object-store.ts";
import { KIB } from "../units.ts";
import type { HeadCache, ListedHead } from "../state/head-cache.ts";
import type { EarlyListings } from "./early-listings.ts";
import { type Answered, askEach, eachOf, listObjects, type LostRegion } from "./manifests.ts";
import { findRecords, type RecordFault } from "./records.ts";
import type { Region } from "./region.ts";
import { ManifestFault, RevokedFault, verifyHead, type Trust } from "./trust.ts";

/** A manifest that did not verify, in one region. */
export type FaultyManifest = { id: string; region: string; fault: ManifestFault };

type Found = { archives: SeenArchive[]; faulty: FaultyManifest[]; lost: LostRegion[] };

/** `records` are the operator's valid ones, `recordFaults` what stands among them and is none. */
export type Survey = Found & { records: VaultRecord[]; recordFaults: RecordFault[] };

type Kind = "archive" | "checkpoint";

const HEADS_AT_ONCE = 32;
/** The newest manifest is most often wanted whole; up to this size it comes with its head. */
const NEWEST_BYTES = 256 * KIB;

/** What spares a survey some questions: listings asked for before, heads read before. */
export type SurveyAids = { early?: EarlyListings | undefined; heads?: HeadCache | undefined };

/**
 * The archives (or checkpoints) of a host in all `regions`, verified, and the manifests that did not verify. A region that
 * fails is `lost`, and holds nothing then. Throws StoreError when every region fails, E_INTERRUPTED.
 */
export async function surveyHost(regions: readonly Region[], host: string, trust: Trust, kind: Kind = "archive", signal?: AbortSignal, { early, heads }: SurveyAids = {}): Promise<Survey> {
  const asked = { host, trust, kind, signal, heads };
  const [signed, { records, faults }] = await Promise.all([surveySigned(regions, asked, early), findRecords(regions, host, trust, signal, early)]);
  const found = revokedSigners(records).size === 0 ? signed : await withoutRevoked(regions, asked, records);
  heads?.save();
  return { ...surveyed(found, regions), records, recordFaults: faults };
}

/** By signature alone. */
async function surveySigned(regions: readonly Region[], asked: Omit<Asked, "headBytes">, early?: EarlyListings): Promise<Found> {
  const { host, kind, signal } = asked;
  const found: Found = { archives: [], faulty: [], lost: [] };
  const listings = await askEach(regions, (region) => early?.get(region, kind) ?? listObjects(region, host, kind, signal), found.lost, signal);
  const [newest, ...older] = idsNewestFirst(listings);
  await Promise.all([
    newest === undefined ? undefined : surveyOne(newest, listings, { ...asked, headBytes: NEWEST_BYTES }, found),
    eachOf(older, HEADS_AT_ONCE, (id) => surveyOne(id, listings, { ...asked, headBytes: MANIFEST_HEAD_BYTES }, found)),
  ]);
  return found;
}

/**
 * The same for a host with a revoked signer, whose thief may have put another manifest under the id of a good one in some
 * regions: each region is looked at by itself. Checkpoints have no place in the chain, so that none of that signer counts.
 */
async function withoutRevoked(regions: readonly Region[], asked: Omit<Asked, "headBytes">, records: readonly VaultRecord[]): Promise<Found> {
  const apart = await Promise.all(regions.map((region) => surveySigned([region], asked)));
  const archives = merged(apart.flatMap((each) => each.archives));
  const revoked = revokedSigners(records);
  const isCheckpoint = asked.kind === "checkpoint";
  const judged = isCheckpoint ? { valid: archives.filter(({ signer }) => !revoked.has(signer)), void: archives.filter(({ signer }) => revoked.has(signer)) } : judgeRevoked(archives, records);
  const faults = judged.void.flatMap(({ header, signer, regions: names }) =>
    names.map((region): FaultyManifest => ({ id: header.id, region, fault: new RevokedFault(`${header.type} ${header.id} of ${header.host}`, signer) })),
  );
  return { archives: judged.valid, faulty: [...apart.flatMap((each) => each.faulty), ...faults], lost: apart.flatMap((each) => each.lost) };
}

/** Whether a manifest that the survey did not see, such as one below its key's newest version, is void by a revoked signer's signature. */
export function isVoidIn({ archives, records }: Survey, manifest: SeenArchive): boolean {
  return judgeRevoked([...archives, manifest], records).void.includes(manifest);
}

/** One for each manifest, with all regions that hold it. */
function merged(archives: readonly SeenArchive[]): SeenArchive[] {
  const found = new Map<string, SeenArchive>();
  for (const archive of archives) {
    const known = found.get(archive.sha256);
    if (known === undefined) found.set(archive.sha256, archive);
    else known.regions.push(...archive.regions);
  }
  return [...found.values()];
}

type Listings = readonly Answered<Map<string, StoredObject>>[];

/** Ids begin with their time. */
function idsNewestFirst(listings: Listings): string[] {
  return [...new Set(listings.flatMap(({ answer }) => [...answer.keys()]))].toSorted().toReversed();
}

/**
 * As `surveyHost` for archives, but looks no further than the first manifest that verifies, from the newest on, and asks for
 * older ones only where there is none since `sinceMs`. For many hosts at a glance.
 */
export async function surveyNewest(regions: readonly Region[], host: string, trust: Trust, sinceMs: number | undefined, signal: AbortSignal): Promise<Survey> {
  const found: Found = { archives: [], faulty: [], lost: [] };
  const [listings, { records, faults }] = await Promise.all([
    askEach(regions, (region) => listObjects(region, host, "archive", signal, sinceMs), found.lost, signal),
    findRecords(regions, host, trust, signal),
  ]);
  // What a revoked signer's newest is worth, only the whole chain tells.
  if (revokedSigners(records).size > 0) return newestOf(await surveyHost(regions, host, trust, "archive", signal));
  for (const id of idsNewestFirst(listings)) {
    await surveyOne(id, listings, { host, trust, kind: "archive", signal, headBytes: MANIFEST_HEAD_BYTES }, found);
    if (found.archives.length > 0) break;
  }
  if (found.archives.length === 0 && sinceMs !== undefined) return surveyNewest(regions, host, trust, undefined, signal);
  return { ...surveyed(found, regions), records, recordFaults: faults };
}

function newestOf(survey: Survey): Survey {
  const [newest] = survey.archives;
  if (newest === undefined) return survey;
  return { ...survey, archives: [newest], faulty: survey.faulty.filter(({ id }) => idTimeMs(id) > newest.header.sequence) };
}

/** Without what lost regions said. Throws the first error when all are lost. */
function surveyed(found: Found, regions: readonly Region[]): Found {
  const lost = new Set(found.lost.map(({ region }) => region.name));
  if (lost.size === regions.length) throw found.lost[0]?.error;
  const archives = found.archives.map((archive) => ({ ...archive, regions: archive.regions.filter((name) => !lost.has(name)) }));
  return { ...found, archives: newestFirst(archives) };
}

type Asked = { host: string; trust: Trust; kind: Kind; headBytes: number; signal: AbortSignal | undefined; heads?: HeadCache | undefined };

/** Takes the first region whose head verifies; others count as holders by the size of what they list. */
async function surveyOne(id: string, listings: Listings, asked: Asked, found: Found): Promise<void> {
  const holders = listings.filter(({ answer }) => answer.has(id));
  const bad = new Set<Region>();
  for (const { region, answer } of holders) {
    try {
      const { header, line, bytes, signer } = await readHead(region, id, asked, answer.get(id));
      const sizeBytes = manifestBytes(line.length, header);
      const regions = holders.filter((holder) => !bad.has(holder.region) && holder.answer.get(id)?.sizeBytes === sizeBytes).map((holder) => holder.region.name);
      found.archives.push({ header, sha256: sha256Hex(line), signer, regions, ...(asked.headBytes === NEWEST_BYTES && bytes.length === sizeBytes && { bytes }) });
      return;
    } catch (error) {
      asked.signal?.throwIfAborted();
      bad.add(region);
      if (error instanceof ManifestFault) found.faulty.push({ id, region: region.name, fault: error });
      else if (!found.lost.some((lost) => lost.region === region)) found.lost.push({ region, error });
    }
  }
}

const SIGNATURE_LINE_BYTES = 89;

/** Size of a whole manifest, known from its header. */
function manifestBytes(lineBytes: number, header: ManifestHeader): number {
  return lineBytes + 1 + SIGNATURE_LINE_BYTES + header.objects.size;
}

type Head = { header: ManifestHeader; signer: string; line: Buffer; bytes: Buffer };

async function readHead({ store }: Region, id: string, { host, trust, kind, headBytes, signal, heads }: Asked, object: StoredObject | undefined): Promise<Head> {
  const key = objectKey(host, kind, id);
  const listed: ListedHead | undefined = object && { location: store.location, key, sizeBytes: object.sizeBytes, modifiedMs: object.modifiedMs };
  const known = listed === undefined || headBytes === NEWEST_BYTES ? undefined : heads?.find(listed);
  const bytes = known ?? (await store.fetchBytes(key, { range: { offset: 0, length: headBytes }, maxBytes: headBytes, signal }));
  const { header, signer, line, rest } = verifyHead(bytes, { type: kind === "archive" ? "manifest" : "checkpoint", host, id }, trust);
  if (known === undefined && listed !== undefined) heads?.note(listed, bytes.subarray(0, bytes.length - rest.length));
  return { header, signer, line, bytes };
}

/** The newest manifest somebody unknown signed, when it claims to be newer than `latest`: never passed over in silence. */
export function newerUnknown(survey: Survey, latest: SeenArchive | undefined): FaultyManifest | undefined {
  const sequence = latest?.header.sequence ?? -1;
  return survey.faulty.find(({ id, fault }) => fault.isUnknownSigner && idTimeMs(id) > sequence);
}

/** Ids of manifests that no region of the survey holds properly signed. */
export function ruinedIds({ archives, faulty }: Survey): string[] {
  const known = new Set(archives.map(({ header }) => header.id));
  return [...new Set(faulty.filter(({ fault }) => !fault.isUnknownSigner && !(fault instanceof RevokedFault)).map(({ id }) => id))].filter((id) => !known.has(id));
}

/** Those among them that claim to be newer than `chosen`. */
export function ruinedSince(survey: Survey, chosen: SeenArchive): string[] {
  return ruinedIds(survey).filter((id) => idTimeMs(id) > chosen.header.sequence);
}
