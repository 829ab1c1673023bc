/** The SDK's client for one region, with every setting that makes it speak to any S3 server. */
import { readFile } from "node:fs/promises";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { ColdkeepError, messageOf } from "../errors.ts";
import type { S3Credentials } from "./credentials.ts";
import type { Pacers } from "./pacer.ts";
import type { S3Url } from "./region-url.ts";
import { type HttpHandler, openHttpHandler, type WireResponse } from "./s3-http.ts";

/** Limits of one connection, ms. */
export type S3Timeouts = { connectMs: number; inactivityMs: number };

/** A slow line that is full of volumes lets a new connection wait for some seconds. */
const TIMEOUTS: S3Timeouts = { connectMs: 30_000, inactivityMs: 60_000 };

export type S3Sdk = typeof import("@aws-sdk/client-s3");

/** The `Date` of an answer, ms since the epoch, and when it came, by `performance.now` and by this machine's clock. */
export type AnswerDate = { serverMs: number; atMs: number; wallMs: number };

export type OpenedClient = {
  sdk: S3Sdk;
  client: S3Client;
  /** Of the last answer. */
  lastDate(): AnswerDate | undefined;
};

/**
 * Loads the SDK (about 0.1 s, so only where a region is S3) and makes a client. Nothing is sent yet.
 * Throws E_URL for a `ca` file that cannot be read.
 */
export async function openS3Client(url: S3Url, credentials: S3Credentials, timeouts: Partial<S3Timeouts> = {}, up?: Pacers["up"]): Promise<OpenedClient> {
  const ca = url.ca === undefined ? undefined : await readAuthorities(url.ca);
  const sdk = await import("@aws-sdk/client-s3");
  let last: AnswerDate | undefined;
  const handler = watchDates(openHttpHandler({ ...TIMEOUTS, ...timeouts, ca, proxy: url.proxy, up }), (serverMs) => {
    last = { serverMs, atMs: performance.now(), wallMs: Date.now() };
  });
  const config: S3ClientConfig = {
    requestHandler: handler,
    forcePathStyle: url.pathStyle,
    // Only the retrying store repeats: it knows the region's budget.
    maxAttempts: 1,
    // The SHA-256 of every body is signed; a second checksum costs time, and many servers do not know its headers.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    followRegionRedirects: false,
    logger: SILENT,
    ...(url.endpoint !== undefined && { endpoint: url.endpoint }),
    ...providerRegion(url),
    ...(credentials.kind === "keys" && { credentials: credentials.keys }),
    ...(credentials.kind === "profile" && { profile: credentials.profile }),
  };
  return { sdk, client: new sdk.S3Client(config), lastDate: () => last };
}

function ignore(): void {}

/** Without one the SDK writes to the terminal of its own accord, which is not its to talk to. */
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore };

/** A server of one's own mostly ignores the name; the provider's own address is made from it. */
function providerRegion(url: S3Url): { region?: string } {
  if (url.awsRegion !== undefined) return { region: url.awsRegion };
  return url.endpoint === undefined ? {} : { region: "us-east-1" };
}

async function readAuthorities(path: string): Promise<string> {
  const hint = "Name a PEM file with the certificate of the authority in ca=/path.";
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new ColdkeepError("E_URL", `the ca file ${path} cannot be read: ${messageOf(cause)}`, { hint, cause });
  });
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw new ColdkeepError("E_URL", `the ca file ${path} holds no certificate`, { hint });
  return text;
}

function watchDates(handler: HttpHandler, seen: (serverMs: number) => void): HttpHandler {
  return {
    ...handler,
    handle: async (request, options) => {
      const answer = await handler.handle(request, options);
      const serverMs = dateOf(answer.response);
      if (serverMs !== undefined) seen(serverMs);
      return answer;
    },
  };
}

function dateOf(response: WireResponse): number | undefined {
  const ms = Date.parse(response.headers["date"] ?? "");
  return Number.isNaN(ms) ? undefined : ms;
}
