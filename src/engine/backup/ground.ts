/** Everything a run finds out and checks before it reads a source: the ground it stands on. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { recipientOf } from "../../codec/age-keys.ts";
import type { LoadedConfig } from "../../config/load.ts";
import { messageOf } from "../../errors.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { ContentIndex } from "../../state/content-index.ts";
import { RunState } from "../../state/run-state.ts";
import { CatalogReader } from "../catalog-reader.ts";
import type { Emit } from "../events.ts";
import { readHostSetup, refuseIdentities, regionSpecs, type HostSetup } from "../host-setup.ts";
import { indexCatalog } from "../index-catalog.ts";
import { loadManifest, surveyHost, type Manifest } from "../manifests.ts";
import { ObjectSource, SealedReader } from "../object-source.ts";
import { openRegions, reachableRegions, type Region } from "../region.ts";
import { collectKnown, newCheckpoints, reusableObjects, type Reusable } from "./base.ts";
import { catchUp } from "./catch-up.ts";
import { checkChain, type ChainChoice, type ChainEnd } from "./chain.ts";

export type BackupOrder = ChainChoice & {
  loaded: LoadedConfig;
  env: Readonly<Record<string, string | undefined>>;
  dryRun: boolean;
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
  base: { manifest: Manifest; segments: SegmentReference[]; sources: string[] } | null;
  reusable: Reusable;
  recipients: { volume: string[]; catalog: string[] };
};

/** Folders of the state. */
export function statePaths(stateDir: string): { catalogs: string; spool: string } {
  return { catalogs: join(stateDir, "catalog"), spool: join(stateDir, "spool") };
}

/** Throws E_REFUSED, E_REGION, E_SIGNER, E_CLONE, E_CONFIG, E_DISK. */
export async function findGround(order: BackupOrder, state: RunState): Promise<Ground> {
  const { loaded, emit, signal } = order;
  const setup = readHostSetup(loaded);
  await refuseIdentities(setup, order.env);
  const { config } = loaded;
  const recipients = await recipientSets(setup);
  const paths = statePaths(config.state);
  rmSync(paths.spool, { recursive: true, force: true });
  mkdirSync(paths.spool, { recursive: true, mode: 0o700 });
  const cache = new CatalogCache(paths.catalogs);
  const regions = await openRegions(regionSpecs(loaded), emit);
  emit({ kind: "progress", text: "looking at the regions" });
  const reachable = await reachableRegions(regions, config.vault, emit);
  const survey = await surveyHost(reachable, config.host, setup.trust);
  const end = checkChain(survey, state, setup.keys.writer, order, reachable.length === regions.length);
  if (!order.dryRun) {
    settleIntent(state, survey.archives.map(({ header }) => header.id));
    await catchUp(reachable, survey, config.host, setup.trust, emit, signal);
  }
  const [newest] = survey.archives;
  const manifest = newest === undefined ? null : await loadManifest(reachable, newest, setup.trust);
  const source = new ObjectSource(config.host, reachable, emit, signal);
  const reader = await SealedReader.create(source, [setup.keys.catalogIdentity]);
  const base = manifest === null ? null : await readBase(manifest, reader, cache, emit);
  if (base !== null) await learnAgain({ order, setup, reachable, reader, cache, base: base.manifest });
  const known = await collectKnown(state, manifest, reachable, config.host, setup.trust);
  const reusable = await reusableObjects(known, reachable, {
    host: config.host,
    copies: config.copies,
    volumeRecipients: recipients.volume,
    catalogRecipients: recipients.catalog,
  });
  return { setup, regions, reachable, state, cache, spoolDir: paths.spool, end, base, reusable, recipients };
}

async function recipientSets(setup: HostSetup): Promise<Ground["recipients"]> {
  const volume = setup.loaded.config.recipients;
  return { volume, catalog: [...volume, await recipientOf(setup.keys.catalogIdentity)] };
}

/** An archive noted before its manifest was put either landed, and is in the survey, or never will. */
function settleIntent(state: RunState, ids: readonly string[]): void {
  const intent = state.intent();
  if (intent === undefined) return;
  if (!ids.includes(intent.id)) state.forgetObjects([]);
  state.clearIntent();
}

/** The catalog of the archive before. One that cannot be read costs time only: then everything is read again. */
async function readBase(manifest: Manifest, reader: SealedReader, cache: CatalogCache, emit: Emit): Promise<Ground["base"]> {
  try {
    const catalog = await CatalogReader.open(manifest, reader, cache);
    await catalog.fetch(catalog.root.segments);
    return { manifest, segments: catalog.root.segments, sources: catalog.root.head.sources };
  } catch (error) {
    emit({ kind: "warning", message: `the catalog of archive ${manifest.header.id} cannot be read, so every file is read again: ${messageOf(error)}` });
    return null;
  }
}

type Lesson = { order: BackupOrder; setup: HostSetup; reachable: Region[]; reader: SealedReader; cache: CatalogCache; base: Manifest };

/** With lost state, learns what is stored from the catalogs: of the last archive, and of unfinished runs after it. */
async function learnAgain({ order, setup, reachable, reader, cache, base }: Lesson): Promise<void> {
  const { config } = order.loaded;
  const index = new ContentIndex(config.state);
  try {
    if (!index.isEmpty()) return;
    order.emit({ kind: "progress", text: "learning from the last archive what is stored" });
    const checkpoints = await newCheckpoints(base, reachable, config.host, setup.trust);
    for (const manifest of [base, ...checkpoints]) {
      await indexCatalog(await CatalogReader.open(manifest, reader, cache), index);
    }
  } finally {
    index.close();
  }
}
