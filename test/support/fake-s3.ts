/**
 * An S3 server of our own: real HTTP on the loopback, objects in memory, signatures and payload hashes checked, and faults
 * on demand. It passes the same conformance suite as a real server, so that what tests learn from it holds there too.
 */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, errorAnswer, type FakeRequest, type Operation } from "./fake-s3-answer.ts";
import { answer, FakeBucket } from "./fake-s3-buckets.ts";
import { checkSignature, type KeyPair } from "./fake-s3-signature.ts";

export type { FakeRequest } from "./fake-s3-answer.ts";
export { FakeBucket, type SavedBucket } from "./fake-s3-buckets.ts";

/** What happens to one request instead of, or on top of, the right answer. */
export type Fault =
  /** Nothing is done; an error document is sent. */
  | { kind: "status"; status: number; code: string; message?: string }
  /** Nothing is done; the connection is reset. */
  | { kind: "reset" }
  /** All is done as asked; the connection is reset instead of an answer. */
  | { kind: "lost-answer" }
  /** The connection is reset after so many bytes of the answer's body. */
  | { kind: "reset-in-body"; afterBytes: number }
  /** The connection is ended in order after so many bytes of the body, fewer than announced. */
  | { kind: "truncate"; bytes: number }
  /** A body of so many bytes with a length that says so, under headers that promise the whole. */
  | { kind: "shorten"; bytes: number }
  /** A body without an end. */
  | { kind: "endless" }
  /** 200 with a web page, as a login page or a broken proxy sends it. */
  | { kind: "html" }
  /** No more bytes after so many of the body (default: no answer at all), and the connection stays open. */
  | { kind: "stall"; afterBytes?: number }
  /** The right answer, late. */
  | { kind: "delay"; ms: number }
  /** A listing that always says there is another page, under the same token. */
  | { kind: "same-page" }
  /** A page of a listing back to front, as from a store without order. */
  | { kind: "unordered" };

export type FakeS3Options = {
  buckets: readonly string[];
  keys?: KeyPair;
  /** PEM texts; https instead of http. */
  tls?: { key: string; cert: string };
  /** Asked once per request, after its body has arrived and its signature was found right. */
  onRequest?: (request: FakeRequest) => Fault | undefined;
  /** Added to every request. Default 0; `latencyMs` of the server changes it. */
  latencyMs?: number;
  /** Keys in a page of a listing. Default 1000. */
  pageSize?: number;
  conditionalPut?: "honoured" | "ignored" | "not-implemented";
};

/** `status` is that of the answer; undefined where none was sent. */
export type LoggedRequest = FakeRequest & {
  bodyBytes: number;
  status: number | undefined;
  /** When its body had arrived and when it was answered, by `performance.now`. */
  beganMs: number;
  endedMs: number;
};

export type FakeS3 = {
  endpoint: string;
  keys: KeyPair;
  requests: LoggedRequest[];
  latencyMs: number;
  /** Replaces the fault hook. */
  onRequest: (request: FakeRequest) => Fault | undefined;
  /** How far the server's clock is off, ms. */
  clockOffsetMs: number;
  conditionalPut: "honoured" | "ignored" | "not-implemented";
  /** Throws for a bucket that was not asked for at the start. */
  bucket(name: string): FakeBucket;
  /** Ends all connections and gives the port free. */
  stop(): Promise<void>;
};

const KEYS: KeyPair = { accessKeyId: "fakeaccess", secretAccessKey: "fakesecret0123456789" };

