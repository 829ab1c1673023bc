/** Everything a run finds out and checks before it reads a source: the ground it stands on. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { recipientOf } from "../../codec/age-keys.ts";
import { formatPublicKey } from "../../codec/signer.ts";
import { hasChainBegun } from "../../config/keys.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { readProfile, type Profile } from "../../format/profile.ts";
import { usualOf, type Usual } from "../../format/usual.ts";
import { revokedSigners } from "../../policy/revocation.ts";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { ContentIndex } from "../../state/content-index.ts";
import { HeadCache } from "../../state/head-cache.ts";
import type { RunState } from "../../state/run-state.ts";
import { statePaths } from "../../state/state-paths.ts";
import { CatalogReader } from "../catalog-reader.ts";
import { EarlyListings } from "../early-listings.ts";
import type { Emit } from "../events.ts";
import { readHostSetup, refuseIdentities, regionSpecs, type HostSetup } from "../host-setup.ts";
import { indexCatalog } from "../index-catalog.ts";
import { warnOfKit } from "../kit-note.ts";
import { surveyLiving } from "../living.ts";
import { loadManifest, type LostRegion, type Manifest } from "../manifests.ts";
import type { Survey } from "../survey.ts";
import { ObjectSource, SealedReader } from "../object-source.ts";
import { closeRegions, openRegions, reachableRegions, type Region } from "../region.ts";
import { collectKnown, knownObjects, newCheckpoints, recordedLost, reusableObjects, type Reusable } from "./base.ts";
import { catchUp } from "./catch-up.ts";
import { withLastingLocks } from "./locks.ts";
import { volumesToLeave } from "./reclaim.ts";
import { checkChain, type ChainChoice, type ChainEnd } from "./chain.ts";

export type BackupOrder = ChainChoice & {
  loaded: LoadedConfig;
  env: Readonly<Record<string, string | undefined>>;
  dryRun: boolean;
  /** A person says that what looks unusual is as it should be. */
  acceptChanges: boolean;
  /** Nobody watches: the run takes a low priority. */
  inBackground: boolean;
  /** How often a run that goes on writes a checkpoint, ms. Default: six hours. */
  checkpointEveryMs?: number;
  emit: Emit;
  signal: AbortSignal;
};

export type Ground = {
  setup: HostSetup;
  regions: Region[];
  /** Those that answered at the start. */
  reachable: Region[];
  state: RunState;
  cache: CatalogCache;
  spoolDir: string;
  /** The end of the chain this run follows. */
  end: ChainEnd | null;
  /** The newest archive, whose catalog the walk is compared with. */
  base: { manifest: Manifest; segments: SegmentReference[]; usual: Usual | null; profile: Profile | null } | null;
  reusable: Reusable;
  recipients: { volume: string[]; catalog: string[] };
};

/** The host's own keys, once it is sure that its owner's are not here (promise 2). Throws E_CONFIG, E_REFUSED. */
export async function readSafeSetup({ loaded, env, emit }: BackupOrder): Promise<HostSetup> {
  const setup = readHostSetup(loaded);
  await refuseIdentities(setup, env);
  warnOfKit(setup.keysDir, emit);
  return setup;
}

/** Throws E_REFUSED, E_REGION, E_SIGNER, E_CLONE, E_CONFIG, E_DISK, E_INTERRUPTED. */
export async function findGround(order: BackupOrder, setup: HostSetup, state: RunState): Promise<Ground> {
  const { loaded, emit } = order;
  const { spool } = statePaths(loaded.config.state);
  rmSync(spool, { recursive: true, force: true });
  mkdirSync(spool, { recursive: true, mode: 0o700 });
  const regions = await openRegions(regionSpecs(loaded), emit);
  try {
    return await surveyGround(order, setup, state, regions);
  } catch (error) {
    closeRegions(regions);
    throw error;
  }
}

