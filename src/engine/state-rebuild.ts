/** Making the local state anew: it is a cache, and everything in it can be learnt from the regions (promise 7). */
import type { LoadedConfig } from "../config/load.ts";
import { messageOf } from "../errors.ts";
import { CatalogCache } from "../state/catalog-cache.ts";
import { ContentIndex } from "../state/content-index.ts";
import { HostLock } from "../state/host-lock.ts";
import { RunState } from "../state/run-state.ts";
import { statePaths } from "../state/state-paths.ts";
import { knownObjects } from "./backup/base.ts";
import { checkChain, type ChainEnd } from "./backup/chain.ts";
import { learnAgain } from "./backup/ground.ts";
import type { Emit } from "./events.ts";
import { readHostSetup, regionSpecs, type HostSetup } from "./host-setup.ts";
import { loadManifest, type Manifest } from "./manifests.ts";
import { surveyHost } from "./survey.ts";
import { ObjectSource, SealedReader } from "./object-source.ts";
import { closeRegions, openRegions, reachableRegions, type Region } from "./region.ts";

export type RebuildOrder = { loaded: LoadedConfig; emit: Emit; signal: AbortSignal };

export type RebuildReport = {
  /** The newest archive, which was learnt from; null when there is none yet. */
  archive: string | null;
  /** Of unfinished runs after it. */
  checkpoints: string[];
  /** Stored objects known again. */
  objects: number;
  /** Files and chunks whose place is known again. */
  pieces: number;
  /** Catalog segments that lie here again. */
  segments: number;
};

/**
 * Forgets what the state holds and learns it again from the newest archive and the checkpoints after it.
 * Throws E_LOCKED or E_STALLED while another run holds the host; E_REGION, E_SIGNER, E_OBJECT and E_REFUSED (rollback) before anything
 * is forgotten.
 */
export async function rebuildState(order: RebuildOrder): Promise<RebuildReport> {
  const { loaded, emit, signal } = order;
  const setup = readHostSetup(loaded);
  const lock = HostLock.take(loaded.config.state);
  let regions: Region[] = [];
  try {
    regions = await openRegions(regionSpecs(loaded), emit);
    const reachable = await reachableRegions(regions, setup.trust.vault, emit, signal);
    return await rebuildFrom(order, setup, regions, reachable);
  } finally {
    closeRegions(regions);
    lock.release();
  }
}

async function rebuildFrom({ loaded, emit, signal }: RebuildOrder, setup: HostSetup, regions: readonly Region[], answering: Region[]): Promise<RebuildReport> {
  const { host, state: stateDir } = loaded.config;
  const state = new RunState(stateDir);
  try {
    const survey = await surveyHost(answering, host, setup.trust, "archive", signal);
    for (const { error } of survey.lost) emit({ kind: "warning", message: messageOf(error) });
    const reachable = answering.filter((region) => !survey.lost.some((lost) => lost.region === region));
    const allAnswer = reachable.length === regions.length;
    // Another instance may have written last: that is for `backup` to refuse.
    const end = checkChain(survey, state, setup.keys.writer, { takeOver: true, newChain: false }, allAnswer);
    const [newest] = survey.archives;
    const base = newest === undefined ? null : await loadManifest(reachable, newest, setup.trust, signal);
    const reader = await SealedReader.create(new ObjectSource(host, reachable, emit, signal), [setup.keys.catalogIdentity]);
    const cache = forget(state, stateDir, end, allAnswer);
    const { manifests, pieces, segments } = await learnAgain({ setup, reachable, reader, cache, base, emit }, signal);
    return { archive: base?.header.id ?? null, ...noteManifests(state, manifests, base), pieces, segments };
  } finally {
    state.close();
  }
}

/** Empties the state but for what protects the chain: the archive seen last, and one whose fate is not known while a region is away. */
function forget(state: RunState, stateDir: string, end: ChainEnd | null, allAnswer: boolean): CatalogCache {
  const intent = state.intent();
  state.clear();
  if (end !== null) state.noteLatest(end);
  if (intent !== undefined && !allAnswer) state.noteIntent(intent);
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

function noteManifests(state: RunState, manifests: readonly Manifest[], base: Manifest | null): { checkpoints: string[]; objects: number } {
  const objects = manifests.flatMap(knownObjects);
  state.noteObjects(objects);
  const checkpoints = manifests.filter((manifest) => manifest !== base).map(({ header }) => header.id);
  return { checkpoints, objects: new Set(objects.map(({ id }) => id)).size };
}
