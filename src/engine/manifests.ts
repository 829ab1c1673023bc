/** Reading manifests from regions: which archives there are, where, and their object lists. */
import { sha256Hex } from "../codec/digest.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { idTimeMs, idTimeText } from "../format/id.ts";
import { MANIFEST_HEAD_BYTES, OBJECT_LIST_BYTES_MAX, parseObjectList, type ListedObject, type ManifestHeader } from "../format/manifest.ts";
import { keyPrefix, objectKey, parseObjectKey, type KeyKind } from "../format/object-key.ts";
import { newestFirst, type SeenArchive } from "../policy/latest.ts";
import type { StoredObject } from "../storage/object-store.ts";
import { KIB } from "../units.ts";
import type { EarlyListings } from "./early-listings.ts";
import type { Region } from "./region.ts";
import { ManifestFault, verifyHead, type Trust } from "./trust.ts";

/** A manifest with its whole list, as checked bytes. */
export type Manifest = { header: ManifestHeader; sha256: string; bytes: Buffer; objects: ListedObject[] };

/** A manifest that did not verify, in one region. */
export type FaultyManifest = { id: string; region: string; fault: ManifestFault };

/** A region that failed while it was asked; what it alone holds was not seen. */
export type LostRegion = { region: Region; error: unknown };

export type Survey = { archives: SeenArchive[]; faulty: FaultyManifest[]; lost: LostRegion[] };

const HEADS_AT_ONCE = 32;
/** The newest manifest is most often wanted whole; up to this size it comes with its head. */
const NEWEST_BYTES = 256 * KIB;

/** Ids of one kind of a host in a region, from a time on if one is given, with what the listing says of them. Foreign keys are left out. */
export async function listObjects(region: Region, host: string, kind: KeyKind, signal?: AbortSignal, sinceMs?: number): Promise<Map<string, StoredObject>> {
  const found = new Map<string, StoredObject>();
  const prefix = keyPrefix(host, kind);
  const after = sinceMs === undefined ? undefined : prefix + idTimeText(sinceMs);
  for await (const object of region.store.list(prefix, signal, after)) {
    const parsed = parseObjectKey(object.key);
    if (parsed?.kind === kind && parsed.host === host) found.set(parsed.id, object);
  }
  return found;
}

/** Runs `work` over `items`, a few at a time. */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: Math.min(atOnce, items.length) }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

/**
 * The archives (or checkpoints) of a host in all `regions`, verified, and the manifests that did not verify. A region that
 * fails is `lost`, and holds nothing then. Throws StoreError when every region fails, E_INTERRUPTED.
 */
export async function surveyHost(
  regions: readonly Region[],
  host: string,
  trust: Trust,
  kind: "archive" | "checkpoint" = "archive",
  signal?: AbortSignal,
  early?: EarlyListings,
): Promise<Survey> {
  const survey: Survey = { archives: [], faulty: [], lost: [] };
  const listings = await askEach(regions, (region) => early?.get(region, kind) ?? listObjects(region, host, kind, signal), survey.lost, signal);
  const [newest, ...older] = idsNewestFirst(listings);
  const asked = { host, trust, kind, signal };
  await Promise.all([
    newest === undefined ? undefined : surveyOne(newest, listings, { ...asked, headBytes: NEWEST_BYTES }, survey),
    eachOf(older, HEADS_AT_ONCE, (id) => surveyOne(id, listings, { ...asked, headBytes: MANIFEST_HEAD_BYTES }, survey)),
  ]);
  return surveyed(survey, regions);
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
  const survey: Survey = { archives: [], faulty: [], lost: [] };
  const listings = await askEach(regions, (region) => listObjects(region, host, "archive", signal, sinceMs), survey.lost, signal);
  for (const id of idsNewestFirst(listings)) {
    await surveyOne(id, listings, { host, trust, kind: "archive", signal, headBytes: MANIFEST_HEAD_BYTES }, survey);
    if (survey.archives.length > 0) break;
  }
  if (survey.archives.length === 0 && sinceMs !== undefined) return surveyNewest(regions, host, trust, undefined, signal);
  return surveyed(survey, regions);
}

/** Without what lost regions said. Throws the first error when all are lost. */
function surveyed(survey: Survey, regions: readonly Region[]): Survey {
  const lost = new Set(survey.lost.map(({ region }) => region.name));
  if (lost.size === regions.length) throw survey.lost[0]?.error;
  const archives = survey.archives.map((archive) => ({ ...archive, regions: archive.regions.filter((name) => !lost.has(name)) }));
  return { ...survey, archives: newestFirst(archives) };
}

export type Answered<T> = { region: Region; answer: T };

