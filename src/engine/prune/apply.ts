/**
 * Does what a plan says, in an order that can be broken off anywhere: records that end archives, copies of their manifests
 * set aside, the manifests, and, once their time is over, the objects. Called again, it goes on where it was.
 */
import { randomBytes } from "node:crypto";
import type { Signer } from "../../codec/signer.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { ID_RANDOM_BYTES, makeId } from "../../format/id.ts";
import { objectKey, parseObjectKey } from "../../format/object-key.ts";
import { fatesOf, isExpired } from "../../policy/fates.ts";
import { formatSize } from "../../units.ts";
import type { Emit } from "../events.ts";
import { eachOf, loadManifest } from "../manifests.ts";
import type { OpenVault } from "../open-vault.ts";
import { putRecord, surveyRecords } from "../records.ts";
import type { Region } from "../region.ts";
import type { PlannedRegion, PrunePlan } from "./plan.ts";
import { type HostView, lookAgain, manifestName, type RegionView } from "./view.ts";

export type PrunedRegion = {
  region: string;
  manifests: number;
  objects: number;
  /** Bytes of everything that is gone from the store. */
  freedBytes: number;
  /** What a lock of the store's keeps; until when, ms since 1970, null where nobody says. */
  kept: { key: string; untilMs: number | null }[];
};

export type Pruned = { records: number; regions: PrunedRegion[] };

export type PruneGround = { vault: OpenVault; view: HostView; plan: PrunePlan; signer: Signer; emit: Emit; signal: AbortSignal };

const ERASED_AT_ONCE = 8;
/** Manifests are listed again after this time of deleting, ms. */
const LOOK_VALID_MS = 10 * 60_000;

/** Throws E_REFUSED where something came meanwhile that cannot be verified, E_REGION, StoreError, E_INTERRUPTED; what was done stays done. */
export async function applyPlan(ground: PruneGround): Promise<Pruned> {
  const { plan, view, vault, signal } = ground;
  const records = await writeRecords(ground);
  for (const planned of plan.regions) await setAside(ground, regionOf(view, planned).region, planned.newCopies);
  const removed = await stillToRemove(ground);
  const done = plan.regions.map((planned): PrunedRegion => ({ region: planned.region, manifests: 0, objects: 0, freedBytes: 0, kept: [] }));
  const each = async (work: (planned: PlannedRegion, region: Region, done: PrunedRegion) => Promise<void>): Promise<void> => {
    await Promise.all(plan.regions.map(async (planned, i) => work(planned, regionOf(view, planned).region, done[i] ?? missing(planned.region))));
  };
  await each(async ({ manifests }, region, into) => {
    const keys = manifests.filter((key) => isStill(key, removed));
    into.manifests = await erase(region, keys, into, signal);
  });
  const sweep = new Sweep(view, vault, signal);
  if (plan.regions.some(({ objects, oldCopies }) => objects.length + oldCopies.length > 0)) await sweep.look();
  await each((planned, region, into) => sweepRegion(ground, sweep, planned, region, into));
  return { records, regions: done };
}

function missing(region: string): never {
  throw new ColdkeepError("E_INTERNAL", `region "${region}" is in the plan, and not in view`);
}

function regionOf(view: HostView, { region }: PlannedRegion): RegionView {
  return view.regions.find((each) => each.region.name === region) ?? missing(region);
}

/** New records for what is to expire, and every valid record into the regions that lack it. Returns how many are new. */
async function writeRecords({ plan, view, vault, signer, signal }: PruneGround): Promise<number> {
  const regions = view.regions.map(({ region }) => region);
  for (const { record, bytes, regions: holders } of view.records) {
    for (const region of regions.filter(({ name }) => !holders.includes(name))) {
      await region.store.put(objectKey(view.host, "record", record.record.id), bytes, { sha256: sha256Hex(bytes), signal });
    }
  }
  for (const { archive, manifest, previous, reason } of plan.expire) {
    const id = makeId(view.nowMs, randomBytes(ID_RANDOM_BYTES));
    const text = { vault: vault.trust.vault, host: view.host, id, at: new Date(view.nowMs).toISOString(), kind: "expire" as const, archive, manifest, previous, reason: reason.slice(0, 1000) };
    const [failed] = await putRecord(regions, text, signer, signal);
    if (failed !== undefined) throw failed.error;
  }
  return plan.expire.length;
}

/** Copies of manifests, by which the objects they list are known for as long as they are kept. */
async function setAside({ view, vault, signal }: PruneGround, region: Region, archives: readonly string[]): Promise<void> {
  for (const id of archives) {
    const seen = view.manifests.get(manifestName("archive", id));
    if (seen === undefined) continue;
    const { bytes } = await loadManifest(vault.reachable, seen, vault.trust, signal);
    // One that is there already counts from an earlier end of this archive; its time begins anew.
    await region.store.put(objectKey(view.host, "expired", id), bytes, { sha256: sha256Hex(bytes), overwrite: true, signal });
  }
}

