/** What the fake S3 server keeps, and its answers to the five operations a vault needs. */
import { createHash } from "node:crypto";

export type Kept = { bytes: Buffer; modifiedMs: number; storageClass: string | undefined };

export type Answer = { status: number; headers: Record<string, string>; body: Buffer };

export type Operation = "PutObject" | "GetObject" | "HeadObject" | "DeleteObject" | "ListObjects" | "Other";

export type FakeRequest = {
  /** Counts from 0 over the life of the server. */
  index: number;
  operation: Operation;
  method: string;
  bucket: string;
  key: string;
  query: URLSearchParams;
  headers: Record<string, string | undefined>;
  body: Buffer;
};

export type BucketSettings = {
  pageSize: number;
  /** What `If-None-Match: *` does. */
  conditionalPut: "honoured" | "ignored" | "not-implemented";
  nowMs: () => number;
};

/** A bucket as tests see it from behind the server's back. */
export class FakeBucket {
  readonly kept = new Map<string, Kept>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  keys(): string[] {
    return [...this.kept.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  get(key: string): Buffer | undefined {
    return this.kept.get(key)?.bytes;
  }

  set(key: string, bytes: Uint8Array, storageClass?: string): void {
    this.kept.set(key, { bytes: Buffer.from(bytes), modifiedMs: this.#nowMs(), storageClass });
  }

  delete(key: string): boolean {
    return this.kept.delete(key);
  }

  /** Flips one bit of a kept object. */
  flip(key: string, offset: number): void {
    const bytes = this.get(key);
    const byte = bytes?.[offset];
    if (bytes === undefined || byte === undefined) throw new Error(`no byte ${offset} in ${key}`);
    bytes[offset] = byte ^ 1;
  }
}

/** Carries a request out. */
export function answer(request: FakeRequest, bucket: FakeBucket | undefined, settings: BucketSettings): Answer {
  if (bucket === undefined) return errorAnswer(404, "NoSuchBucket", "the bucket does not exist");
  switch (request.operation) {
    case "PutObject":
      return put(request, bucket, settings);
    case "GetObject":
    case "HeadObject":
      return get(request, bucket);
    case "DeleteObject":
      bucket.delete(request.key);
      return { status: 204, headers: {}, body: Buffer.alloc(0) };
    case "ListObjects":
      return list(request, bucket, settings);
    case "Other":
      return errorAnswer(501, "NotImplemented", "the fake does not know this request");
  }
}

/** An error document as S3 sends it. */
export function errorAnswer(status: number, code: string, message: string): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message><RequestId>fake</RequestId></Error>`;
  return { status, headers: { "content-type": "application/xml" }, body: Buffer.from(body) };
}

function put(request: FakeRequest, bucket: FakeBucket, settings: BucketSettings): Answer {
  if (request.headers["if-none-match"] !== undefined) {
    if (settings.conditionalPut === "not-implemented") return errorAnswer(501, "NotImplemented", "a header implies what is not implemented");
    if (settings.conditionalPut === "honoured" && bucket.kept.has(request.key)) return errorAnswer(412, "PreconditionFailed", "the key is taken");
  }
  bucket.set(request.key, request.body, request.headers["x-amz-storage-class"]);
  return { status: 200, headers: { etag: etagOf(request.body) }, body: Buffer.alloc(0) };
}

function get(request: FakeRequest, bucket: FakeBucket): Answer {
  const kept = bucket.kept.get(request.key);
  if (kept === undefined) return errorAnswer(404, "NoSuchKey", "there is no such key");
  const { bytes } = kept;
  const headers: Record<string, string> = {
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
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${request.bucket}</Name><Prefix>${encode(prefix)}</Prefix>${encoding}<KeyCount>${page.length}</KeyCount><MaxKeys>${size}</MaxKeys><IsTruncated>${more}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`;
  return { status: 200, headers: { "content-type": "application/xml" }, body: Buffer.from(body) };
}

/** Amazon writes a space as `+` here. */
function encodeForm(text: string): string {
  return encodeURIComponent(text).replaceAll("%20", "+");
}

function etagOf(bytes: Buffer): string {
  return `"${createHash("md5").update(bytes).digest("hex")}"`;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"\0-\x1f]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