/** Asks all regions at once; those that fail go to `lost`. Throws E_INTERRUPTED. */
export async function askEach<T>(regions: readonly Region[], ask: (region: Region) => Promise<T>, lost: LostRegion[], signal?: AbortSignal): Promise<Answered<T>[]> {
  const answers = await Promise.allSettled(regions.map(async (region) => ({ region, answer: await ask(region) })));
  signal?.throwIfAborted();
  return answers.flatMap((result, i) => {
    if (result.status === "fulfilled") return [result.value];
    const region = regions[i];
    if (region !== undefined) lost.push({ region, error: result.reason });
    return [];
  });
}

type Asked = { host: string; trust: Trust; kind: "archive" | "checkpoint"; headBytes: number; signal: AbortSignal | undefined };

/** Takes the first region whose head verifies; others count as holders by the size of what they list. */
async function surveyOne(id: string, listings: Listings, asked: Asked, survey: Survey): Promise<void> {
  const holders = listings.filter(({ answer }) => answer.has(id));
  const bad = new Set<Region>();
  for (const { region } of holders) {
    try {
      const { header, line, bytes } = await readHead(region, id, asked);
      const sizeBytes = manifestBytes(line.length, header);
      const regions = holders.filter((holder) => !bad.has(holder.region) && holder.answer.get(id)?.sizeBytes === sizeBytes).map((holder) => holder.region.name);
      survey.archives.push({ header, sha256: sha256Hex(line), regions, ...(asked.headBytes === NEWEST_BYTES && bytes.length === sizeBytes && { bytes }) });
      return;
    } catch (error) {
      asked.signal?.throwIfAborted();
      bad.add(region);
      if (error instanceof ManifestFault) survey.faulty.push({ id, region: region.name, fault: error });
      else if (!survey.lost.some((lost) => lost.region === region)) survey.lost.push({ region, error });
    }
  }
}

const SIGNATURE_LINE_BYTES = 89;

/** Size of a whole manifest, known from its header. */
function manifestBytes(lineBytes: number, header: ManifestHeader): number {
  return lineBytes + 1 + SIGNATURE_LINE_BYTES + header.objects.size;
}

async function readHead(region: Region, id: string, { host, trust, kind, headBytes, signal }: Asked): Promise<{ header: ManifestHeader; line: Buffer; bytes: Buffer }> {
  const key = objectKey(host, kind, id);
  const bytes = await region.store.fetchBytes(key, { range: { offset: 0, length: headBytes }, maxBytes: headBytes, signal });
  const { header, line } = verifyHead(bytes, { type: kind === "archive" ? "manifest" : "checkpoint", host, id }, trust);
  return { header, line, bytes };
}

/** Reads and checks a whole manifest from bytes. Throws ManifestFault, E_FORMAT. */
export function parseManifest(bytes: Buffer, expected: { type: "manifest" | "checkpoint"; host: string; id: string }, trust: Trust): Manifest {
  const { header, line, rest } = verifyHead(bytes, expected, trust);
  const what = `${expected.type} ${expected.id}`;
  if (rest.length !== header.objects.size || sha256Hex(rest) !== header.objects.sha256) {
    throw new ManifestFault(`the object list of ${what} does not match its digest`, false);
  }
  return { header, sha256: sha256Hex(line), bytes, objects: parseObjectList(rest, header, what) };
}

/** The whole manifest of an archive from the first region where it is intact. Throws E_OBJECT. */
export async function loadManifest(regions: readonly Region[], archive: SeenArchive, trust: Trust, signal?: AbortSignal): Promise<Manifest> {
  const { host, id, type } = archive.header;
  const maxBytes = MANIFEST_HEAD_BYTES + OBJECT_LIST_BYTES_MAX;
  let last: unknown;
  try {
    if (archive.bytes !== undefined) return parseManifest(archive.bytes, { type, host, id }, trust);
  } catch {
    // Its list is damaged where it came from: reading it anew says so, region by region.
  }
  for (const region of regions.filter(({ name }) => archive.regions.includes(name))) {
    try {
      const bytes = await region.store.fetchBytes(objectKey(host, type === "manifest" ? "archive" : "checkpoint", id), { maxBytes, signal });
      return parseManifest(bytes, { type, host, id }, trust);
    } catch (error) {
      signal?.throwIfAborted();
      last = error;
    }
  }
  throw new ColdkeepError("E_OBJECT", `the manifest of archive ${id} is whole in no region: ${messageOf(last)}`, {
    hint: "Run `coldkeep verify` to see what is left.",
    cause: last,
  });
}

/** The newest manifest somebody unknown signed, when it claims to be newer than `latest`: never passed over in silence. */
export function newerUnknown(survey: Survey, latest: SeenArchive | undefined): FaultyManifest | undefined {
  const sequence = latest?.header.sequence ?? -1;
  return survey.faulty.find(({ id, fault }) => fault.isUnknownSigner && idTimeMs(id) > sequence);
}
