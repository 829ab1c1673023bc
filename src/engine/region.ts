/** A region as the engine uses it: a name and a store with its retry budget. */
import { ColdkeepError, messageOf } from "../errors.ts";
import { MARKER_BYTES_MAX, parseVaultMarker } from "../format/vault-marker.ts";
import { VAULT_MARKER_KEY } from "../format/object-key.ts";
import type { LockRule } from "../policy/lock.ts";
import type { S3Keys } from "../storage/credentials.ts";
import { type Keeping, StoreError } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import type { Bandwidth } from "../storage/pacer.ts";
import { retryingStore, type RetryingStore } from "../storage/retrying-store.ts";
import { formatDuration } from "../units.ts";
import type { Emit } from "./events.ts";

export type Region = {
  name: string;
  url: string;
  /** When the run stops waiting for it, ms since 1970. */
  deadlineMs: number;
  /** What its configuration asks for; null for none, and for readers without one. */
  lock: LockRule | null;
  store: RetryingStore;
};

export type RegionSpec = {
  name: string;
  url: string;
  /** How long failing requests are tried again, ms. */
  retryMs: number;
  /** When the run stops waiting for it, ms after now. */
  deadlineMs: number;
  /** What all its requests share, bytes per second. */
  bandwidth?: Bandwidth;
  keeping?: Keeping;
  /** Keys of a kit, for a machine that has none for the region. */
  keys?: S3Keys | undefined;
};

/** For readers, who have no configuration. */
export const READER_RETRY_MS = 30_000;
const READER_DEADLINE_MS = 30 * 86_400_000;

export function readerSpec(name: string, url: string, keys?: S3Keys): RegionSpec {
  return { name, url, retryMs: READER_RETRY_MS, deadlineMs: READER_DEADLINE_MS, keys };
}

/** Opens the stores; nothing is asked of them yet. Throws E_URL, E_CREDENTIALS. */
export async function openRegions(specs: readonly RegionSpec[], emit: Emit): Promise<Region[]> {
  return Promise.all(
    specs.map(async ({ name, url, retryMs, deadlineMs: limitMs, bandwidth, keeping, keys }) => {
      const deadlineMs = Date.now() + limitMs;
      const store = retryingStore(await openStore(name, url, bandwidth, keys, keeping), {
        name,
        budgetMs: retryMs,
        deadlineMs,
        onRetry: ({ error, waitMs }) => emit({ kind: "detail", message: `${messageOf(error)}; trying again in ${formatDuration(waitMs)}` }),
      });
      return { name, url, deadlineMs, lock: keeping?.lock ?? null, store };
    }),
  );
}

export function closeRegions(regions: readonly Region[]): void {
  for (const region of regions) region.store.close();
}

/** The vault id in a region's marker, or null when there is none. Throws StoreError, E_FORMAT. */
export async function readMarker(region: Region, signal?: AbortSignal): Promise<string | null> {
  try {
    const bytes = await region.store.fetchBytes(VAULT_MARKER_KEY, { maxBytes: MARKER_BYTES_MAX, signal });
    return parseVaultMarker(bytes, `region "${region.name}"`);
  } catch (error) {
    if (error instanceof StoreError && error.fault === "missing") return null;
    throw error;
  }
}

/** Refuses a region that holds no vault or another one: most often a disk that is not mounted. Throws E_REGION. */
export async function requireVault(region: Region, vault: string, signal?: AbortSignal): Promise<void> {
  const found = await readMarker(region, signal);
  if (found === vault) return;
  const what = found === null ? "holds no vault" : `holds the vault ${found}, not ${vault}`;
  throw new ColdkeepError("E_REGION", `region "${region.name}" (${region.store.location}) ${what}`, {
    hint: found === null ? "Is its disk mounted? A new place is made ready with `coldkeep init`." : "Correct the region's URL in the configuration or kit.",
  });
}

/**
 * The regions that answer and hold the vault; the others are named and left out. Once one has answered, the others have
 * `graceMs` more: whoever reads needs one region, not all.
 * Throws E_REGION when none is left, and the signal's reason.
 */
export async function reachableRegions(regions: readonly Region[], vault: string, emit: Emit, signal?: AbortSignal, graceMs?: number): Promise<Region[]> {
  const patience = new AbortController();
  const asked = signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal]);
  let timer: NodeJS.Timeout | undefined;
  const ask = async (region: Region): Promise<unknown> => {
    try {
      await requireVault(region, vault, asked);
      if (graceMs !== undefined) timer ??= setTimeout(() => patience.abort(), graceMs);
      return null;
    } catch (error) {
      return patience.signal.aborted ? new ColdkeepError("E_REGION", `region "${region.name}" (${region.store.location}) does not answer; it is left out`) : error;
    }
  };
  const faults = await Promise.all(regions.map(ask));
  clearTimeout(timer);
  signal?.throwIfAborted();
  faults.forEach((fault) => {
    if (fault === null) return;
    emit({ kind: "warning", message: messageOf(fault), hint: fault instanceof ColdkeepError ? fault.hint : undefined });
  });
  const reachable = regions.filter((_, i) => faults[i] === null);
  if (reachable.length > 0) return reachable;
  const first = faults[0];
  throw new ColdkeepError("E_REGION", `no region can be used: ${messageOf(first)}`, {
    hint: first instanceof ColdkeepError ? first.hint : "Check the network, the credentials and the URLs of the regions.",
    cause: first,
  });
}
