/** Making the local state anew: it is a cache, and everything in it can be learnt from the regions (promise 7). */
import { mkdirSync } from "node:fs";
import type { LoadedConfig } from "../config/load.ts";
import { CatalogCache } from "../state/catalog-cache.ts";
import { ContentIndex } from "../state/content-index.ts";
import { HostLock } from "../state/host-lock.ts";
import { RunState } from "../state/run-state.ts";
import { knownObjects } from "./backup/base.ts";
import { checkChain, type ChainEnd } from "./backup/chain.ts";
import { learnAgain, statePaths } from "./backup/ground.ts";
import type { Emit } from "./events.ts";
import { readHostSetup, regionSpecs, type HostSetup } from "./host-setup.ts";
import { loadManifest, surveyHost, type Manifest } from "./manifests.ts";
import { ObjectSource, SealedReader } from "./object-source.ts";
import { closeRegions, openRegions, reachableRegions, type Region } from "./region.ts";

export type RebuildOrder = { loaded: LoadedConfig; emit: Emit; signal: AbortSignal };

export type RebuildReport = {
  /** The newest archive, which was learnt from; null when there is none yet. */
  archive: string | null;
  checkpoints: string[];
  /** Stored objects known again. */
  objects: number;
  /** Files and chunks whose place is known again. */
  pieces: number;
  segments: number;
};

/**
 * Forgets what the state holds and learns it again from the newest archive and the checkpoints after it.
 * Throws E_LOCKED while another run holds the host, E_REGION, E_SIGNER and E_REFUSED (rollback) before anything is forgotten.
 */
export async function rebuildState(order: RebuildOrder): Promise<RebuildReport> {
  const { loaded, emit } = order;
  const stateDir = loaded.config.state;
  const setup = readHostSetup(loaded);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const lock = HostLock.take(stateDir);
  let regions: Region[] = [];
  try {
    regions = await openRegions(regionSpecs(loaded), emit);
    const reachable = await reachableRegions(regions, setup.trust.vault, emit);
    return await rebuildFrom(order, setup, regions, reachable);
  } finally {
    closeRegions(regions);
    lock.release();
  }
}

async function rebuildFrom(order: RebuildOrder, setup: HostSetup, regions: readonly Region[], reachable: Region[]): Promise<RebuildReport> {
  const { config } = order.loaded;
  const state = new RunState(config.state);
  try {
    const survey = await surveyHost(reachable, config.host, setup.trust);
    // Another instance may have written last: that is for `backup` to refuse.
    const end = checkChain(survey, state, setup.keys.writer, { takeOver: true, newChain: false }, reachable.length === regions.length);
    const [newest] = survey.archives;
    const base = newest === undefined ? null : await loadManifest(reachable, newest, setup.trust);
    const cache = forget(state, config.state, end);
    if (base === null) return { archive: null, checkpoints: [], objects: 0, pieces: 0, segments: 0 };
    return await learn(order, { setup, reachable, state, cache, base });
  } finally {
    state.close();
  }
}

/** What protects the chain is kept: the archive this host saw last. */
function forget(state: RunState, stateDir: string, end: ChainEnd | null): CatalogCache {
  state.clear();
  if (end !== null) state.noteLatest(end);
  const index = new ContentIndex(stateDir);
  try {
    index.clear();
  } finally {
    index.close();
  }
  const cache = new CatalogCache(statePaths(stateDir).catalogs);
  cache.retain(new Set());
  return cache;
}

type Learning = { setup: HostSetup; reachable: Region[]; state: RunState; cache: CatalogCache; base: Manifest };

async function learn({ loaded, emit, signal }: RebuildOrder, { setup, reachable, state, cache, base }: Learning): Promise<RebuildReport> {
  const source = new ObjectSource(loaded.config.host, reachable, emit, signal);
  const reader = await SealedReader.create(source, [setup.keys.catalogIdentity]);
  const { manifests, pieces, segments } = await learnAgain({ setup, reachable, reader, cache, base, emit });
  const objects = manifests.flatMap(knownObjects);
  state.noteObjects(objects);
  const checkpoints = manifests.filter((manifest) => manifest !== base).map(({ header }) => header.id);
  return { archive: base.header.id, checkpoints, objects: new Set(objects.map(({ id }) => id)).size, pieces, segments };
}
