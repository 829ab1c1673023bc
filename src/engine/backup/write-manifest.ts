/** The end of a run: catalog, manifest, and the manifest's way into the regions (promise 1). */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { sealHeader } from "../../codec/age-header.ts";
import { formatPublicKey, signedObject } from "../../codec/signer.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { ColdkeepError } from "../../errors.ts";
import type { DataFact } from "../../format/data-facts.ts";
import { ID_RANDOM_BYTES, idTimeMs, makeId } from "../../format/id.ts";
import { encodeManifestHeader, encodeObjectList, RECIPIENT_SETS_MAX, type ListedObject, type ManifestHeader } from "../../format/manifest.ts";
import { type Profile, withEarlierPeak } from "../../format/profile.ts";
import type { Usual } from "../../format/usual.ts";
import { FORMAT_VERSION } from "../../format/format-version.ts";
import { agreedTimeMs } from "../../policy/clock.ts";
import type { Flag } from "../../policy/safety.ts";
import type { KnownObject } from "../../state/run-state.ts";
import type { Emit } from "../events.ts";
import { parseManifest, type Manifest } from "../manifests.ts";
import { requireVault, type Region } from "../region.ts";
import { tryCompleteRegion } from "../region-copy.ts";
import { TOOL } from "../tool.ts";
import type { Crew } from "./crew.ts";
import type { FanOut } from "./fan-out.ts";
import type { Ground } from "./ground.ts";
import { noteStored } from "./locks.ts";
import type { ScanReport, SealedCatalog } from "./messages.ts";
import { fingerprintSet, RecipientSets } from "./recipient-sets.ts";

/** How long a region that was given up may take to answer at the end of a run. */
const PROBE_MS = 5000;

export type Sealing = {
  ground: Ground;
  crew: Crew;
  fanOut: FanOut;
  /** Objects this run stored. */
  written: Map<string, KnownObject>;
  /** What is unfinished becomes a checkpoint. */
  status: ManifestHeader["status"];
  /** Whether the walk does, beyond this checkpoint. */
  goesOn: boolean;
  flags: readonly Flag[];
  /** For the root of the catalog (format §8.1). */
  facts: Record<string, unknown>;
  profile: Promise<Profile | null>;
  startedAtMs: number;
  sources: string[];
  /** What is known of the dumps. */
  databases: DataFact[];
  emit: Emit;
  signal: AbortSignal;
};

/** `id` is that of the archive. */
export type StoredCatalog = { id: string; catalog: SealedCatalog };

/** The id of a new archive: by the regions' clocks, and always after the one before. */
async function nextId(ground: Ground, signal: AbortSignal): Promise<string> {
  const answers = await Promise.allSettled(ground.reachable.map((region) => region.store.nowMs(signal)));
  const clocks = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  const nowMs = agreedTimeMs(clocks, Date.now());
  return makeId(Math.max((ground.end?.sequence ?? 0) + 1, Math.floor(nowMs)), randomBytes(ID_RANDOM_BYTES));
}

/** What a catalog tells of a whole run: what was unusual about it, and what is usual from it on. */
export function runFacts(startedAtMs: number, { counts, skippedMounts, notKept, notKeptTotal, notes }: ScanReport, flags: readonly Flag[], usual: Usual): Record<string, unknown> {
  return { startedAt: new Date(startedAtMs).toISOString(), counts, skippedMounts, notKept: { total: notKeptTotal, items: notKept }, notes, flags, usual };
}

/** Seals the catalog and stores it. Nothing counts in a region until `commit` puts a manifest that names it there. */
export async function storeCatalog(sealing: Sealing): Promise<StoredCatalog> {
  const { ground, crew, fanOut, written, sources, signal } = sealing;
  const { config } = ground.setup.loaded;
  const id = await nextId(ground, signal);
  const catalogId = makeId(Date.now(), randomBytes(ID_RANDOM_BYTES));
  const spoolPath = join(ground.spoolDir, `${catalogId}.catalog`);
  const taken = await sealing.profile;
  const profile = taken === null ? {} : withEarlierPeak(taken, ground.base?.profile ?? null);
  const head = { vault: config.vault, host: config.host, id, sources, run: sealing.facts, databases: sealing.databases, profile };
  const catalog = await crew.seal({ kind: "seal", goesOn: sealing.goesOn, catalogId, head, sealed: await sealHeader(ground.recipients.catalog), recipientSet: 0, spoolPath });
  const body = { path: spoolPath, sizeBytes: catalog.object.sizeBytes };
  await fanOut.put(catalog.object, body, (region) => noteStored(ground.state, region, catalogId));
  rmSync(spoolPath, { force: true });
  const stored = { ...catalog.object, recipients: fingerprintSet(ground.recipients.catalog) };
  written.set(catalogId, stored);
  ground.state.noteObjects([stored]);
  return { id, catalog };
}

