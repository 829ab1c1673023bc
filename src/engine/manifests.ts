/** Listing what regions hold, and reading manifests with their object lists. */
import { sha256Hex } from "../codec/digest.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import { idTimeText } from "../format/id.ts";
import { MANIFEST_HEAD_BYTES, OBJECT_LIST_BYTES_MAX, parseObjectList, type ListedObject, type ManifestHeader } from "../format/manifest.ts";
import { keyPrefix, objectKey, parseObjectKey, type KeyKind } from "../format/object-key.ts";
import type { SeenArchive } from "../policy/latest.ts";
import type { StoredObject } from "../storage/object-store.ts";
import type { Region } from "./region.ts";
import { ManifestFault, verifyHead, type Trust } from "./trust.ts";

/** A manifest with its whole list, as checked bytes. */
export type Manifest = { header: ManifestHeader; sha256: string; bytes: Buffer; objects: ListedObject[] };

/** `signer` is the pinned key that signed it. */
export type SignedManifest = Manifest & { signer: string };

/** A region that failed while it was asked; what it alone holds was not seen. */
export type LostRegion = { region: Region; error: unknown };

/** Ids of one kind of a host in a region, from a time on if one is given, with what the listing says of them. Foreign keys are left out. */
export async function listObjects(region: Region, host: string, kind: KeyKind, signal?: AbortSignal, sinceMs?: number): Promise<Map<string, StoredObject>> {
  const found = new Map<string, StoredObject>();
  const prefix = keyPrefix(host, kind);
  const after = sinceMs === undefined ? undefined : prefix + idTimeText(sinceMs);
  for await (const object of region.store.list(prefix, signal, after)) {
    const parsed = parseObjectKey(object.key);
    if (parsed?.kind === kind && parsed.host === host) found.set(parsed.id, object);
  }
  return found;
}

/** Runs `work` over `items`, a few at a time. */
export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: Math.min(atOnce, items.length) }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

export type Answered<T> = { region: Region; answer: T };

/** Asks all regions at once; those that fail go to `lost`. Throws E_INTERRUPTED. */
export async function askEach<T>(regions: readonly Region[], ask: (region: Region) => Promise<T>, lost: LostRegion[], signal?: AbortSignal): Promise<Answered<T>[]> {
  const answers = await Promise.allSettled(regions.map(async (region) => ({ region, answer: await ask(region) })));
  signal?.throwIfAborted();
  return answers.flatMap((result, i) => {
    if (result.status === "fulfilled") return [result.value];
    const region = regions[i];
    if (region !== undefined) lost.push({ region, error: result.reason });
    return [];
  });
}

/** Reads and checks a whole manifest from bytes. Throws ManifestFault, E_FORMAT. */
export function parseManifest(bytes: Buffer, expected: { type: "manifest" | "checkpoint"; host: string; id: string }, trust: Trust): SignedManifest {
  const { header, line, rest, signer } = verifyHead(bytes, expected, trust);
  const what = `${expected.type} ${expected.id}`;
  if (rest.length !== header.objects.size || sha256Hex(rest) !== header.objects.sha256) {
    throw new ManifestFault(`the object list of ${what} does not match its digest`, false);
  }
  return { header, sha256: sha256Hex(line), bytes, objects: parseObjectList(rest, header, what), signer };
}

/** As `parseManifest`, of the very manifest that was seen: a signer may have signed two of one id. */
function parseSeen(bytes: Buffer, { header: { type, host, id }, sha256 }: SeenArchive, trust: Trust): Manifest {
  const manifest = parseManifest(bytes, { type, host, id }, trust);
  if (manifest.sha256 !== sha256) throw new ManifestFault(`${type} ${id} is another one than was seen before`, false);
  return manifest;
}

/** The whole manifest of an archive from the first region where it is intact. Throws E_OBJECT. */
export async function loadManifest(regions: readonly Region[], archive: SeenArchive, trust: Trust, signal?: AbortSignal): Promise<Manifest> {
  const { host, id, type } = archive.header;
  const maxBytes = MANIFEST_HEAD_BYTES + OBJECT_LIST_BYTES_MAX;
  let last: unknown;
  try {
    if (archive.bytes !== undefined) return parseSeen(archive.bytes, archive, trust);
  } catch {
    // Its list is damaged where it came from: reading it anew says so, region by region.
  }
  for (const region of regions.filter(({ name }) => archive.regions.includes(name))) {
    try {
      const bytes = await region.store.fetchBytes(objectKey(host, type === "manifest" ? "archive" : "checkpoint", id), { maxBytes, signal });
      return parseSeen(bytes, archive, trust);
    } catch (error) {
      signal?.throwIfAborted();
      last = error;
    }
  }
  throw new ColdkeepError("E_OBJECT", `the manifest of archive ${id} is whole in no region: ${messageOf(last)}`, {
    hint: "Run `coldkeep verify` to see what is left.",
    cause: last,
  });
}
