/** What the fake S3 server keeps, and its answers to the operations a vault needs. */
import { createHash } from "node:crypto";
import { type Answer, errorAnswer, escapeXml, type FakeLock, type FakeRequest, type Kept, type Version } from "./fake-s3-answer.ts";
import { frozenRefusal, keepingHeaders, lockOf, putRetention, restore } from "./fake-s3-keeping.ts";

export type BucketSettings = {
  pageSize: number;
  /** What `If-None-Match: *` does. */
  conditionalPut: "honoured" | "ignored" | "not-implemented";
  nowMs: () => number;
};

export type SavedBucket = { kept: ReadonlyMap<string, Kept>; versions: ReadonlyMap<string, readonly Version[]> };

/** A bucket as tests see it from behind the server's back. */
export class FakeBucket {
  readonly kept = new Map<string, Kept>();
  /** Whether what is replaced or deleted is kept as an older version, from now on. */
  isVersioned = false;
  /** Made with Object Lock; it is versioned then. */
  hasObjectLock = false;
  /** How long after it was asked for a copy of a frozen object is there. */
  thawMs = 0;
  readonly #versions = new Map<string, readonly Version[]>();
  #versionCount = 0;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  keys(): string[] {
    return inByteOrder(this.kept.keys());
  }

  /** Also those of which nothing but versions is left. */
  versionedKeys(prefix = ""): string[] {
    return inByteOrder(this.#versions.keys()).filter((key) => key.startsWith(prefix));
  }

  get(key: string): Buffer | undefined {
    return this.kept.get(key)?.bytes;
  }

  set(key: string, bytes: Uint8Array, storageClass?: string, lock?: FakeLock): void {
    const kept = { bytes: Buffer.from(bytes), modifiedMs: this.#nowMs(), storageClass };
    this.kept.set(key, kept);
    this.#note(key, kept, lock);
  }

  /** What a DELETE does: in a bucket with versions it hides the object only. */
  hide(key: string): void {
    this.kept.delete(key);
    if (this.isVersioned) this.#note(key, null);
    else this.#versions.delete(key);
  }

  /** The newest first. */
  versions(key: string): readonly Version[] {
    return this.#versions.get(key) ?? [];
  }

  #note(key: string, kept: Kept | null, lock?: FakeLock): void {
    const id = this.isVersioned ? `version-${++this.#versionCount}` : "null";
    const older = this.isVersioned ? this.versions(key) : [];
    this.#versions.set(key, [{ id, kept, modifiedMs: this.#nowMs(), ...(lock !== undefined && { lock }) }, ...older]);
  }

  /** Removes it with all its versions. */
  delete(key: string): boolean {
    this.#versions.delete(key);
    return this.kept.delete(key);
  }

  /** Removes one version for good; false where its lock forbids it, which a bypass opens where it is of governance alone. */
  deleteVersion(key: string, id: string, bypass = false): boolean {
    const versions = this.versions(key);
    const lock = versions.find((version) => version.id === id)?.lock;
    if (lock !== undefined && lock.untilMs > this.#nowMs() && (lock.mode === "COMPLIANCE" || !bypass)) return false;
    const left = versions.filter((version) => version.id !== id);
    if (left.length === 0) this.#versions.delete(key);
    else this.#versions.set(key, left);
    const newest = left[0]?.kept;
    if (newest) this.kept.set(key, newest);
    else this.kept.delete(key);
    return true;
  }

  /** Locks all versions of a key. */
  lock(key: string, untilMs: number, mode: FakeLock["mode"] = "COMPLIANCE"): void {
    for (const version of this.versions(key)) version.lock = { mode, untilMs };
  }

  /** All it holds, for `load` to bring back. */
  save(): SavedBucket {
    return { kept: new Map([...this.kept].map(([key, kept]) => [key, { ...kept, bytes: Buffer.from(kept.bytes) }])), versions: new Map(this.#versions) };
  }

  load(saved: SavedBucket): void {
    this.kept.clear();
    this.#versions.clear();
    for (const [key, kept] of saved.kept) this.kept.set(key, { ...kept, bytes: Buffer.from(kept.bytes) });
    for (const [key, versions] of saved.versions) this.#versions.set(key, versions);
  }

  /** Flips one bit of a kept object. */
  flip(key: string, offset: number): void {
    const bytes = this.get(key);
    const byte = bytes?.[offset];
    if (bytes === undefined || byte === undefined) throw new Error(`no byte ${offset} in ${key}`);
    bytes[offset] = byte ^ 1;
  }
}

function inByteOrder(keys: Iterable<string>): string[] {
  return [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Carries a request out. */
export function answer(request: FakeRequest, bucket: FakeBucket | undefined, settings: BucketSettings): Answer {
  if (bucket === undefined) return errorAnswer(404, "NoSuchBucket", "the bucket does not exist");
  switch (request.operation) {
    case "PutObject":
      return put(request, bucket, settings);
    case "GetObject":
    case "HeadObject":
      return get(request, bucket, settings);
    case "DeleteObject":
      return remove(request, bucket);
    case "ListObjects":
      return list(request, bucket, settings);
    case "ListVersions":
      return listVersions(request, bucket, settings);
    case "PutRetention":
      return putRetention(request, bucket, settings.nowMs());
    case "RestoreObject":
      return restore(bucket.kept.get(request.key), bucket, settings.nowMs());
    case "GetVersioning":
      return xmlAnswer(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${bucket.isVersioned ? "<Status>Enabled</Status>" : ""}</VersioningConfiguration>`);
    case "GetObjectLock":
      if (!bucket.hasObjectLock) return errorAnswer(404, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket");
      return xmlAnswer(`<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`);
    case "Other":
      return errorAnswer(501, "NotImplemented", "the fake does not know this request");
  }
}

function xmlAnswer(text: string): Answer {
  return { status: 200, headers: { "content-type": "application/xml" }, body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`) };
}

function put(request: FakeRequest, bucket: FakeBucket, settings: BucketSettings): Answer {
  if (request.headers["if-none-match"] !== undefined) {
    if (settings.conditionalPut === "not-implemented") return errorAnswer(501, "NotImplemented", "a header implies what is not implemented");
    if (settings.conditionalPut === "honoured" && bucket.kept.has(request.key)) return errorAnswer(412, "PreconditionFailed", "the key is taken");
  }
  const lock = lockOf(request, bucket);
  if (lock !== undefined && "status" in lock) return lock;
  bucket.set(request.key, request.body, request.headers["x-amz-storage-class"], lock);
  return { status: 200, headers: { etag: etagOf(request.body) }, body: Buffer.alloc(0) };
}

function remove(request: FakeRequest, bucket: FakeBucket): Answer {
  const id = request.query.get("versionId");
  if (id === null) bucket.hide(request.key);
  else if (!bucket.deleteVersion(request.key, id, request.headers["x-amz-bypass-governance-retention"] === "true")) return errorAnswer(403, "AccessDenied", "Access Denied");
  return { status: 204, headers: {}, body: Buffer.alloc(0) };
}

function get(request: FakeRequest, bucket: FakeBucket, settings: BucketSettings): Answer {
  const id = request.query.get("versionId");
  const version = bucket.versions(request.key).find((each, index) => (id === null ? index === 0 : each.id === id));
  const kept = id === null ? bucket.kept.get(request.key) : version?.kept;
  if (kept === null) return errorAnswer(405, "MethodNotAllowed", "a delete marker has no bytes");
  if (kept === undefined) return errorAnswer(404, "NoSuchKey", "there is no such key");
  const refusal = request.operation === "GetObject" ? frozenRefusal(kept, settings.nowMs()) : undefined;
  if (refusal !== undefined) return refusal;
  const { bytes } = kept;
  const headers: Record<string, string> = {
    ...keepingHeaders(kept, version?.lock, settings.nowMs()),
    etag: etagOf(bytes),
    "last-modified": new Date(kept.modifiedMs).toUTCString(),
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
  };
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers["range"] ?? "");
  if (range === null) return { status: 200, headers, body: bytes };
  const start = Number(range[1]);
  const end = Math.min(Number(range[2]) + 1, bytes.length);
  if (start >= bytes.length) {
    const refused = errorAnswer(416, "InvalidRange", "the range does not lie in the object");
    return { ...refused, headers: { ...refused.headers, "content-range": `bytes */${bytes.length}` } };
  }
  headers["content-range"] = `bytes ${start}-${end - 1}/${bytes.length}`;
  return { status: 206, headers, body: bytes.subarray(start, end) };
}

function list(request: FakeRequest, bucket: FakeBucket, settings: BucketSettings): Answer {
  const prefix = request.query.get("prefix") ?? "";
  const token = request.query.get("continuation-token");
  const after = token === null ? (request.query.get("start-after") ?? "") : Buffer.from(token, "base64url").toString();
  const size = Math.min(Number(request.query.get("max-keys") ?? "1000"), settings.pageSize);
  const encode = request.query.get("encoding-type") === "url" ? encodeForm : escapeXml;
  const matching = bucket.keys().filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
  const page = matching.slice(0, size);
  const more = matching.length > page.length;
  const contents = page.map((key) => {
    const kept = bucket.kept.get(key);
    const time = new Date(kept?.modifiedMs ?? 0).toISOString();
    return `<Contents><Key>${encode(key)}</Key><LastModified>${time}</LastModified><ETag>${escapeXml(etagOf(kept?.bytes ?? Buffer.alloc(0)))}</ETag><Size>${kept?.bytes.length}</Size><StorageClass>${kept?.storageClass ?? "STANDARD"}</StorageClass></Contents>`;
  });
  const next = more ? `<NextContinuationToken>${Buffer.from(page.at(-1) ?? "").toString("base64url")}</NextContinuationToken>` : "";
  const encoding = encode === encodeForm ? "<EncodingType>url</EncodingType>" : "";
  return xmlAnswer(`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${request.bucket}</Name><Prefix>${encode(prefix)}</Prefix>${encoding}<KeyCount>${page.length}</KeyCount><MaxKeys>${size}</MaxKeys><IsTruncated>${more}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`);
}

/** One version a page more than asked for is never sent; a key's versions may be split over pages. */
function listVersions(request: FakeRequest, bucket: FakeBucket, settings: BucketSettings): Answer {
  const prefix = request.query.get("prefix") ?? "";
  const encode = request.query.get("encoding-type") === "url" ? encodeForm : escapeXml;
  const all = bucket.versionedKeys(prefix).flatMap((key) => bucket.versions(key).map((version, index) => ({ key, version, isLatest: index === 0 })));
  const [keyMarker, idMarker] = [request.query.get("key-marker"), request.query.get("version-id-marker")];
  const start = keyMarker === null ? 0 : all.findLastIndex(({ key, version }) => key === keyMarker && (idMarker === null || version.id === idMarker)) + 1;
  const page = all.slice(start, start + settings.pageSize);
  const last = page.at(-1);
  const more = start + page.length < all.length && last !== undefined;
  const rows = page.map(({ key, version: { id, kept, modifiedMs }, isLatest }) => {
    const shared = `<Key>${encode(key)}</Key><VersionId>${id}</VersionId><IsLatest>${isLatest}</IsLatest><LastModified>${new Date(modifiedMs).toISOString()}</LastModified>`;
    return kept === null ? `<DeleteMarker>${shared}</DeleteMarker>` : `<Version>${shared}<ETag>${escapeXml(etagOf(kept.bytes))}</ETag><Size>${kept.bytes.length}</Size></Version>`;
  });
  const next = more ? `<NextKeyMarker>${encode(last.key)}</NextKeyMarker><NextVersionIdMarker>${last.version.id}</NextVersionIdMarker>` : "";
  const encoding = encode === encodeForm ? "<EncodingType>url</EncodingType>" : "";
  return xmlAnswer(`<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${request.bucket}</Name><Prefix>${encode(prefix)}</Prefix>${encoding}<MaxKeys>${settings.pageSize}</MaxKeys><IsTruncated>${more}</IsTruncated>${next}${rows.join("")}</ListVersionsResult>`);
}

/** Amazon writes a space as `+` here. */
function encodeForm(text: string): string {
  return encodeURIComponent(text).replaceAll("%20", "+");
}

function etagOf(bytes: Buffer): string {
  return `"${createHash("md5").update(bytes).digest("hex")}"`;
}

