/** Erasing a key of a bucket for good: with every version of it, and the markers that deletes left. */
import type { DeleteObjectCommandInput, HeadObjectCommandOutput, ListObjectVersionsCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { messageOf } from "../errors.ts";
import { type Erasure, StoreError } from "./object-store.ts";
import type { S3Sdk } from "./s3-client.ts";
import { isNotImplemented, statusOf } from "./s3-errors.ts";

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

type Version = { id: string | undefined; sizeBytes: number; isLatest: boolean; isMarker: boolean };

/** Throws what `fail` makes of errors; a version that its retention protects is no error. */
export async function eraseKey(target: VersionedKey): Promise<Erasure> {
  const done: Erasure = { freedBytes: 0, kept: null };
  // The newest goes last, or an older one would take its place for a moment; a marker above them hides all until then.
  for (const version of (await versionsOf(target)).toSorted((a, b) => rank(a) - rank(b))) {
    const untilMs = await eraseVersion(target, version);
    if (untilMs === undefined) done.freedBytes += version.sizeBytes;
    else done.kept = { untilMs: laterOf(done.kept?.untilMs, untilMs) };
  }
  return done;
}

function rank({ isLatest, isMarker }: Version): number {
  return Number(isMarker) * 2 + Number(isLatest);
}

function laterOf(a: number | null | undefined, b: number | null): number | null {
  return a === undefined ? b : a === null || b === null ? null : Math.max(a, b);
}

/** Every version of the key; of a store that knows none, the object itself. */
async function versionsOf(target: VersionedKey): Promise<Version[]> {
  const found: Version[] = [];
  let place: { KeyMarker?: string; VersionIdMarker?: string } = {};
  for (;;) {
    const page = await askPage(target, place);
    if (page === null) return plainObject(target);
    for (const { Key, VersionId, Size, IsLatest } of page.Versions ?? []) {
      if (Key === target.key) found.push({ id: VersionId, sizeBytes: Size ?? 0, isLatest: IsLatest === true, isMarker: false });
    }
    for (const { Key, VersionId, IsLatest } of page.DeleteMarkers ?? []) {
      if (Key === target.key) found.push({ id: VersionId, sizeBytes: 0, isLatest: IsLatest === true, isMarker: true });
    }
    const { NextKeyMarker, NextVersionIdMarker } = page;
    // Keys that only begin with this one come after all of its versions.
    if (page.IsTruncated !== true || NextKeyMarker === undefined || NextKeyMarker !== target.key) return found;
    if (NextVersionIdMarker === undefined || NextVersionIdMarker === place.VersionIdMarker) throw new StoreError("corrupt", `${target.doing}: the store's pages of versions do not come to an end`);
    place = { KeyMarker: NextKeyMarker, VersionIdMarker: NextVersionIdMarker };
  }
}

/** Null where the store does not know of versions at all. */
async function askPage({ sdk, client, bucket, key, doing, fail, options }: VersionedKey, place: { KeyMarker?: string; VersionIdMarker?: string }): Promise<ListObjectVersionsCommandOutput | null> {
  let page: ListObjectVersionsCommandOutput;
  try {
    page = await client.send(new sdk.ListObjectVersionsCommand({ Bucket: bucket, Prefix: key, ...place }), options);
  } catch (error) {
    if (isNotImplemented(error) || statusOf(error) === 405) return null;
    const failure = fail(error);
    if (!(failure instanceof StoreError) || failure.fault !== "denied") throw failure;
    throw new StoreError("denied", failure.message, { cause: error, hint: "Whoever prunes needs s3:ListBucketVersions and s3:DeleteObjectVersion beside get, put and list." });
  }
  if (page.Name !== undefined && page.IsTruncated !== undefined) return page;
  throw new StoreError("unreachable", `${doing}: the answer is no listing of versions`, { hint: "Something between this machine and the store answers in its place; check the endpoint and the proxy." });
}

async function plainObject(target: VersionedKey): Promise<Version[]> {
  try {
    const { ContentLength = 0 } = await head(target, undefined);
    return [{ id: undefined, sizeBytes: ContentLength, isLatest: true, isMarker: false }];
  } catch (error) {
    if (statusOf(error) === 404) return [];
    throw target.fail(error);
  }
}

function head({ sdk, client, bucket, key, options }: VersionedKey, version: string | undefined): Promise<HeadObjectCommandOutput> {
  return client.send(new sdk.HeadObjectCommand({ Bucket: bucket, Key: key, ...(version !== undefined && { VersionId: version }) }), options);
}

/** Undefined once it is gone; else until when it is kept, null where that is not known. */
async function eraseVersion(target: VersionedKey, version: Version): Promise<number | null | undefined> {
  const { sdk, client, bucket, key, fail, options } = target;
  const input: DeleteObjectCommandInput = { Bucket: bucket, Key: key, ...(version.id !== undefined && { VersionId: version.id }) };
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
async function keptUntil(target: VersionedKey, { id }: Version, refusal: unknown): Promise<number | null | undefined> {
  const status = statusOf(refusal);
  if (status !== 403 && status !== 400 && status !== 409) return undefined;
  const isSaid = LOCK_WORDS.test(`${refusal instanceof Error ? refusal.name : ""} ${messageOf(refusal)}`);
  const found = await head(target, id).catch(() => undefined);
  if (found?.ObjectLockLegalHoldStatus === "ON") return null;
  const untilMs = found?.ObjectLockRetainUntilDate?.getTime();
  if (untilMs !== undefined && !Number.isNaN(untilMs)) return untilMs;
  return isSaid ? null : undefined;
}
