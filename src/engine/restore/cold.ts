/** Volumes that a restore needs and that lie frozen: where, which of them can be read nowhere, and having them thawed. */
import { setTimeout as sleep } from "node:timers/promises";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { objectKey } from "../../format/object-key.ts";
import { needsThaw, thawHours } from "../../policy/storage-class.ts";
import type { FoundObject, ThawTier } from "../../storage/object-store.ts";
import { formatLocalTime, formatSize } from "../../units.ts";
import type { Emit } from "../events.ts";
import { eachOf, listObjects } from "../manifests.ts";
import type { Region } from "../region.ts";

/** So many are asked for one by one; of more, a listing says which may be frozen. */
const ASKED_SINGLY_MAX = 16;
const LOOKS_AT_ONCE = 16;
/** How long a readable copy stays, days: a restore and a second try. */
const COPY_DAYS = 7;
const FIRST_POLL_MS = 2000;
const POLL_MAX_MS = 5 * 60_000;

type Seen = Pick<FoundObject, "access" | "storageClass">;

type ColdVolume = { object: ListedObject; storageClass: string | undefined; access: "frozen" | "thawing" };

export type ColdVolumes = {
  /** In the order in which regions are read from. */
  regions: { region: Region; volumes: ColdVolume[] }[];
  /** Readable in no region, and to be thawed in this one. */
  blocked: (ColdVolume & { region: Region })[];
};

export function bytesOf(volumes: readonly { object: ListedObject }[]): number {
  return volumes.reduce((sum, { object }) => sum + object.sizeBytes, 0);
}

/** What a region says of some volumes, by id; volumes that it lacks are not among them. */
async function look(region: Region, host: string, volumes: readonly ListedObject[], signal: AbortSignal): Promise<Map<string, Seen>> {
  const found = new Map<string, Seen>();
  const listed = volumes.length <= ASKED_SINGLY_MAX ? null : await listObjects(region, host, "volume", signal);
  await eachOf(volumes, LOOKS_AT_ONCE, async ({ id, kind }) => {
    const storageClass = listed?.get(id)?.storageClass;
    if (listed?.has(id) === true && !needsThaw(storageClass)) found.set(id, { access: "readable", storageClass });
    if (found.has(id) || listed?.has(id) === false) return;
    const object = await region.store.head(objectKey(host, kind, id), signal);
    if (object !== null) found.set(id, object);
  });
  return found;
}

/** Looks in every region; one that fails is told and holds nothing then. Where all are directories, nothing is asked. Throws E_INTERRUPTED. */
export async function findCold(regions: readonly Region[], host: string, volumes: readonly ListedObject[], emit: Emit, signal: AbortSignal): Promise<ColdVolumes> {
  if (volumes.length === 0 || regions.every(({ url }) => url.startsWith("file:"))) return { regions: [], blocked: [] };
  const looks = await Promise.all(
    regions.map(async (region) => {
      try {
        return { region, found: await look(region, host, volumes, signal) };
      } catch (error) {
        signal.throwIfAborted();
        emit({ kind: "warning", message: messageOf(error), hint: error instanceof ColdkeepError ? error.hint : undefined });
        return { region, found: new Map<string, Seen>() };
      }
    }),
  );
  const coldIn = ({ region, found }: (typeof looks)[number], object: ListedObject): ColdVolumes["blocked"] => {
    const { access, storageClass } = found.get(object.id) ?? {};
    return access === undefined || access === "readable" ? [] : [{ object, region, storageClass, access }];
  };
  const blocked = volumes.flatMap((object) => {
    if (looks.some(({ found }) => found.get(object.id)?.access === "readable")) return [];
    // One that is on its way already costs nothing more.
    return looks.flatMap((each) => coldIn(each, object)).toSorted((a, b) => Number(b.access === "thawing") - Number(a.access === "thawing")).slice(0, 1);
  });
  return { regions: looks.map((each) => ({ region: each.region, volumes: volumes.flatMap((object) => coldIn(each, object)) })), blocked };
}

/** What a person reads: `3 volumes (96 MiB) in region "north"` */
function whatText(blocked: ColdVolumes["blocked"]): string {
  const byRegion = Map.groupBy(blocked, ({ region }) => region.name);
  return [...byRegion].map(([name, volumes]) => `${volumes.length} volumes (${formatSize(bytesOf(volumes))}) in region "${name}"`).join(", ");
}

export type ThawOrder = { tier: ThawTier; wait: boolean };

/** Makes every blocked volume readable, or says what to do. Throws E_FROZEN while one is not, StoreError, E_INTERRUPTED. */
export async function thawBlocked({ blocked }: ColdVolumes, host: string, thaw: ThawOrder | null, emit: Emit, signal: AbortSignal): Promise<void> {
  if (blocked.length === 0) return;
  if (thaw === null) {
    throw new ColdkeepError("E_FROZEN", `${whatText(blocked)} are frozen, and no region that answers has them readable`, {
      hint: "Run the same command with --thaw bulk or, sooner and dearer, --thaw standard; with --wait it goes on by itself. --plan shows what would be thawed.",
    });
  }
  const frozen = blocked.filter(({ access }) => access === "frozen");
  await eachOf(frozen, LOOKS_AT_ONCE, ({ object, region }) => region.store.thaw(objectKey(host, object.kind, object.id), thaw.tier, COPY_DAYS, signal));
  const hours = Math.max(...blocked.map(({ storageClass }) => thawHours(storageClass, thaw.tier)));
  const readyBy = formatLocalTime(Date.now() + hours * 3_600_000);
  if (!thaw.wait) {
    throw new ColdkeepError("E_FROZEN", `${whatText(blocked)} are being thawed${frozen.length < blocked.length ? `, ${frozen.length} of them asked for just now` : ""}; nothing is restored yet`, {
      hint: `Run the same command again: all should be readable by ${readyBy}, and stay so for ${COPY_DAYS} days.`,
    });
  }
  emit({ kind: "detail", message: `${whatText(blocked)} are being thawed; all should be readable by ${readyBy}` });
  await awaitThaw(blocked, host, emit, signal);
}

/** One after the other is asked about: they become readable at about the same time. */
async function awaitThaw(blocked: ColdVolumes["blocked"], host: string, emit: Emit, signal: AbortSignal): Promise<void> {
  const total = bytesOf(blocked);
  let done = 0;
  for (const [i, { object, region }] of blocked.entries()) {
    for (let waitMs = FIRST_POLL_MS; ; waitMs = Math.min(POLL_MAX_MS, waitMs * 2)) {
      emit({ kind: "progress", text: `${formatSize(done)} of ${formatSize(total)} thawed`, work: { done, total, bytes: done }, more: `${i} of ${blocked.length} volumes` });
      const found = await region.store.head(objectKey(host, object.kind, object.id), signal);
      if (found === null || found.access === "readable") break;
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    }
    done += object.sizeBytes;
  }
}
