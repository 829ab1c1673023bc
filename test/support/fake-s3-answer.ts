/** What goes in and out of the fake S3 server, and what it keeps of an object. */

/** `thawsAtMs`: when the copy that was asked for of a frozen object is there. */
export type Kept = { bytes: Buffer; modifiedMs: number; storageClass: string | undefined; thawsAtMs?: number };

export type FakeLock = { mode: "GOVERNANCE" | "COMPLIANCE"; untilMs: number };

/** A version of a key; `kept` is null for the mark that a delete leaves. */
export type Version = { id: string; kept: Kept | null; modifiedMs: number; lock?: FakeLock };

export type Answer = { status: number; headers: Record<string, string>; body: Buffer };

export type Operation = "PutObject" | "GetObject" | "HeadObject" | "DeleteObject" | "ListObjects" | "ListVersions" | "PutRetention" | "RestoreObject" | "GetVersioning" | "GetObjectLock" | "Other";

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

/** An error document as S3 sends it. */
export function errorAnswer(status: number, code: string, message: string): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message><RequestId>fake</RequestId></Error>`;
  return { status, headers: { "content-type": "application/xml" }, body: Buffer.from(body) };
}

export function escapeXml(text: string): string {
  return text.replace(/[<>&"\0-\x1f]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