function totalBytes(objects: readonly { sizeBytes: number }[]): number {
  return objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Every object the archive needs, with its index into the sets of this manifest. */
function listObjectsOf(sealing: Sealing, catalog: SealedCatalog, sets: RecipientSets): ListedObject[] {
  return [...catalog.volumes, ...catalog.catalogs].map((id) => {
    const object = sealing.written.get(id) ?? sealing.ground.reusable.objects.get(id);
    if (object === undefined) throw new ColdkeepError("E_INTERNAL", `the catalog names ${id}, which nobody stored`);
    const { recipients, ...listed } = object;
    return { ...listed, set: sets.indexOf(recipients) };
  });
}

/** The signed manifest, once everything that the catalog names is stored. Throws E_INTERNAL where something is not. */
export function makeManifest(sealing: Sealing, { id, catalog }: StoredCatalog): Manifest {
  const { ground, written, flags, startedAtMs, status } = sealing;
  const type = status === "unfinished" ? "checkpoint" : "manifest";
  const { config } = ground.setup.loaded;
  const sets = new RecipientSets();
  const objects = listObjectsOf(sealing, catalog, sets);
  if (sets.sets.length > RECIPIENT_SETS_MAX) throw new ColdkeepError("E_INTERNAL", `an archive with ${sets.sets.length} sets of recipients`);
  const list = encodeObjectList(objects);
  const header: ManifestHeader = {
    type,
    format: FORMAT_VERSION,
    vault: config.vault,
    host: config.host,
    id,
    writer: ground.setup.keys.writer,
    signer: formatPublicKey(ground.setup.signer.publicKey),
    sequence: idTimeMs(id),
    previous: ground.end === null ? null : { id: ground.end.id, sha256: ground.end.sha256 },
    startedAt: new Date(startedAtMs).toISOString(),
    finishedAt: new Date().toISOString(),
    tool: TOOL,
    status,
    root: catalog.root,
    totals: { ...catalog.totals, storedBytes: totalBytes(objects), addedBytes: totalBytes([...written.values()]) },
    ...(flags.length > 0 && { flags: flags.map(({ kind }) => kind) }),
    recipientSets: sets.sets,
    objects: { count: objects.length, size: list.length, sha256: sha256Hex(list) },
  };
  const bytes = signedObject(ground.setup.signer.privateKey, type, encodeManifestHeader(header), list);
  // What no reader would take must not be committed.
  return parseManifest(bytes, { type, host: config.host, id }, ground.setup.trust);
}

/** Puts the manifest into every region that holds, or can be given, all it needs. Returns the regions that are complete. */
export async function commit(sealing: Sealing, manifest: Manifest): Promise<Region[]> {
  const { ground, emit, signal } = sealing;
  const { host } = ground.setup.loaded.config;
  const { id } = manifest.header;
  const isArchive = manifest.header.type === "manifest";
  if (isArchive) ground.state.noteIntent({ id, sha256: manifest.sha256 });
  if (!sealing.goesOn) emit({ kind: "progress", text: "committing" });
  const ready = ground.regions.filter((region) => region.store.downReason === undefined && ground.reachable.includes(region));
  const complete = new Set<Region>();
  const attempt = async (region: Region): Promise<void> => {
    const sources = [...complete, ...ready];
    if (await tryCompleteRegion(region, { host, manifest, sources, emit, signal })) complete.add(region);
  };
  await Promise.all(ready.map(attempt));
  if (complete.size === 0 || !isArchive) return [...complete];
  // Regions that fell out, or never answered, get one more chance, now that there is a whole copy to take from.
  for (const region of ground.regions.filter((each) => !ready.includes(each))) {
    region.store.revive(region.deadlineMs);
    if (await answersNow(region, manifest.header.vault, signal)) await attempt(region);
  }
  return [...complete];
}

/** One short question, which costs a dead region's run no second budget. */
async function answersNow(region: Region, vault: string, signal: AbortSignal): Promise<boolean> {
  try {
    await requireVault(region, vault, AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)]));
    return true;
  } catch {
    return false;
  }
}
