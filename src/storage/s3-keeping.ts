/** What S3 knows of keeping objects: Object Lock, storage classes, and readable copies of frozen objects. */
import type { HeadObjectCommandOutput, PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { lockEndMs, type LockRule, type ObjectLock } from "../policy/lock.ts";
import { needsThaw } from "../policy/storage-class.ts";
import { type FoundObject, type Protection, StoreError, type ThawTier } from "./object-store.ts";
import type { S3Sdk } from "./s3-client.ts";
import { isNotImplemented, statusOf } from "./s3-errors.ts";

export type KeepingTarget = {
  sdk: S3Sdk;
  client: S3Client;
  bucket: string;
  /** The whole key, with the region's prefix; empty for the bucket itself. */
  key: string;
  fail: (error: unknown) => Error;
  options: { abortSignal?: AbortSignal };
};

const NO_LOCK_HINT = "Object Lock is turned on when a bucket is made. Make one with it, or take `lock` out of the region; `coldkeep doctor` says what a bucket has.";

/** What a put says of the lock. Amazon wants a checksum of its own with it, beside the payload's signed hash. */
export function lockInput(rule: LockRule | null | undefined, sha256: string): Partial<PutObjectCommandInput> {
  if (rule === null || rule === undefined) return {};
  return {
    ObjectLockMode: rule.mode === "compliance" ? "COMPLIANCE" : "GOVERNANCE",
    ObjectLockRetainUntilDate: new Date(lockEndMs(rule, Date.now())),
    ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
  };
}

/** Names the bucket's lack of Object Lock where that is why a request about a lock was refused; every other error stays. */
export function explainLock(error: unknown, failure: Error): Error {
  const isRefusal = error instanceof Error && statusOf(error) === 400 && /^(InvalidRequest|ObjectLockConfigurationNotFoundError)$/.test(error.name);
  if (!isRefusal) return failure;
  return new StoreError("misused", `${failure.message}; the bucket seems to be without Object Lock`, { cause: error, hint: NO_LOCK_HINT });
}

function lockOf({ ObjectLockMode, ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus }: HeadObjectCommandOutput): ObjectLock | null {
  const mode = ObjectLockMode === "COMPLIANCE" ? "compliance" : "governance";
  if (ObjectLockLegalHoldStatus === "ON") return { mode, untilMs: Number.MAX_SAFE_INTEGER };
  const untilMs = ObjectLockRetainUntilDate?.getTime() ?? Number.NaN;
  return Number.isNaN(untilMs) ? null : { mode, untilMs };
}

function accessOf({ StorageClass, ArchiveStatus, Restore }: HeadObjectCommandOutput): FoundObject["access"] {
  if (!needsThaw(StorageClass) && ArchiveStatus === undefined) return "readable";
  if (Restore === undefined) return "frozen";
  return /ongoing-request\s*=\s*"?true/.test(Restore) ? "thawing" : "readable";
}

/** An answer to HeadObject as what the store says of `key`. */
export function foundObject(key: string, sizeBytes: number, output: HeadObjectCommandOutput): FoundObject {
  const { StorageClass, LastModified } = output;
  return { key, sizeBytes, modifiedMs: LastModified?.getTime() ?? 0, ...(StorageClass !== undefined && { storageClass: StorageClass }), lock: lockOf(output), access: accessOf(output) };
}

export async function putRetention({ sdk, client, bucket, key, fail, options }: KeepingTarget, { mode, untilMs }: ObjectLock): Promise<void> {
  const Retention = { Mode: mode === "compliance" ? ("COMPLIANCE" as const) : ("GOVERNANCE" as const), RetainUntilDate: new Date(untilMs) };
  try {
    await client.send(new sdk.PutObjectRetentionCommand({ Bucket: bucket, Key: key, Retention }), options);
  } catch (error) {
    const failure = explainLock(error, fail(error));
    if (!(failure instanceof StoreError) || failure.fault !== "denied") throw failure;
    throw new StoreError("denied", failure.message, { cause: error, hint: "Grant s3:PutObjectRetention and s3:GetObjectRetention to whoever backs up into a locked bucket." });
  }
}

export async function askThaw({ sdk, client, bucket, key, fail, options }: KeepingTarget, tier: ThawTier, days: number): Promise<void> {
  const RestoreRequest = { Days: days, GlacierJobParameters: { Tier: tier === "bulk" ? ("Bulk" as const) : ("Standard" as const) } };
  try {
    await client.send(new sdk.RestoreObjectCommand({ Bucket: bucket, Key: key, RestoreRequest }), options);
  } catch (error) {
    if (error instanceof Error && error.name === "RestoreAlreadyInProgress") return;
    throw fail(error);
  }
}

export async function bucketProtection({ sdk, client, bucket, fail, options }: KeepingTarget): Promise<Protection> {
  try {
    const versioning = await client.send(new sdk.GetBucketVersioningCommand({ Bucket: bucket }), options);
    return { versions: versioning.Status === "Enabled", locks: await hasLock(client.send(new sdk.GetObjectLockConfigurationCommand({ Bucket: bucket }), options)) };
  } catch (error) {
    if (isNotImplemented(error)) return { versions: false, locks: false };
    throw fail(error);
  }
}

async function hasLock(asked: Promise<{ ObjectLockConfiguration?: { ObjectLockEnabled?: string | undefined } | undefined }>): Promise<boolean> {
  try {
    return (await asked).ObjectLockConfiguration?.ObjectLockEnabled === "Enabled";
  } catch (error) {
    if (statusOf(error) === 404 || isNotImplemented(error)) return false;
    throw error;
  }
}
