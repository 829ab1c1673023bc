/** The versions a bucket keeps of one key, and erasing it with all of them, markers that deletes left included. */
import type { DeleteObjectCommandInput, HeadObjectCommandOutput, ListObjectVersionsCommandOutput, ObjectVersion, S3Client } from "@aws-sdk/client-s3";
import { messageOf } from "../errors.ts";
import { type Erasure, StoreError, type StoredVersion } from "./object-store.ts";
import type { S3Sdk } from "./s3-client.ts";
import { isNotImplemented, statusOf } from "./s3-errors.ts";
import { decodeListedKey } from "./s3-list.ts";

export type VersionedKey = {
  sdk: S3Sdk;
  client: S3Client;
  bucket: string;
  /** The whole key, with the region's prefix. */
  key: string;
  doing: string;
  fail: (error: unknown) => Error;
  options: { abortSignal?: AbortSignal };
};

/** `version` is undefined where the store gives its objects none. */
type Version = Omit<StoredVersion, "version"> & { version: string | undefined; isLatest: boolean };

/** A key of ours is written once, and now and then repaired: whoever piled up more than this buried it on purpose. */
const READ_PAGES_MAX = 10;

/** What can be read by version, the newest first; nothing where the store knows of none. Throws what `fail` makes of errors. */
export async function readableVersions(target: VersionedKey): Promise<StoredVersion[]> {
  const found = (await versionsOf(target, READ_PAGES_MAX)) ?? [];
  const sorted = found.toSorted((a, b) => Number(b.isLatest) - Number(a.isLatest) || b.modifiedMs - a.modifiedMs);
  return sorted.flatMap(({ isLatest: _, version, ...facts }) => (version === undefined ? [] : [{ version, ...facts }]));
}

/** Throws what `fail` makes of errors; a version that its retention protects is no error. */
export async function eraseKey(target: VersionedKey): Promise<Erasure> {
  const done: Erasure = { freedBytes: 0, kept: null };
  const found = (await versionsOf(target, Number.POSITIVE_INFINITY)) ?? (await plainObject(target));
  // The newest goes last, or an older one would take its place for a moment; a marker above them hides all until then.
  for (const version of found.toSorted((a, b) => rank(a) - rank(b))) {
    const untilMs = await eraseVersion(target, version);
    if (untilMs === undefined) done.freedBytes += version.sizeBytes;
    else done.kept = { untilMs: laterOf(done.kept?.untilMs, untilMs) };
  }
  return done;
}

function rank({ isLatest, isDeleteMarker }: Version): number {
  return Number(isDeleteMarker) * 2 + Number(isLatest);
}

function laterOf(a: number | null | undefined, b: number | null): number | null {
  return a === undefined ? b : a === null || b === null ? null : Math.max(a, b);
}

type Place = { KeyMarker?: string; VersionIdMarker?: string };

/** The versions of exactly this key, of so many pages; null where the store does not know of versions at all. */
async function versionsOf(target: VersionedKey, pagesMax: number): Promise<Version[] | null> {
  const found: Version[] = [];
  let place: Place = {};
  for (let pages = 0; pages < pagesMax; pages++) {
    const page = await askPage(target, place);
    if (page === null) return null;
    const decode = (key: string | undefined): string | undefined => (key !== undefined && page.EncodingType === "url" ? decodeListedKey(key) : key);
    const isOurs = ({ Key }: ObjectVersion): boolean => decode(Key) === target.key;
    found.push(...(page.Versions ?? []).filter(isOurs).map((version) => toVersion(version, false)));
    found.push(...(page.DeleteMarkers ?? []).filter(isOurs).map((marker) => toVersion(marker, true)));
    const { NextVersionIdMarker } = page;
    // Keys that only begin with this one come after all of its versions.
    if (page.IsTruncated !== true || decode(page.NextKeyMarker) !== target.key) break;
    if (NextVersionIdMarker === undefined || NextVersionIdMarker === place.VersionIdMarker) throw new StoreError("corrupt", `${target.doing}: the store's pages of versions do not come to an end`);
    place = { KeyMarker: target.key, VersionIdMarker: NextVersionIdMarker };
  }
  return found;
}