/** The archives of the plan that are not held meanwhile. */
async function stillToRemove({ plan, view, vault, signal }: PruneGround): Promise<ReadonlySet<string>> {
  const { records, lost } = await surveyRecords(view.regions.map(({ region }) => region), view.host, vault.trust, signal);
  if (lost[0] !== undefined) throw lost[0].error;
  const fates = fatesOf(records.map(({ record }) => record));
  return new Set(plan.remove.filter((id) => {
    const seen = view.manifests.get(manifestName("archive", id));
    return seen !== undefined && isExpired(fates, seen);
  }));
}

function isStill(key: string, removed: ReadonlySet<string>): boolean {
  const parsed = parseObjectKey(key);
  return parsed?.kind === "checkpoint" || (parsed?.kind === "archive" && removed.has(parsed.id));
}

/** Erases keys in order of the plan; notes what a lock keeps. Returns how many are gone. */
async function erase(region: Region, keys: readonly string[], into: PrunedRegion, signal: AbortSignal): Promise<number> {
  let gone = 0;
  await eachOf(keys, ERASED_AT_ONCE, async (key) => {
    const { freedBytes, kept } = await region.store.erase(key, signal);
    into.freedBytes += freedBytes;
    if (kept === null) gone++;
    else into.kept.push({ key, untilMs: kept.untilMs });
  });
  return gone;
}

/** What must not go after all, because a manifest came that needs it. */
class Sweep {
  readonly #view: HostView;
  readonly #vault: OpenVault;
  readonly #signal: AbortSignal;
  readonly #known: ReadonlySet<string>;
  #lookedAtMs = 0;
  #looking: Promise<void> | undefined;
  #needed: ReadonlySet<string> = new Set();

  constructor(view: HostView, vault: OpenVault, signal: AbortSignal) {
    this.#view = view;
    this.#vault = vault;
    this.#signal = signal;
    this.#known = new Set(view.manifests.keys());
  }

  /** Reads what was written since the plan was made. Throws E_REFUSED where that cannot be verified, StoreError. */
  async look(): Promise<void> {
    await lookAgain(this.#view, this.#vault, this.#signal);
    const [obstacle] = this.#view.obstacles;
    if (obstacle !== undefined) throw new ColdkeepError(obstacle.code, obstacle.message, { hint: obstacle.hint });
    const added = [...this.#view.manifests].filter(([name, { kind }]) => kind !== "expired" && !this.#known.has(name));
    this.#needed = new Set(added.flatMap(([, { objects }]) => objects));
    this.#lookedAtMs = Date.now();
  }

  /** Those of some keys that nothing needs by now. */
  async free(keys: readonly string[]): Promise<string[]> {
    if (Date.now() - this.#lookedAtMs > LOOK_VALID_MS) await (this.#looking ??= this.look().finally(() => (this.#looking = undefined)));
    return keys.filter((key) => !this.#needed.has(key));
  }
}

const SWEPT_BETWEEN_LOOKS = 500;

async function sweepRegion({ plan, view, emit, signal }: PruneGround, sweep: Sweep, planned: PlannedRegion, region: Region, into: PrunedRegion): Promise<void> {
  const keys = planned.objects.map(({ key }) => key);
  for (let at = 0; at < keys.length; at += SWEPT_BETWEEN_LOOKS) {
    into.objects += await erase(region, await sweep.free(keys.slice(at, at + SWEPT_BETWEEN_LOOKS)), into, signal);
    emit({ kind: "progress", text: `${plan.host}, region "${region.name}": ${formatSize(into.freedBytes)} freed`, more: `${into.objects} of ${keys.length} objects` });
  }
  const locked = new Set(into.kept.map(({ key }) => key));
  const over = planned.oldCopies.filter((key) => !view.manifests.get(manifestName("expired", parseObjectKey(key)?.id ?? ""))?.objects.some((object) => locked.has(object)));
  await erase(region, over, into, signal);
  for (const { key, untilMs } of into.kept) emit({ kind: "detail", message: `region "${region.name}": ${key} is locked ${untilMs === null ? "" : `until ${new Date(untilMs).toISOString()}`}` });
}

/** For one host: whatever went wrong, as an error with its way out. */
export function asFault(error: unknown): { code: string; message: string; hint: string | undefined } {
  if (error instanceof ColdkeepError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: "E_INTERNAL", message: messageOf(error), hint: undefined };
}