async function surveyGround(order: BackupOrder, setup: HostSetup, state: RunState, regions: Region[]): Promise<Ground> {
  const { loaded, emit, signal } = order;
  const { config } = loaded;
  const recipients = await recipientSets(setup);
  const paths = statePaths(config.state);
  const cache = new CatalogCache(paths.catalogs);
  emit({ kind: "progress", text: "looking at the regions" });
  const early = new EarlyListings(regions, config.host, signal);
  const answering = await reachableRegions(regions, config.vault, emit, signal);
  using heads = new HeadCache(config.state);
  const survey = await surveyLiving(answering, config.host, setup.trust, emit, signal, { early, heads });
  const ever = { ...survey, archives: [...survey.archives, ...survey.expired] };
  refuseRevoked(survey, setup);
  const surveyed = withoutLost(answering, survey.lost, emit);
  const allAnswer = surveyed.length === regions.length;
  const end = checkChain(ever, state, setup.keys.writer, order, allAnswer);
  if (end === null) refuseForgotten(setup, order);
  const wasCutOff = state.intent() !== undefined;
  if (!order.dryRun) {
    settleIntent(state, ever, allAnswer);
    if (survey.archives.some((archive) => archive.regions.length < surveyed.length)) early.forgetObjects(surveyed);
    await catchUp(surveyed, survey, config.host, setup.trust, emit, signal);
  }
  const source = new ObjectSource(config.host, surveyed, emit, signal);
  const reader = await SealedReader.create(source, [setup.keys.catalogIdentity]);
  const { manifest, base } = await readBase(survey, { setup, reachable: surveyed, reader, cache, emit }, signal);
  // The run that made it was cut off before it noted what it lists.
  if (wasCutOff && manifest !== null && !order.dryRun) state.noteObjects(knownObjects(manifest));
  const known = await collectKnown(state, survey.archives, manifest, surveyed, config.host, setup.trust, signal, early);
  const lost: LostRegion[] = [];
  const wanted = { copies: config.copies, volumeRecipients: recipients.volume, catalogRecipients: recipients.catalog, damaged: recordedLost(survey.records) };
  const reusable = await reusableObjects(known, surveyed, wanted, early, lost, signal);
  const left = volumesToLeave(state, config.retention, reusable.volumes, survey.archives.map(({ header }) => header.id), emit);
  const wantedAgain = { ...reusable, volumes: reusable.volumes.filter((id) => !left.has(id)) };
  const needed = new Set(manifest?.objects.flatMap(({ id }) => (left.has(id) ? [] : [id])));
  const locked = order.dryRun ? wantedAgain : await withLastingLocks(wantedAgain, surveyed.filter((region) => !lost.some((each) => each.region === region)), { host: config.host, state, needed, early, lost, emit, signal });
  const reachable = withoutLost(surveyed, lost, emit);
  if (!order.dryRun && reachable.length === regions.length) state.forgetObjects(reusable.gone);
  return { setup, regions, reachable, state, cache, spoolDir: paths.spool, end, base, reusable: locked, recipients };
}

/** What a revoked signer signs now, no reader takes. Throws E_SIGNER. */
function refuseRevoked({ records }: Survey, { signer, keysDir }: HostSetup): void {
  if (!revokedSigners(records).has(formatPublicKey(signer.publicKey))) return;
  throw new ColdkeepError("E_SIGNER", "the signer of this host was revoked: no reader would take an archive that it signs", {
    hint: `Move ${join(keysDir, "signer.key")} away, run \`coldkeep init\` for a new one, and pin it with \`coldkeep signer trust\`; docs/guide/keys.md has every step.`,
  });
}

/** Leaves regions out that failed while they were asked. Throws E_REGION when none is left. */
function withoutLost(regions: readonly Region[], lost: readonly LostRegion[], emit: Emit): Region[] {
  for (const { error } of lost) emit({ kind: "warning", message: `${messageOf(error)}; it is left out of this run` });
  const left = regions.filter((region) => !lost.some((each) => each.region === region));
  if (left.length > 0) return left;
  throw new ColdkeepError("E_REGION", `no region can be used: ${messageOf(lost[0]?.error)}`, { hint: "Run again when a region answers." });
}

