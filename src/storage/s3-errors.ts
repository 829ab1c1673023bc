/** The one place that turns what the SDK, the network or an S3 server throws into a StoreError. */
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { interruptedError } from "./interrupted.ts";
import { StoreError, type StoreFault } from "./object-store.ts";

/** What is known about the failed call. */
export type S3Call = {
  /** Reads like `put of KEY in LOCATION`. */
  doing: string;
  bucket: string;
  signal?: AbortSignal | undefined;
};

type Meaning = { fault: StoreFault; reason?: string; hint?: string };

const CREDENTIALS_HINT =
  "Check COLDKEEP_<REGION>_ACCESS_KEY_ID and COLDKEEP_<REGION>_SECRET_ACCESS_KEY, the credentials file or the profile of this region.";

/** The codes of S3's error documents (and RGW's and MinIO's of the same names) that say more than the status does. */
const MEANING_BY_CODE: Readonly<Record<string, Meaning>> = {
  NoSuchKey: { fault: "missing", reason: "there is no such object" },
  NotFound: { fault: "missing", reason: "there is no such object" },
  NoSuchBucket: {
    fault: "misused",
    reason: "the bucket does not exist",
    hint: "Make the bucket first, or correct its name, endpoint or aws-region in the region's URL.",
  },
  AccessDenied: {
    fault: "denied",
    reason: "access denied",
    hint: "The credentials are valid but may not do this; grant them get, put and list on the bucket and prefix.",
  },
  AllAccessDisabled: { fault: "denied", reason: "all access to the bucket is disabled" },
  InvalidAccessKeyId: { fault: "denied", reason: "the store does not know this access key", hint: CREDENTIALS_HINT },
  SignatureDoesNotMatch: { fault: "denied", reason: "the secret key does not fit the access key", hint: CREDENTIALS_HINT },
  InvalidToken: { fault: "denied", reason: "the session token is not valid", hint: CREDENTIALS_HINT },
  ExpiredToken: { fault: "denied", reason: "the session token has expired", hint: "Get new credentials and run again." },
  CredentialsProviderError: { fault: "denied", reason: "no credentials were found", hint: CREDENTIALS_HINT },
  InvalidBucketName: { fault: "misused", reason: "the store does not allow this bucket name" },
  InvalidStorageClass: {
    fault: "misused",
    reason: "the store does not know this storage class",
    hint: "Correct or remove storage-class in the region's URL.",
  },
  InvalidObjectState: {
    fault: "frozen",
    reason: "the object lies in a cold storage class and must be thawed before it can be read",
    hint: "Restore with --thaw bulk or --thaw standard, or read it from another region.",
  },
  QuotaExceeded: { fault: "full", reason: "the quota is used up", hint: "Raise the quota, or let prune remove expired archives." },
  EntityTooLarge: { fault: "misused", reason: "the object is larger than the store allows", hint: "Choose a smaller volumeSize." },
  XAmzContentSHA256Mismatch: { fault: "corrupt", reason: "the bytes that arrived do not have the SHA-256 that was announced" },
  BadDigest: { fault: "corrupt", reason: "the bytes that arrived do not have the digest that was announced" },
  ConditionalRequestConflict: { fault: "transient", reason: "another write of the same key was under way" },
  OperationAborted: { fault: "transient", reason: "another operation was under way" },
  IncompleteBody: { fault: "transient", reason: "the body did not arrive whole" },
  RequestTimeout: { fault: "transient", reason: "the store waited too long for the body" },
  SlowDown: { fault: "transient", reason: "the store asks to slow down" },
  ServiceUnavailable: { fault: "transient", reason: "the store is unavailable" },
  InternalError: { fault: "transient", reason: "internal error of the store" },
  PermanentRedirect: { fault: "misused", reason: "the bucket lies elsewhere", hint: "Correct aws-region or endpoint in the region's URL." },
  AuthorizationHeaderMalformed: {
    fault: "misused",
    reason: "the request was signed for another place",
    hint: "Correct aws-region in the region's URL.",
  },
};

const NETWORK_FAULT_BY_CODE: Readonly<Record<string, StoreFault>> = {
  ECONNREFUSED: "unreachable",
  ENOTFOUND: "unreachable",
  EAI_AGAIN: "unreachable",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EHOSTDOWN: "unreachable",
  ENETDOWN: "unreachable",
  ECONNRESET: "transient",
  ECONNABORTED: "transient",
  ETIMEDOUT: "transient",
  EPIPE: "transient",
  ERR_STREAM_PREMATURE_CLOSE: "transient",
  ERR_PROXY_TUNNEL: "unreachable",
};

/** OpenSSL's and Node's names for a certificate that must not be trusted. */
const CERTIFICATE_CODE = /^(CERT_|CRL_|ERR_TLS_CERT|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_(CA|PURPOSE)|HOSTNAME_MISMATCH|PATH_LENGTH_)/;

/** Maps any failure of an S3 call. `serverMs` is the store's clock in its last answer, for errors about time. */
export function s3Error(error: unknown, call: S3Call, serverMs?: number): ColdkeepError {
  if (call.signal?.aborted) return interruptedError(call.doing, error);
  if (error instanceof ColdkeepError) return error;
  const network = networkError(error, call);
  if (network !== undefined) return network;
  const status = statusOf(error);
  const name = error instanceof Error ? error.name : "";
  if (isSkew(error)) return skewError(error, call, serverMs);
  const meaning = Object.hasOwn(MEANING_BY_CODE, name) ? MEANING_BY_CODE[name] : undefined;
  if (meaning !== undefined && !isPortalStatus(status)) return build(meaning, error, call, status);
  return build(meaningOfStatus(status, error), error, call, status);
}