function toVersion({ VersionId, Size = 0, LastModified, IsLatest = false }: ObjectVersion, isDeleteMarker: boolean): Version {
  return { version: VersionId, sizeBytes: Size, modifiedMs: LastModified?.getTime() ?? 0, isDeleteMarker, isLatest: IsLatest };
}

/** Null where the store does not know of versions. */
async function askPage({ sdk, client, bucket, key, doing, fail, options }: VersionedKey, place: Place): Promise<ListObjectVersionsCommandOutput | null> {
  let page: ListObjectVersionsCommandOutput;
  try {
    page = await client.send(new sdk.ListObjectVersionsCommand({ Bucket: bucket, Prefix: key, EncodingType: "url", ...place }), options);
  } catch (error) {
    const failure = fail(error);
    if (failure instanceof StoreError && (isNotImplemented(error) || statusOf(error) === 405)) return null;
    if (!(failure instanceof StoreError) || failure.fault !== "denied") throw failure;
    throw new StoreError("denied", failure.message, { cause: error, hint: "Whoever repairs needs s3:ListBucketVersions and s3:GetObjectVersion beside get, put and list; whoever prunes s3:ListBucketVersions and s3:DeleteObjectVersion." });
  }
  if (page.Name !== undefined && page.IsTruncated !== undefined) return page;
  throw new StoreError("unreachable", `${doing}: the answer is no listing of versions`, { hint: "Something between this machine and the store answers in its place; check the endpoint and the proxy." });
}

async function plainObject(target: VersionedKey): Promise<Version[]> {
  try {
    const { ContentLength = 0, LastModified } = await head(target, undefined);
    return [toVersion({ Size: ContentLength, LastModified, IsLatest: true }, false)];
  } catch (error) {
    if (statusOf(error) === 404) return [];
    throw target.fail(error);
  }
}

function head({ sdk, client, bucket, key, options }: VersionedKey, version: string | undefined): Promise<HeadObjectCommandOutput> {
  return client.send(new sdk.HeadObjectCommand({ Bucket: bucket, Key: key, ...(version !== undefined && { VersionId: version }) }), options);
}

/** Undefined once it is gone; else until when it is kept, null where that is not known. */
async function eraseVersion(target: VersionedKey, { version }: Version): Promise<number | null | undefined> {
  const { sdk, client, bucket, key, fail, options } = target;
  const input: DeleteObjectCommandInput = { Bucket: bucket, Key: key, ...(version !== undefined && { VersionId: version }) };
  try {
    await client.send(new sdk.DeleteObjectCommand(input), options);
    return undefined;
  } catch (error) {
    const failure = fail(error);
    if (failure instanceof StoreError && failure.fault === "missing") return undefined;
    const untilMs = await keptUntil(target, version, error);
    if (untilMs === undefined) throw failure;
    return untilMs;
  }
}

const LOCK_WORDS = /object.?lock|retention|legal.?hold|WORM/i;

/** Until when a version's lock lasts (null: nobody says), where a lock is what refused to delete it; else undefined. */
async function keptUntil(target: VersionedKey, version: string | undefined, refusal: unknown): Promise<number | null | undefined> {
  const status = statusOf(refusal);
  if (status !== 403 && status !== 400 && status !== 409) return undefined;
  const isSaid = LOCK_WORDS.test(`${refusal instanceof Error ? refusal.name : ""} ${messageOf(refusal)}`);
  const found = await head(target, version).catch(() => undefined);
  if (found?.ObjectLockLegalHoldStatus === "ON") return null;
  const untilMs = found?.ObjectLockRetainUntilDate?.getTime();
  if (untilMs !== undefined && !Number.isNaN(untilMs)) return untilMs;
  return isSaid ? null : undefined;
}
