/** Checks a request's AWS Signature Version 4 as a server does, from the published description of the scheme. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";

export type Refusal = { status: number; code: string; message: string };

export type KeyPair = { accessKeyId: string; secretAccessKey: string };

/** How far the client's clock may be off, ms. */
const SKEW_MS = 15 * 60_000;

/** Undefined for a request whose signature, time and payload hash are right. */
export function checkSignature(request: IncomingMessage, body: Buffer, keys: KeyPair, nowMs: number): Refusal | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return refuse(403, "AccessDenied", "the request is not signed");
  const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(header);
  if (!match) return refuse(400, "AuthorizationHeaderMalformed", "the Authorization header is malformed");
  const [, accessKeyId = "", day = "", region = "", signedHeaders = "", signature = ""] = match;
  if (accessKeyId !== keys.accessKeyId) return refuse(403, "InvalidAccessKeyId", "the access key is not known");
  const stamp = one(request.headers["x-amz-date"]);
  const signedAtMs = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!(Math.abs(signedAtMs - nowMs) <= SKEW_MS)) return refuse(403, "RequestTimeTooSkewed", "the clocks are too far apart");
  const payloadHash = one(request.headers["x-amz-content-sha256"]);
  const names = signedHeaders.split(";");
  for (const required of ["host", "x-amz-date", "x-amz-content-sha256"]) {
    if (!names.includes(required)) return refuse(403, "AccessDenied", `the header ${required} is not signed`);
  }
  const canonical = [
    request.method ?? "",
    ...canonicalTarget(request.url ?? "/"),
    ...names.map((name) => `${name}:${one(request.headers[name]).trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders,
    payloadHash,
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", stamp, scope, sha256(Buffer.from(canonical))].join("\n");
  const expected = hmac(signingKey(keys.secretAccessKey, day, region), text);
  if (!timingSafeEqual(expected, Buffer.from(signature, "hex"))) {
    return refuse(403, "SignatureDoesNotMatch", "the signature does not fit the request");
  }
  if (payloadHash !== sha256(body)) return refuse(400, "XAmzContentSHA256Mismatch", "the body does not have the announced SHA-256");
  return undefined;
}

function canonicalTarget(url: string): [string, string] {
  const [path = "/", query = ""] = url.split("?", 2);
  const pairs = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => (pair.includes("=") ? pair : `${pair}=`))
    .sort();
  return [path, pairs.join("&")];
}

function signingKey(secret: string, day: string, region: string): Buffer {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), "s3"), "aws4_request");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function one(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function refuse(status: number, code: string, message: string): Refusal {
  return { status, code, message };
}