/** Whether a put was refused because the key is taken. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** Whether a store does not know the header of conditional writes. */
export function isNotImplemented(error: unknown): boolean {
  return statusOf(error) === 501;
}

/** Whether the store finds the clocks too far apart. The SDK goes by the store's from then on, so that the next request succeeds. */
export function isSkew(error: unknown): boolean {
  return error instanceof Error && error.name === "RequestTimeTooSkewed";
}

/** The HTTP status of the SDK's error, or undefined when no answer came. */
export function statusOf(error: unknown): number | undefined {
  const response = fieldOf(error, "$response");
  const status = fieldOf(fieldOf(error, "$metadata"), "httpStatusCode") ?? fieldOf(response, "statusCode");
  return typeof status === "number" ? status : undefined;
}

/** A header of the answer the SDK turned into an error. */
export function headerOf(error: unknown, name: string): string | undefined {
  const value = fieldOf(fieldOf(fieldOf(error, "$response"), "headers"), name);
  return typeof value === "string" ? value : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

/** A 2xx with something in it that is no answer of S3. */
function isPortalStatus(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status < 300;
}

function meaningOfStatus(status: number | undefined, error: unknown): Meaning {
  if (status === undefined) return { fault: "misused", reason: messageOf(error) };
  if (isPortalStatus(status)) {
    return {
      fault: "unreachable",
      reason: "the answer is none that an S3 server gives",
      hint: "Something between this machine and the store answers in its place; check the endpoint and the proxy.",
    };
  }
  if (status === 404) return { fault: "missing", reason: "there is no such object" };
  if (status === 401 || status === 403) return { fault: "denied", reason: "access denied", hint: CREDENTIALS_HINT };
  if (status === 408 || status === 409 || status === 429 || status >= 500) return { fault: "transient" };
  if (status === 507) return { fault: "full" };
  if (status >= 300 && status < 400) {
    return { fault: "misused", reason: "the store redirects", hint: "Correct aws-region or endpoint in the region's URL." };
  }
  return { fault: "misused" };
}

function build(meaning: Meaning, error: unknown, call: S3Call, status: number | undefined): StoreError {
  const name = error instanceof Error && !/^(Error|Unknown|UnknownError|SyntaxError|TypeError)$/.test(error.name) ? error.name : "";
  const told = [status === undefined ? "" : String(status), name].filter((part) => part !== "").join(" ");
  const bucket = name === "NoSuchBucket" ? ` "${call.bucket}"` : "";
  const reason = meaning.reason ?? `the store answered ${firstLine(messageOf(error))}`;
  return new StoreError(meaning.fault, `${call.doing}: ${reason}${bucket}${told === "" ? "" : ` (${told})`}`, { cause: error, hint: meaning.hint });
}

function networkError(error: unknown, { doing }: S3Call): StoreError | undefined {
  const code = systemCode(error);
  if (code === undefined) {
    // The HTTP layer's own word for a connection that ended before an answer.
    const closed = error instanceof Error && (error.name === "TimeoutError" || /closed without an answer|socket hang up|^aborted$/.test(error.message));
    return closed ? new StoreError("transient", `${doing}: ${firstLine(error.message)}`, { cause: error }) : undefined;
  }
  if (CERTIFICATE_CODE.test(code)) {
    return new StoreError("unreachable", `${doing}: the server's certificate is not trusted (${code}): ${firstLine(messageOf(error))}`, {
      cause: error,
      retryable: false,
      hint: "If the store has an authority of its own, name its certificate with ca=/path/ca.pem in the region's URL; checks cannot be switched off.",
    });
  }
  if (code === "EPROTO" || code.startsWith("ERR_SSL_")) {
    return new StoreError("unreachable", `${doing}: no TLS connection could be made (${code})`, {
      cause: error,
      retryable: false,
      hint: "Check whether the endpoint speaks https at this port.",
    });
  }
  if (code.startsWith("HPE_")) return new StoreError("transient", `${doing}: the answer is not HTTP (${code})`, { cause: error });
  const fault = NETWORK_FAULT_BY_CODE[code];
  if (fault === undefined) return undefined;
  return new StoreError(fault, `${doing}: ${firstLine(messageOf(error)) || code}`, {
    cause: error,
    hint: fault === "unreachable" ? "Check the endpoint in the region's URL, the network and the proxy." : undefined,
  });
}

function skewError(error: unknown, { doing }: S3Call, serverMs: number | undefined): StoreError {
  const stated = serverMs === undefined ? "" : `: the store says ${new Date(serverMs).toISOString()}, this machine ${new Date().toISOString()}`;
  return new StoreError("denied", `${doing}: the clocks of the store and of this machine are too far apart${stated} (RequestTimeTooSkewed)`, {
    cause: error,
    hint: "Set this machine's clock (timedatectl set-ntp true) and run again.",
  });
}

function firstLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- an error document may hold anything, a terminal must not obey it
  return (text.split("\n")[0] ?? "").replace(/[\0-\x1f\x7f-\x9f]/g, "").slice(0, 200);
}
