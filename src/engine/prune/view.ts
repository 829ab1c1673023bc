/**
 * All that the regions hold of a host, looked at as strictly as whoever deletes must: every file among its manifests, in every
 * region, is read whole and checked. What is not as it should be is an obstacle: it may need everything.
 */
import { messageOf, ColdkeepError, type ErrorCode } from "../../errors.ts";
import { keyPrefix, objectKey, parseObjectKey } from "../../format/object-key.ts";
import { MANIFEST_HEAD_BYTES, OBJECT_LIST_BYTES_MAX } from "../../format/manifest.ts";
import { agreedTimeMs } from "../../policy/clock.ts";
import { type Fates, fatesOf } from "../../policy/fates.ts";
import type { SeenArchive } from "../../policy/latest.ts";
import { type StoredObject, StoreError } from "../../storage/object-store.ts";
import { formatDuration } from "../../units.ts";
import { eachOf, parseManifest } from "../manifests.ts";
import type { OpenVault } from "../open-vault.ts";
import { type StoredRecord, surveyRecords } from "../records.ts";
import type { Region } from "../region.ts";

/** Why nothing of a host may be deleted. */
export type Obstacle = { code: ErrorCode; message: string; hint: string };

export const MANIFEST_KINDS = ["archive", "checkpoint", "expired"] as const;
export type ManifestKind = (typeof MANIFEST_KINDS)[number];

/** A manifest, and what it needs: keys of objects, below the region's prefix. */
export type ViewedManifest = SeenArchive & { kind: ManifestKind; objects: readonly string[] };

export type RegionView = {
  region: Region;
  /** By its own clock. */
  nowMs: number;
  /** By key: everything below the host's folder. */
  stored: Map<string, StoredObject>;
};

export type HostView = {
  host: string;
  regions: RegionView[];
  /** By kind and id. */
  manifests: Map<string, ViewedManifest>;
  /** Sizes of objects by key, as signed lists have them. */
  sizes: Map<string, number>;
  records: StoredRecord[];
  fates: Fates;
  /** What time the regions and this machine agree on, ms. */
  nowMs: number;
  obstacles: Obstacle[];
};

/** Clocks that differ more say nothing about a grace period. */
const CLOCKS_APART_MS = 3_600_000;
const MANIFESTS_AT_ONCE = 8;

export function manifestName(kind: ManifestKind, id: string): string {
  return `${kind} ${id}`;
}

/** Looks at one host. What went wrong is among the obstacles. Throws E_INTERRUPTED. */
export async function viewHost(vault: OpenVault, host: string, signal: AbortSignal): Promise<HostView> {
  const obstacles: Obstacle[] = vault.regions.filter((region) => !vault.reachable.includes(region)).map(({ name }) => away(name, "it does not answer"));
  const regions: RegionView[] = [];
  await eachOf(vault.reachable, vault.reachable.length, async (region) => {
    try {
      regions.push(await viewRegion(region, host, signal));
    } catch (error) {
      signal.throwIfAborted();
      obstacles.push(away(region.name, messageOf(error)));
    }
  });
  const nowMs = agreedTimeMs(regions.map((region) => region.nowMs), Date.now());
  for (const region of regions) obstacles.push(...foreignFiles(region, host), ...clockObstacles(region, nowMs));
  const records = await surveyRecords(regions.map(({ region }) => region), host, vault.trust, signal);
  obstacles.push(...recordObstacles(records));
  regions.sort((a, b) => vault.regions.indexOf(a.region) - vault.regions.indexOf(b.region));
  const view: HostView = { host, regions, manifests: new Map(), sizes: new Map(), records: records.records, fates: fatesOf(records.records.map(({ record }) => record)), nowMs, obstacles };
  await addManifests(view, vault, signal);
  return view;
}

function away(region: string, why: string): Obstacle {
  const what = why.startsWith(`region "${region}"`) ? why : `region "${region}": ${why}`;
  return { code: "E_REGION", message: what, hint: "Run again when every region answers: one that is silent may hold an archive that needs what others would delete." };
}

async function viewRegion(region: Region, host: string, signal: AbortSignal): Promise<RegionView> {
  const stored = new Map<string, StoredObject>();
  for await (const object of region.store.list(`hosts/${host}/`, signal)) stored.set(object.key, object);
  return { region, stored, nowMs: await region.store.nowMs(signal) };
}

function clockObstacles({ region, nowMs }: RegionView, agreedMs: number): Obstacle[] {
  const apartMs = Math.max(Math.abs(nowMs - agreedMs), Math.abs(nowMs - Date.now()));
  if (apartMs <= CLOCKS_APART_MS) return [];
  return [{ code: "E_REFUSED", message: `region "${region.name}": its clock is ${formatDuration(apartMs)} off, so nobody knows how old anything in it is`, hint: "Set the clock that is wrong, there or on this machine, and run again." }];
}

