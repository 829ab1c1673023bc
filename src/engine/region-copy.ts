/** Bringing a region to hold an archive whole: what is missing is copied from another, the manifest comes last (promise 1). */
import { sha256Hex } from "../codec/digest.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import type { ListedObject } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import { MANIFEST_HEAD_BYTES, OBJECT_LIST_BYTES_MAX } from "../format/manifest.ts";
import { SEEN_VALID_MS } from "../policy/grace.ts";
import { formatSize, MIB } from "../units.ts";
import type { Emit } from "./events.ts";
import { eachOf, listObjects, type Manifest } from "./manifests.ts";
import { ObjectSource } from "./object-source.ts";
import type { Region } from "./region.ts";

const COPIES_AT_ONCE = 4;
/** Bytes of objects on their way from one region to another, unless a single one is larger. */
const COPY_BYTES_MAX = 256 * MIB;

/** Which objects of a list a region holds at another size, or not at all. */
export type Shortfall = { missing: ListedObject[]; wrong: ListedObject[] };

/**
 * Looks up presence and size of every object afresh. A listing is a hint only: what it does not show is asked for by name.
 * Throws StoreError.
 */
export async function shortfall(region: Region, host: string, objects: readonly ListedObject[], signal: AbortSignal | undefined): Promise<Shortfall> {
  const [volumes, catalogs] = await Promise.all([listObjects(region, host, "volume", signal), listObjects(region, host, "catalog", signal)]);
  const found: Shortfall = { missing: [], wrong: [] };
  await eachOf(objects, COPIES_AT_ONCE, async (object) => {
    const listed = (object.kind === "volume" ? volumes : catalogs).get(object.id);
    const sizeBytes = listed?.sizeBytes ?? (await region.store.head(objectKey(host, object.kind, object.id), signal))?.sizeBytes;
    if (sizeBytes === undefined) found.missing.push(object);
    else if (sizeBytes !== object.sizeBytes) found.wrong.push(object);
  });
  return found;
}

export type RegionCopy = {
  host: string;
  manifest: Manifest;
  /** Regions to copy from, healthy ones first. */
  sources: readonly Region[];
  emit: Emit;
  signal?: AbortSignal | undefined;
};

/**
 * Makes `region` hold the archive, or says why not. Objects of the wrong size are left for `repair`: overwriting is its right
 * alone. Throws E_OBJECT, StoreError.
 */
export async function completeRegion(region: Region, copy: RegionCopy): Promise<{ copiedBytes: number }> {
  const { host, manifest, signal } = copy;
  let lookedUpMs = Date.now();
  let { missing, wrong } = await shortfall(region, host, manifest.objects, signal);
  let copiedBytes = 0;
  if (missing.length > 0) {
    copiedBytes = await copyObjects(region, missing, copy);
    lookedUpMs = Date.now();
    ({ missing, wrong } = await shortfall(region, host, manifest.objects, signal));
  }
  refuse(region, manifest, missing, wrong);
  await putManifest(region, copy);
  if (Date.now() - lookedUpMs > SEEN_VALID_MS) {
    ({ missing, wrong } = await shortfall(region, host, manifest.objects, signal));
    refuse(region, manifest, missing, wrong);
  }
  return { copiedBytes };
}

function refuse(region: Region, manifest: Manifest, missing: readonly ListedObject[], wrong: readonly ListedObject[]): void {
  const [first] = [...missing, ...wrong];
  if (first === undefined) return;
  const what = missing.length > 0 ? `lacks ${missing.length}` : `holds ${wrong.length} of the wrong size`;
  throw new ColdkeepError("E_OBJECT", `region "${region.name}" ${what} of the objects of archive ${manifest.header.id}, the first being ${first.kind} ${first.id}`, {
    hint: "Run `coldkeep verify` to see what is damaged.",
  });
}

/** How many of these may be in memory together. */
export function copiesAtOnce(objects: readonly ListedObject[]): number {
  const largest = objects.reduce((most, { sizeBytes }) => Math.max(most, sizeBytes), 1);
  return Math.min(COPIES_AT_ONCE, Math.max(1, Math.floor(COPY_BYTES_MAX / largest)));
}

async function copyObjects(region: Region, objects: readonly ListedObject[], copy: RegionCopy): Promise<number> {
  const others = copy.sources.filter((source) => source !== region);
  if (others.length === 0) return 0;
  const source = new ObjectSource(copy.host, others, copy.emit, copy.signal);
  let copiedBytes = 0;
  let copied = 0;
  const total = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  await eachOf(objects, copiesAtOnce(objects), async (object) => {
    const bytes = await source.whole(object);
    await region.store.put(objectKey(copy.host, object.kind, object.id), bytes, { sha256: object.sha256, signal: copy.signal });
    copiedBytes += bytes.length;
    copied++;
    const work = { done: copiedBytes, total, bytes: copiedBytes };
    copy.emit({ kind: "progress", text: `region "${region.name}": ${formatSize(copiedBytes)} of ${formatSize(total)} copied`, work, more: `${copied} of ${objects.length} objects` });
    copy.emit({ kind: "detail", message: `region "${region.name}": copied ${object.kind} ${object.id}` });
  });
  return copiedBytes;
}

/** Puts the manifest; an earlier try of ours may have landed although its answer was lost. */
async function putManifest(region: Region, { host, manifest, signal }: RegionCopy): Promise<void> {
  const { header, bytes } = manifest;
  const key = objectKey(host, header.type === "manifest" ? "archive" : "checkpoint", header.id);
  if ((await region.store.put(key, bytes, { sha256: sha256Hex(bytes), signal })) === "created") return;
  const present = await region.store.fetchBytes(key, { maxBytes: MANIFEST_HEAD_BYTES + OBJECT_LIST_BYTES_MAX, signal });
  if (!present.equals(bytes)) {
    throw new ColdkeepError("E_OBJECT", `region "${region.name}" already holds another ${header.type} under ${key}`, {
      hint: "Nothing was overwritten. Run `coldkeep verify` to see which one is right.",
    });
  }
}

/** Completes an archive in a region and tells instead of throwing: the region is behind then. */
export async function tryCompleteRegion(region: Region, copy: RegionCopy): Promise<boolean> {
  try {
    await completeRegion(region, copy);
    return true;
  } catch (error) {
    if (copy.signal?.aborted === true) throw error;
    copy.emit({
      kind: "warning",
      message: `region "${region.name}" is behind with archive ${copy.manifest.header.id}: ${messageOf(error)}`,
      hint: "The next run brings it up to date.",
    });
    return false;
  }
}
