/** Object Lock and frozen storage classes of the fake S3 server. */
import { type Answer, errorAnswer, type FakeLock, type FakeRequest, type Kept, type Version } from "./fake-s3-answer.ts";

type LockingBucket = { hasObjectLock: boolean; versions(key: string): readonly Version[] };

const FROZEN = new Set(["GLACIER", "DEEP_ARCHIVE"]);
const ONE_DAY_MS = 86_400_000;

function parseLock(mode: string | undefined, until: string | undefined): FakeLock | undefined {
  const untilMs = Date.parse(until ?? "");
  return (mode === "GOVERNANCE" || mode === "COMPLIANCE") && !Number.isNaN(untilMs) ? { mode, untilMs } : undefined;
}

/** The lock that a put asks for, or why it is refused. */
export function lockOf({ headers }: FakeRequest, bucket: LockingBucket): FakeLock | Answer | undefined {
  const [mode, until] = [headers["x-amz-object-lock-mode"], headers["x-amz-object-lock-retain-until-date"]];
  if (mode === undefined && until === undefined) return undefined;
  if (!bucket.hasObjectLock) return errorAnswer(400, "InvalidRequest", "Bucket is missing Object Lock Configuration");
  if (!Object.keys(headers).some((name) => name === "content-md5" || name.startsWith("x-amz-checksum-"))) {
    return errorAnswer(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters");
  }
  return parseLock(mode, until) ?? errorAnswer(400, "InvalidArgument", "unknown lock");
}

export function putRetention(request: FakeRequest, bucket: LockingBucket, nowMs: number): Answer {
  if (!bucket.hasObjectLock) return errorAnswer(400, "InvalidRequest", "Bucket is missing Object Lock Configuration");
  const [version] = bucket.versions(request.key);
  if (version === undefined || version.kept === null) return errorAnswer(404, "NoSuchKey", "there is no such key");
  const text = request.body.toString();
  const lock = parseLock(/<Mode>(\w+)<\/Mode>/.exec(text)?.[1], /<RetainUntilDate>([^<]+)<\/RetainUntilDate>/.exec(text)?.[1]);
  if (lock === undefined) return errorAnswer(400, "MalformedXML", "no retention");
  const old = version.lock;
  const isWeaker = old !== undefined && old.untilMs > nowMs && (lock.untilMs < old.untilMs || (old.mode === "COMPLIANCE" && lock.mode !== "COMPLIANCE"));
  if (isWeaker) return errorAnswer(403, "AccessDenied", "Access Denied because object protected by object lock.");
  version.lock = lock;
  return { status: 200, headers: {}, body: Buffer.alloc(0) };
}

function isFrozen({ storageClass = "", thawsAtMs }: Kept, nowMs: number): boolean {
  return FROZEN.has(storageClass) && (thawsAtMs === undefined || nowMs < thawsAtMs);
}

export function frozenRefusal(kept: Kept, nowMs: number): Answer | undefined {
  return isFrozen(kept, nowMs) ? errorAnswer(403, "InvalidObjectState", "The operation is not valid for the object's storage class") : undefined;
}

/** A copy of a frozen object is asked for. */
export function restore(kept: Kept | undefined, { thawMs }: { thawMs: number }, nowMs: number): Answer {
  const empty = { headers: {}, body: Buffer.alloc(0) };
  if (kept === undefined) return errorAnswer(404, "NoSuchKey", "there is no such key");
  if (!FROZEN.has(kept.storageClass ?? "")) return errorAnswer(403, "InvalidObjectState", "Restore is not allowed for the object's current storage class");
  if (kept.thawsAtMs === undefined) {
    kept.thawsAtMs = nowMs + thawMs;
    return { status: 202, ...empty };
  }
  return nowMs < kept.thawsAtMs ? errorAnswer(409, "RestoreAlreadyInProgress", "Object restore is already in progress") : { status: 200, ...empty };
}

export function keepingHeaders(kept: Kept, lock: FakeLock | undefined, nowMs: number): Record<string, string> {
  const { storageClass, thawsAtMs } = kept;
  const restored = thawsAtMs === undefined ? undefined : nowMs < thawsAtMs ? 'ongoing-request="true"' : `ongoing-request="false", expiry-date="${new Date(thawsAtMs + ONE_DAY_MS).toUTCString()}"`;
  return {
    ...(storageClass !== undefined && { "x-amz-storage-class": storageClass }),
    ...(restored !== undefined && { "x-amz-restore": restored }),
    ...(lock !== undefined && { "x-amz-object-lock-mode": lock.mode, "x-amz-object-lock-retain-until-date": new Date(lock.untilMs).toISOString() }),
  };
}