/** Files among the manifests that are none. */
function foreignFiles({ region, stored }: RegionView, host: string): Obstacle[] {
  const folders = [keyPrefix(host, "archive"), keyPrefix(host, "checkpoint")];
  const foreign = [...stored.keys()].filter((key) => folders.some((folder) => key.startsWith(folder)) && parseObjectKey(key) === null);
  return foreign.map((key) => ({ code: "E_REFUSED", message: `region "${region.name}" holds ${key}, which is no manifest`, hint: "Find out what it is; if nobody needs it, remove it and run again." }));
}

function recordObstacles({ records, faulty, lost }: Awaited<ReturnType<typeof surveyRecords>>): Obstacle[] {
  const valid = new Set(records.map(({ record }) => record.record.id));
  const unknown = records.flatMap(({ record: { kind, record } }): Obstacle[] =>
    kind === "other" ? [{ code: "E_REFUSED", message: `record ${record.id} is of a kind this version does not know: ${record.kind.slice(0, 32)}`, hint: "Prune with the coldkeep release that wrote it." }] : [],
  );
  const bad = faulty.filter(({ id }) => !valid.has(id)).map(({ region, error }) => faultObstacle(region, error));
  return [...lost.map(({ region, error }) => away(region.name, messageOf(error))), ...unknown, ...bad];
}

function faultObstacle(region: string, error: unknown): Obstacle {
  const what = messageOf(error).replaceAll(`region "${region}": `, "");
  const code = error instanceof ColdkeepError ? error.code : "E_INTERNAL";
  if (code === "E_STORE") return away(region, what);
  const hint = error instanceof ColdkeepError ? error.hint : undefined;
  return { code: code === "E_SIGNER" ? code : "E_REFUSED", message: `region "${region}": ${what}; what cannot be verified may need everything`, hint: hint ?? "Run `coldkeep verify`; a damaged copy is put right by `coldkeep repair`, or removed by hand where another region holds it whole." };
}

/** Reads and checks the manifests that are not in the view yet, in every region that has them. */
export async function addManifests(view: HostView, vault: OpenVault, signal: AbortSignal): Promise<void> {
  const { host, regions, manifests } = view;
  const wanted = regions.flatMap(({ region, stored }) =>
    [...stored.keys()].flatMap((key) => {
      const parsed = parseObjectKey(key);
      const kind = MANIFEST_KINDS.find((each) => each === parsed?.kind);
      if (parsed === null || kind === undefined || manifests.get(manifestName(kind, parsed.id))?.regions.includes(region.name) === true) return [];
      return [{ region, stored, key, kind, id: parsed.id }];
    }),
  );
  const keys = new Map<string, string>();
  await eachOf(wanted, MANIFESTS_AT_ONCE, async ({ region, stored, key, kind, id }) => {
    try {
      const bytes = await region.store.fetchBytes(key, { maxBytes: MANIFEST_HEAD_BYTES + OBJECT_LIST_BYTES_MAX, signal });
      const { header, sha256, objects, signer } = parseManifest(bytes, { type: kind === "checkpoint" ? "checkpoint" : "manifest", host, id }, vault.trust);
      const known = manifests.get(manifestName(kind, id));
      if (known !== undefined && known.sha256 !== sha256) throw new ColdkeepError("E_REFUSED", `the manifest of ${kind} ${id} is another one than in region "${known.regions[0]}"`, { hint: "Find out who wrote it: `coldkeep verify` shows both." });
      for (const { id: object, kind: of, sizeBytes } of objects) view.sizes.set(objectKey(host, of, object), sizeBytes);
      if (known !== undefined) known.regions.push(region.name);
      else manifests.set(manifestName(kind, id), { kind, header, sha256, signer, regions: [region.name], objects: objects.map((each) => shared(keys, objectKey(host, each.kind, each.id))) });
    } catch (error) {
      signal.throwIfAborted();
      // Another prune was quicker. Such a copy protects nothing: it only says what may go.
      if (kind === "expired" && error instanceof StoreError && error.fault === "missing") stored.delete(key);
      else view.obstacles.push(faultObstacle(region.name, error));
    }
  });
}

/** One text for all lists that name an object. */
function shared(keys: Map<string, string>, key: string): string {
  const known = keys.get(key);
  if (known !== undefined) return known;
  keys.set(key, key);
  return key;
}

/** Looks again for manifests that were not there before. Returns whether there are any. Throws StoreError, E_INTERRUPTED. */
export async function lookAgain(view: HostView, vault: OpenVault, signal: AbortSignal): Promise<boolean> {
  const before = view.manifests.size;
  for (const { region, stored } of view.regions) {
    for (const kind of ["archive", "checkpoint"] as const) {
      for await (const object of region.store.list(keyPrefix(view.host, kind), signal)) stored.set(object.key, object);
    }
  }
  await addManifests(view, vault, signal);
  return view.manifests.size > before;
}
