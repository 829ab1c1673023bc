/** The versions a bucket keeps of one key. */
import type { ListObjectVersionsCommandOutput, ObjectVersion } from "@aws-sdk/client-s3";
import type { StoredVersion } from "./object-store.ts";
import { decodeListedKey } from "./s3-list.ts";

/** A key of ours is written once, and now and then repaired: whoever piled up more than this buried it on purpose. */
const PAGES_MAX = 10;

type Marker = { KeyMarker?: string; VersionIdMarker?: string };

/** The versions of exactly `key`, the newest first. The listing asked for begins with it: keys sort behind their own prefix. */
export async function versionsOf(key: string, ask: (next: Marker) => Promise<ListObjectVersionsCommandOutput>): Promise<StoredVersion[]> {
  const found: (StoredVersion & { isLatest: boolean })[] = [];
  let next: Marker = {};
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await ask(next);
    const isEncoded = page.EncodingType === "url";
    const isOurs = ({ Key, VersionId }: ObjectVersion): boolean => Key !== undefined && VersionId !== undefined && (isEncoded ? decodeListedKey(Key) : Key) === key;
    found.push(...(page.Versions ?? []).filter(isOurs).map((version) => storedVersion(version, false)));
    found.push(...(page.DeleteMarkers ?? []).filter(isOurs).map((marker) => storedVersion(marker, true)));
    const { NextKeyMarker, NextVersionIdMarker } = page;
    if (page.IsTruncated !== true || NextKeyMarker === undefined || (isEncoded ? decodeListedKey(NextKeyMarker) : NextKeyMarker) !== key) break;
    next = { KeyMarker: key, ...(NextVersionIdMarker !== undefined && { VersionIdMarker: NextVersionIdMarker }) };
  }
  return found.toSorted((a, b) => Number(b.isLatest) - Number(a.isLatest) || b.modifiedMs - a.modifiedMs).map(({ isLatest: _, ...version }) => version);
}

function storedVersion({ VersionId = "", Size = 0, LastModified, IsLatest = false }: ObjectVersion, isDeleteMarker: boolean): StoredVersion & { isLatest: boolean } {
  return { version: VersionId, sizeBytes: Size, modifiedMs: LastModified?.getTime() ?? 0, isDeleteMarker, isLatest: IsLatest };
}