/** Starts a server on a free port of 127.0.0.1. */
export async function startFakeS3(options: FakeS3Options): Promise<FakeS3> {
  const buckets = new Map<string, FakeBucket>();
  const nowMs = (): number => Date.now() + fake.clockOffsetMs;
  const sockets = new Set<Socket>();
  const fake: FakeS3 = {
    endpoint: "",
    keys: options.keys ?? KEYS,
    requests: [],
    latencyMs: options.latencyMs ?? 0,
    onRequest: options.onRequest ?? (() => undefined),
    clockOffsetMs: 0,
    conditionalPut: options.conditionalPut ?? "honoured",
    bucket: (name) => {
      const bucket = buckets.get(name);
      if (bucket === undefined) throw new Error(`the fake has no bucket ${name}`);
      return bucket;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  for (const name of options.buckets) buckets.set(name, new FakeBucket(nowMs));
  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(message);
    const request = toFakeRequest(message, body, fake.requests.length);
    const log: LoggedRequest = { ...request, bodyBytes: body.length, status: undefined, beganMs: performance.now(), endedMs: Number.POSITIVE_INFINITY };
    fake.requests.push(log);
    if (fake.latencyMs > 0) await sleep(fake.latencyMs);
    const refusal = checkSignature(message, body, fake.keys, nowMs());
    const fault = refusal === undefined ? fake.onRequest(request) : undefined;
    const settings = { pageSize: options.pageSize ?? 1000, conditionalPut: fake.conditionalPut, nowMs };
    const carryOut = (): Answer =>
      refusal === undefined ? answer(request, buckets.get(request.bucket), settings) : errorAnswer(refusal.status, refusal.code, refusal.message);
    response.setHeader("date", new Date(nowMs()).toUTCString());
    const sent = await send(response, request, fault, carryOut);
    log.status = sent?.status;
    log.endedMs = performance.now();
  };
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    // A client that goes away in the middle is part of many tests.
    serve(message, response).catch(() => response.destroy());
  };
  const server: Server = options.tls === undefined ? createHttpServer(listener) : createHttpsServer(options.tls, listener);
  server.keepAliveTimeout = 30_000;
  for (const event of ["connection", "secureConnection"]) {
    server.on(event, (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    });
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the fake has no port");
  fake.endpoint = `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${address.port}`;
  return fake;
}

/** The region URL of a bucket of the fake. */
export function fakeS3Url(fake: FakeS3, bucket: string, prefix = "", parameters = ""): string {
  return `s3://${bucket}/${prefix}?endpoint=${fake.endpoint}${parameters}`;
}

async function send(
  response: ServerResponse,
  request: FakeRequest,
  fault: Fault | undefined,
  carryOut: () => Answer,
): Promise<Answer | undefined> {
  switch (fault?.kind) {
    case "reset":
      reset(response);
      return undefined;
    case "lost-answer":
      carryOut();
      reset(response);
      return undefined;
    case "status":
      return write(response, request, errorAnswer(fault.status, fault.code, fault.message ?? "a fault of the test"));
    case "html":
      return write(response, request, {
        status: 200,
        headers: { "content-type": "text/html" },
        body: Buffer.from("<!DOCTYPE html><html><head><title>Log in</title></head><body><form>please</form></body></html>"),
      });
    case "delay":
      await sleep(fault.ms);
      return write(response, request, carryOut());
    case "stall":
      if (fault.afterBytes === undefined) return undefined;
      return writePart(response, carryOut(), fault.afterBytes);
    case "reset-in-body": {
      const sent = writePart(response, carryOut(), fault.afterBytes);
      setTimeout(() => reset(response), 30);
      return sent;
    }
    case "truncate": {
      const sent = writePart(response, carryOut(), fault.bytes);
      setTimeout(() => response.socket?.end(), 30);
      return sent;
    }
    case "shorten": {
      const whole = carryOut();
      return write(response, request, { ...whole, body: whole.body.subarray(0, fault.bytes) });
    }
    case "endless":
      return writeEndless(response, carryOut());
    case "same-page":
      return write(response, request, repeatPage(carryOut()));
    case "unordered":
      return write(response, request, reversePage(carryOut()));
    case undefined:
      return write(response, request, carryOut());
  }
}

function write(response: ServerResponse, request: FakeRequest, reply: Answer): Answer {
  response.writeHead(reply.status, { ...reply.headers, ...(reply.status !== 204 && { "content-length": String(reply.body.length) }) });
  response.end(request.method === "HEAD" ? undefined : reply.body);
  return reply;
}

function writePart(response: ServerResponse, whole: Answer, bytes: number): Answer {
  response.writeHead(whole.status, { ...whole.headers, "content-length": String(whole.body.length) });
  response.flushHeaders();
  response.write(whole.body.subarray(0, bytes));
  return whole;
}

async function writeEndless(response: ServerResponse, whole: Answer): Promise<Answer> {
  response.writeHead(whole.status, { ...whole.headers, "transfer-encoding": "chunked" });
  const piece = Buffer.alloc(64 * 1024, 120);
  const closed = once(response, "close");
  while (!response.destroyed && response.socket?.destroyed === false) {
    if (!response.write(piece)) await Promise.race([once(response, "drain"), closed]);
  }
  return whole;
}

function repeatPage(page: Answer): Answer {
  const text = page.body
    .toString()
    .replace(/<NextContinuationToken>.*?<\/NextContinuationToken>/, "")
    .replace(/<IsTruncated>\w+<\/IsTruncated>/, "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>");
  return { ...page, body: Buffer.from(text) };
}

function reversePage(page: Answer): Answer {
  const text = page.body.toString().replace(/<Contents>.*<\/Contents>/s, (all) => all.split(/(?<=<\/Contents>)/).toReversed().join(""));
  return { ...page, body: Buffer.from(text) };
}

function reset(response: ServerResponse): void {
  response.socket?.resetAndDestroy();
}

async function readBody(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) if (piece instanceof Buffer) pieces.push(piece);
  return Buffer.concat(pieces);
}

function toFakeRequest(message: IncomingMessage, body: Buffer, index: number): FakeRequest {
  const url = new URL(message.url ?? "/", "http://fake");
  const [bucket = "", ...rest] = url.pathname.slice(1).split("/").map(decodeURIComponent);
  const key = rest.join("/");
  const method = message.method ?? "";
  const headers: FakeRequest["headers"] = {};
  for (const [name, value] of Object.entries(message.headers)) headers[name] = Array.isArray(value) ? value.join(",") : value;
  return { index, operation: operationOf(method, key, url.searchParams), method, bucket, key, query: url.searchParams, headers, body };
}

function bucketOperation(query: URLSearchParams): Operation {
  if (query.has("versions")) return "ListVersions";
  if (query.has("versioning")) return "GetVersioning";
  if (query.has("object-lock")) return "GetObjectLock";
  return query.get("list-type") === "2" ? "ListObjects" : "Other";
}

function operationOf(method: string, key: string, query: URLSearchParams): Operation {
  if (key === "") return method === "GET" ? bucketOperation(query) : "Other";
  if (method === "PUT" && query.has("retention")) return "PutRetention";
  if (method === "POST" && query.has("restore")) return "RestoreObject";
  const byMethod: Record<string, Operation> = { PUT: "PutObject", GET: "GetObject", HEAD: "HeadObject", DELETE: "DeleteObject" };
  return byMethod[method] ?? "Other";
}
