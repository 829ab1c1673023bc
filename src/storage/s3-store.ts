/** An S3 bucket and prefix as a region. One request a call; repeating is the retrying store's work. */
import type { ReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { PutObjectCommand, PutObjectCommandInput, S3Client } from "@aws-sdk/client-s3";
import { messageOf } from "../errors.ts";
import type { ObjectLock } from "../policy/lock.ts";
import type { S3Credentials } from "./credentials.ts";
import { checkInterrupted } from "./interrupted.ts";
import {
  type Erasure,
  type FoundObject,
  type GetOptions,
  type Keeping,
  type ObjectBody,
  type ObjectStore,
  type OpenedObject,
  type Protection,
  type PutOptions,
  StoreError,
  type StoredObject,
  type StoredVersion,
  type ThawTier,
} from "./object-store.ts";
import type { Pacers } from "./pacer.ts";
import { formatLocation, type S3Url } from "./region-url.ts";
import { openBody, sizeWithoutBytes } from "./s3-body.ts";
import { type AnswerDate, type OpenedClient, openS3Client, type S3Sdk, type S3Timeouts } from "./s3-client.ts";
import { isNotImplemented, isSkew, isTaken, type S3Call, s3Error, statusOf } from "./s3-errors.ts";
import { askThaw, bucketProtection, explainLock, foundObject, type KeepingTarget, lockInput, putRetention } from "./s3-keeping.ts";
import { listBucket } from "./s3-list.ts";
import { eraseKey, readableVersions, type VersionedKey } from "./s3-versions.ts";
import { checkStoreKey } from "./store-key.ts";

/** Volumes alone may lie in another storage class; what is read at every run must not. */
const VOLUME_KEY = /(^|\/)volumes\//;

/**
 * Opens an S3 region; nothing is sent before the first call. Loads the SDK.
 * Throws E_URL for a `ca` file that cannot be read. `timeouts` in ms; `pacers` limit bodies, not the rest of a request;
 * `keeping` is what every put asks for, its storage class instead of the URL's.
 */
export async function openS3Store(url: S3Url, credentials: S3Credentials, timeouts: Partial<S3Timeouts> = {}, pacers?: Pacers, keeping: Keeping = {}): Promise<ObjectStore> {
  return new S3Store(url, await openS3Client(url, credentials, timeouts, pacers?.up), pacers?.down, keeping);
}

class S3Store implements ObjectStore {
  readonly location: string;
  readonly #url: S3Url;
  readonly #sdk: S3Sdk;
  readonly #client: S3Client;
  readonly #opened: OpenedClient;
  readonly #down: Pacers["down"];
  readonly #keeping: Keeping;
  /** `prefix/`, or nothing. */
  readonly #base: string;
  /** The clock of the last answer that is one of a store: what stands in its place must not tell the time. */
  #answered: ReturnType<OpenedClient["lastDate"]>;
  /** Whether the store is still believed to know `If-None-Match`. */
  #conditional = true;

  constructor(url: S3Url, opened: OpenedClient, down: Pacers["down"], keeping: Keeping) {
    this.#keeping = keeping;
    this.location = formatLocation(url);
    this.#url = url;
    this.#opened = opened;
    this.#down = down;
    this.#sdk = opened.sdk;
    this.#client = opened.client;
    this.#base = url.prefix === "" ? "" : `${url.prefix}/`;
  }

  async put(key: string, body: ObjectBody, options: PutOptions): Promise<"created" | "exists"> {
    checkStoreKey(key, this.location);
    const call = this.#call(`put of ${key} in ${this.location}`, options.signal);
    const conditional = this.#conditional && options.overwrite !== true;
    try {
      return await this.#putOnce(key, body, options, conditional, call);
    } catch (error) {
      if (conditional && isNotImplemented(error)) {
        this.#conditional = false;
        return this.put(key, body, options);
      }
      if (conditional && isTaken(error)) return "exists";
      const failure = this.#error(error, call);
      throw this.#keeping.lock ? explainLock(error, failure) : failure;
    }
  }

  async #putOnce(key: string, body: ObjectBody, options: PutOptions, conditional: boolean, call: S3Call): Promise<"created"> {
    const input: PutObjectCommandInput = {
      Bucket: this.#url.bucket,
      Key: this.#base + key,
      ContentLength: body instanceof Uint8Array ? body.length : body.sizeBytes,
      ContentType: "application/octet-stream",
      ...(conditional && { IfNoneMatch: "*" }),
      ...lockInput(this.#keeping.lock, options.sha256),
    };
    const storageClass = this.#keeping.storageClass ?? this.#url.storageClass;
    if (storageClass !== undefined && VOLUME_KEY.test(key)) {
      // The SDK's type lists Amazon's classes; other stores have names of their own.
      Object.assign(input, { StorageClass: storageClass });
    }
    const sent = body instanceof Uint8Array ? body : await openFile(body, call.doing);
    try {
      const command = new this.#sdk.PutObjectCommand({ ...input, Body: sent });
      announceDigest(command, options.sha256);
      const output = await this.#client.send(command, sendOptions(options.signal));
      if (output.ETag === undefined) throw this.#foreignAnswer(call);
      this.#answered = this.#opened.lastDate();
      return "created";
    } finally {
      if (!(sent instanceof Uint8Array)) sent.destroy();
    }
  }

  async get(key: string, options: GetOptions = {}): Promise<OpenedObject> {
    checkStoreKey(key, this.location);
    const { range, version, signal } = options;
    const call = this.#call(`get of ${version === undefined ? key : `version ${version} of ${key}`} from ${this.location}`, signal);
    if (range?.length === 0 && version === undefined) return this.#emptyRange(key, call);
    const command = new this.#sdk.GetObjectCommand({
      Bucket: this.#url.bucket,
      Key: this.#base + key,
      ...(version !== undefined && { VersionId: version }),
      ...(range !== undefined && { Range: `bytes=${range.offset}-${range.offset + range.length - 1}` }),
    });
    try {
      const output = await this.#client.send(command, sendOptions(signal));
      const opened = openBody({ output, range, fail: (error) => this.#error(error, call), doing: call.doing, down: this.#down, signal });
      this.#answered = this.#opened.lastDate();
      return opened;
    } catch (error) {
      if (range !== undefined && statusOf(error) === 416) {
        const sizeBytes = sizeWithoutBytes(error);
        return sizeBytes === undefined ? this.#emptyRange(key, call) : { sizeBytes, body: noBytes() };
      }
      const failure = this.#error(error, call);
      throw (await this.#isUnlisted(key, failure, signal)) ? nothingThere(call) : failure;
    }
  }

  /** A range of no bytes cannot be asked for in HTTP. */
  async #emptyRange(key: string, call: S3Call): Promise<OpenedObject> {
    const found = await this.head(key, call.signal);
    if (found === null) throw nothingThere(call);
    return { sizeBytes: found.sizeBytes, body: noBytes() };
  }

  async head(key: string, signal?: AbortSignal): Promise<FoundObject | null> {
    checkStoreKey(key, this.location);
    const call = this.#call(`look-up of ${key} in ${this.location}`, signal);
    try {
      const command = new this.#sdk.HeadObjectCommand({ Bucket: this.#url.bucket, Key: this.#base + key });
      const output = await this.#client.send(command, sendOptions(signal));
      if (output.ETag === undefined || output.ContentLength === undefined) throw this.#foreignAnswer(call);
      return foundObject(key, output.ContentLength, output);
    } catch (error) {
      if (statusOf(error) === 404 && signal?.aborted !== true) return null;
      const failure = this.#error(error, call);
      if (await this.#isUnlisted(key, failure, signal)) return null;
      throw failure;
    }
  }

  /** To a key that may list under a condition only, 403 is also said of what is not there; the listing it may see tells which. */
  async #isUnlisted(key: string, failure: Error, signal: AbortSignal | undefined): Promise<boolean> {
    if (!(failure instanceof StoreError) || failure.fault !== "denied" || isSkew(failure.cause)) return false;
    try {
      for await (const object of this.list(key, signal)) if (object.key === key) return false;
      return true;
    } catch {
      return false;
    }
  }

  list(prefix: string, signal?: AbortSignal, after?: string): AsyncIterable<StoredObject> {
    const call = this.#call(`listing of ${prefix} in ${this.location}`, signal);
    return listBucket({
      ask: (token) =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket: this.#url.bucket,
            Prefix: this.#base + prefix,
            EncodingType: "url",
            ...(token !== undefined && { ContinuationToken: token }),
            ...(after !== undefined && { StartAfter: this.#base + after }),
          }),
          sendOptions(signal),
        ),
      base: this.#base,
      prefix,
      after,
      doing: call.doing,
      fail: (error) => this.#error(error, call),
    });
  }

  async versions(key: string, signal?: AbortSignal): Promise<StoredVersion[]> {
    return readableVersions(this.#versioned("look-up of the versions", key, signal));
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    checkStoreKey(key, this.location);
    const call = this.#call(`delete of ${key} in ${this.location}`, signal);
    try {
      await this.#client.send(new this.#sdk.DeleteObjectCommand({ Bucket: this.#url.bucket, Key: this.#base + key }), sendOptions(signal));
    } catch (error) {
      const failure = this.#error(error, call);
      if (failure instanceof StoreError && failure.fault === "missing") return;
      throw failure;
    }
  }

  async erase(key: string, signal?: AbortSignal): Promise<Erasure> {
    return eraseKey(this.#versioned("erasing", key, signal));
  }

  #versioned(doing: string, key: string, signal: AbortSignal | undefined): VersionedKey {
    checkStoreKey(key, this.location);
    const call = this.#call(`${doing} of ${key} in ${this.location}`, signal);
    const fail = (error: unknown): Error => this.#error(error, call);
    return { sdk: this.#sdk, client: this.#client, bucket: this.#url.bucket, key: this.#base + key, doing: call.doing, fail, options: sendOptions(signal) };
  }

  async extendLock(key: string, lock: ObjectLock, signal?: AbortSignal): Promise<void> {
    checkStoreKey(key, this.location);
    return putRetention(this.#keepingTarget(key, this.#call(`lock of ${key} in ${this.location}`, signal)), lock);
  }

  async thaw(key: string, tier: ThawTier, days: number, signal?: AbortSignal): Promise<void> {
    checkStoreKey(key, this.location);
    return askThaw(this.#keepingTarget(key, this.#call(`thaw of ${key} in ${this.location}`, signal)), tier, days);
  }

  async protection(signal?: AbortSignal): Promise<Protection> {
    return bucketProtection(this.#keepingTarget("", this.#call(`asking ${this.location} for versioning and Object Lock`, signal)));
  }

  #keepingTarget(key: string, call: S3Call): KeepingTarget {
    return { sdk: this.#sdk, client: this.#client, bucket: this.#url.bucket, key: this.#base + key, fail: (error) => this.#error(error, call), options: sendOptions(call.signal) };
  }

  async nowMs(signal?: AbortSignal): Promise<number> {
    const call = this.#call(`asking ${this.location} for its time`, signal);
    const before = this.#opened.lastDate();
    if (this.#answered !== undefined && isRecent(this.#answered)) return timeNow(this.#answered);
    try {
      const command = new this.#sdk.ListObjectsV2Command({ Bucket: this.#url.bucket, Prefix: this.#base, MaxKeys: 1 });
      const page = await this.#client.send(command, sendOptions(signal));
      if (page.Name === undefined) throw this.#foreignAnswer(call);
    } catch (error) {
      throw this.#error(error, call);
    }
    const last = this.#opened.lastDate();
    if (last === undefined || last === before) throw this.#foreignAnswer(call);
    return timeNow(last);
  }

  async create(): Promise<void> {
    // A bucket is made by whoever owns the account, with the lock, lifecycle and policy it needs.
  }

  close(): void {
    this.#client.destroy();
  }

  #call(doing: string, signal: AbortSignal | undefined): S3Call {
    checkInterrupted(signal, doing);
    return { doing, bucket: this.#url.bucket, signal };
  }

  #error(error: unknown, call: S3Call): Error {
    return s3Error(error, call, this.#opened.lastDate()?.serverMs);
  }

  #foreignAnswer(call: S3Call): StoreError {
    return new StoreError("unreachable", `${call.doing}: the answer is none that an S3 server gives`, {
      hint: "Something between this machine and the store answers in its place; check the endpoint and the proxy.",
    });
  }
}

function nothingThere({ doing }: S3Call): StoreError {
  return new StoreError("missing", `${doing}: there is no such object`);
}

/**
 * Sets the digest that the caller knows as the payload's hash. The SDK's signer takes a hash that is already in the
 * headers and then does not read the body itself: less than half the CPU time for a volume, and a stream can be signed.
 */
function announceDigest(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => (args) => {
      if (hasHeaders(args.request)) args.request.headers["x-amz-content-sha256"] = sha256;
      return next(args);
    },
    { step: "build", name: "announceDigest" },
  );
}

/** Long enough to spare a short run the question; by both clocks, as one of them stands still while a machine sleeps. */
const DATE_VALID_MS = 60_000;

function isRecent(date: AnswerDate): boolean {
  return performance.now() - date.atMs < DATE_VALID_MS && Math.abs(Date.now() - date.wallMs) < DATE_VALID_MS;
}

function timeNow({ serverMs, atMs }: AnswerDate): number {
  return Math.round(serverMs + (performance.now() - atMs));
}

function hasHeaders(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === "object" && request !== null && "headers" in request && typeof request.headers === "object";
}

function sendOptions(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

/** A fresh stream of a file whose size was checked, so that the announced length is true. */
async function openFile(body: { path: string; sizeBytes: number }, doing: string): Promise<ReadStream> {
  const handle = await open(body.path, "r").catch((cause: unknown) => {
    throw new StoreError("misused", `${doing}: the file to store cannot be opened: ${messageOf(cause)}`, { cause });
  });
  const { size } = await handle.stat();
  if (size !== body.sizeBytes) {
    await handle.close();
    throw new StoreError("misused", `${doing}: the file ${body.path} has ${size} bytes, not ${body.sizeBytes}`);
  }
  return handle.createReadStream({ highWaterMark: 256 * 1024 });
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}