/** Neither state nor regions know of an archive, and there was one: a rollback to nothing. Throws E_REFUSED. */
function refuseForgotten(setup: HostSetup, order: BackupOrder): void {
  if (order.newChain || !hasChainBegun(setup.keysDir)) return;
  throw new ColdkeepError("E_REFUSED", "this host has committed archives, and neither its state nor any region knows of one", {
    hint: "Find out who removed them. To begin anew, run once with --new-chain.",
  });
}

async function recipientSets(setup: HostSetup): Promise<Ground["recipients"]> {
  const volume = setup.loaded.config.recipients;
  return { volume, catalog: [...volume, await recipientOf(setup.keys.catalogIdentity)] };
}

/** An archive noted before its manifest was put either landed, and is in the survey, or never will once every region says so. */
function settleIntent(state: RunState, survey: Survey, allRegionsAnswer: boolean): void {
  const intent = state.intent();
  if (intent === undefined) return;
  const landed = survey.archives.find(({ header }) => header.id === intent.id);
  if (landed !== undefined) state.noteLatest({ id: intent.id, sha256: landed.sha256, sequence: landed.header.sequence });
  if (landed !== undefined || allRegionsAnswer) state.clearIntent();
}

export type Lesson = { setup: HostSetup; reachable: Region[]; reader: SealedReader; cache: CatalogCache; base: Manifest | null; emit: Emit };

/**
 * The newest archive's manifest and catalog, and with lost state what is stored. What cannot be read costs time and space
 * only: files are then read again, and maybe stored again.
 */
async function readBase(survey: Survey, lesson: Omit<Lesson, "base">, signal: AbortSignal): Promise<{ manifest: Manifest | null; base: Ground["base"] }> {
  const { setup, reachable, reader, cache, emit } = lesson;
  const tolerant = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      emit({ kind: "warning", message: `${what}: ${messageOf(error)}` });
      return null;
    }
  };
  const [newest] = survey.archives;
  const manifest = newest === undefined ? null : await tolerant("the last archive cannot be built on", () => loadManifest(reachable, newest, setup.trust, signal));
  const base = manifest === null ? null : await tolerant(`every file is read again`, () => openBase(manifest, reader, cache));
  await tolerant("some content may be stored again", () => learnAgain({ ...lesson, base: manifest }, signal));
  return { manifest, base };
}

async function openBase(manifest: Manifest, reader: SealedReader, cache: CatalogCache): Promise<Ground["base"]> {
  const catalog = await CatalogReader.open(manifest, reader, cache);
  // The scan passes over a damaged one: its files are read again, and found to be stored.
  await catalog.fetchAbsent(catalog.root.segments);
  return { manifest, segments: catalog.root.segments, usual: usualOf(catalog.root.head.run), profile: readProfile(catalog.root.head.profile) };
}

/**
 * With lost state, learns what is stored from the catalogs: of the last archive, and of unfinished runs after it.
 * Does nothing when all of it is known already. Throws E_OBJECT, E_FORMAT, E_IDENTITY.
 */
export async function learnAgain(
  { setup, reachable, reader, cache, base, emit }: Lesson,
  signal?: AbortSignal,
): Promise<{ manifests: Manifest[]; pieces: number; segments: number }> {
  const { config } = setup.loaded;
  const index = new ContentIndex(config.state);
  try {
    if (index.isLearnt) return { manifests: [], pieces: 0, segments: 0 };
    emit({ kind: "progress", text: "learning from the last archive what is stored" });
    const checkpoints = await newCheckpoints(base, reachable, config.host, setup.trust, signal);
    const manifests = [...(base === null ? [] : [base]), ...checkpoints];
    const segments = new Set<string>();
    let pieces = 0;
    for (const manifest of manifests) {
      const catalog = await CatalogReader.open(manifest, reader, cache);
      // Where state was damaged the cached segments may be too: reading throws bad ones out, to be fetched again.
      for (const { sha256, size } of catalog.root.segments) cache.text(sha256, size);
      pieces += await indexCatalog(catalog, index);
      for (const { sha256 } of catalog.root.segments) segments.add(sha256);
    }
    index.noteLearnt();
    return { manifests, pieces, segments: segments.size };
  } finally {
    index.close();
  }
}
