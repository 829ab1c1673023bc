import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openStore } from "../../src/storage/open-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { RetryBudget } from "../../src/storage/retry-budget.ts";
import { type RetryEvent, type RetryingStore, type RetryOptions, retryingStore } from "../../src/storage/retrying-store.ts";
import { parseRegionUrl } from "../../src/storage/region-url.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { type FakeRequest, type FakeS3, type Fault, fakeS3Url, startFakeS3 } from "../support/fake-s3.ts";
import { digestOf, listAll, readAll } from "./store-calls.ts";

let fake: FakeS3;
let raw: ObjectStore;
let waits: RetryEvent[];

beforeAll(async () => {
  fake = await startFakeS3({ buckets: ["vault"], pageSize: 100 });
  const url = parseRegionUrl(fakeS3Url(fake, "vault", "p"));
  if (url.kind !== "s3") throw new Error("not S3");
  raw = await openS3Store(url, { kind: "keys", keys: fake.keys }, { connectMs: 500, inactivityMs: 300 });
});
afterAll(async () => {
  raw.close();
  await fake.stop();
});
beforeEach(() => {
  waits = [];
  fake.onRequest = () => undefined;
  fake.requests.length = 0;
});

function retrying(options: Partial<RetryOptions> = {}, store = raw): RetryingStore {
  return retryingStore(store, { name: "eu", budgetMs: 5_000, random: () => 0.05, onRetry: (event) => waits.push(event), ...options });
}

/** The fault for the first `count` requests of an operation, then none. */
function firstTimes(count: number, operation: FakeRequest["operation"], fault: Fault): (request: FakeRequest) => Fault | undefined {
  let left = count;
  return (request) => (request.operation === operation && left-- > 0 ? fault : undefined);
}

const body = Buffer.from("body");
const sha256 = digestOf(body);

describe("what passes is repeated", () => {
  test.each<Fault>([
    { kind: "status", status: 503, code: "SlowDown" },
    { kind: "status", status: 500, code: "InternalError" },
    { kind: "status", status: 429, code: "TooManyRequests" },
    { kind: "status", status: 409, code: "ConditionalRequestConflict" },
    { kind: "reset" },
    { kind: "stall" },
    { kind: "html" },
  ])("a put survives three times $kind $status", async (fault) => {
    const key = `storm-${randomBytes(4).toString("hex")}`;
    fake.onRequest = firstTimes(3, "PutObject", fault);
    expect(await retrying().put(key, body, { sha256 })).toBe("created");
    expect(waits).toHaveLength(3);
    expect(fake.bucket("vault").get(`p/${key}`)).toEqual(body);
  });

  test("an answer lost after the object was stored ends as \"exists\", with the right bytes", async () => {
    fake.onRequest = firstTimes(1, "PutObject", { kind: "lost-answer" });
    expect(await retrying().put("lost", body, { sha256 })).toBe("exists");
    expect(await readAll(raw, "lost")).toEqual(body);
  });

  test("what cannot pass is not repeated", async () => {
    fake.onRequest = () => ({ kind: "status", status: 403, code: "AccessDenied" });
    await expect(retrying().put("denied", body, { sha256 })).rejects.toMatchObject({ fault: "denied", message: expect.stringMatching(/^region "eu": put of denied/) as string });
    expect(fake.requests).toHaveLength(1);
  });

  test("waits double up to their ceiling and are random below it", async () => {
    fake.onRequest = firstTimes(4, "HeadObject", { kind: "status", status: 503, code: "SlowDown" });
    await retrying({ random: () => 0.1 }).head("x");
    expect(waits.map(({ waitMs }) => Math.round(waitMs))).toEqual([20, 40, 80, 160]);
  });
});

describe("reading", () => {
  const bytes = randomBytes(300_000);

  test.each<Fault>([
    { kind: "reset-in-body", afterBytes: 70_000 },
    { kind: "truncate", bytes: 70_000 },
    { kind: "stall", afterBytes: 70_000 },
  ])("a plain get whose body breaks off ($kind) is never a short success", async (fault) => {
    await raw.put("long", bytes, { sha256: digestOf(bytes), overwrite: true });
    fake.onRequest = firstTimes(1, "GetObject", fault);
    await expect(readAll(retrying(), "long")).rejects.toMatchObject({ fault: "transient", message: expect.stringMatching(/^region "eu": get of long/) as string });
  });

  test.each<Fault>([
    { kind: "reset-in-body", afterBytes: 70_000 },
    { kind: "truncate", bytes: 70_000 },
    { kind: "stall", afterBytes: 70_000 },
    { kind: "reset" },
  ])("fetchBytes goes on by range after $kind", async (fault) => {
    await raw.put("long", bytes, { sha256: digestOf(bytes), overwrite: true });
    fake.onRequest = firstTimes(2, "GetObject", fault);
    expect((await retrying().fetchBytes("long", { maxBytes: 300_000 })).equals(bytes)).toBe(true);
    fake.onRequest = firstTimes(2, "GetObject", fault);
    const part = await retrying().fetchBytes("long", { range: { offset: 1_000, length: 250_000 }, maxBytes: 250_000 });
    expect(part.equals(bytes.subarray(1_000, 251_000))).toBe(true);
    if (fault.kind !== "reset") {
      const resumed = fake.requests.filter(({ operation, headers }) => operation === "GetObject" && headers["range"] === "bytes=70000-299999");
      expect(resumed.length).toBeGreaterThan(0);
    }
  });

  test("a range answered short under headers that promise it whole is noticed", async () => {
    await raw.put("long", bytes, { sha256: digestOf(bytes), overwrite: true });
    fake.onRequest = () => ({ kind: "shorten", bytes: 10 });
    await expect(readAll(raw, "long", { offset: 0, length: 1_000 })).rejects.toMatchObject({ fault: "transient" });
  });

  test("an endless or oversized body is cut off, not collected", async () => {
    await raw.put("small", body, { sha256, overwrite: true });
    fake.onRequest = () => ({ kind: "endless" });
    await expect(readAll(raw, "small", { offset: 0, length: 4 })).rejects.toThrow(/more than the 4 bytes announced/);
    await expect(retrying().fetchBytes("small", { range: { offset: 0, length: 4 }, maxBytes: 1_000 })).rejects.toMatchObject({ fault: "corrupt" });
    fake.onRequest = () => undefined;
    await raw.put("long", bytes, { sha256: digestOf(bytes), overwrite: true });
    await expect(retrying().fetchBytes("long", { maxBytes: 1_000 })).rejects.toMatchObject({ fault: "corrupt" });
    expect(fake.requests.filter(({ operation }) => operation === "GetObject")).toHaveLength(3);
  });

  test("pieces of two versions of an object are never joined", async () => {
    const later = randomBytes(200_000);
    await raw.put("replaced", bytes, { sha256: digestOf(bytes), overwrite: true });
    let first = true;
    fake.onRequest = ({ operation }) => {
      if (operation !== "GetObject" || !first) return undefined;
      first = false;
      setTimeout(() => fake.bucket("vault").set("p/replaced", later), 5);
      return { kind: "reset-in-body", afterBytes: 70_000 };
    };
    expect((await retrying({ random: () => 0.5 }).fetchBytes("replaced", { maxBytes: 300_000 })).equals(later)).toBe(true);
  });

  test("a reader slower than the inactivity limit keeps its connection", async () => {
    const large = randomBytes(2_000_000);
    await raw.put("slow", large, { sha256: digestOf(large), overwrite: true });
    const pieces: Uint8Array[] = [];
    for await (const piece of (await raw.get("slow")).body) {
      if (pieces.push(piece) === 2) await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    expect(Buffer.concat(pieces).equals(large)).toBe(true);
  });

  test("a listing goes on behind its last key", async () => {
    for (let index = 0; index < 350; index++) fake.bucket("vault").set(`p/many/${String(index).padStart(4, "0")}`, body);
    let page = 0;
    fake.onRequest = ({ operation }) => (operation === "ListObjects" && ++page === 3 ? { kind: "reset" } : undefined);
    const keys = (await listAll(retrying(), "many/")).map(({ key }) => key);
    expect(keys).toEqual(Array.from({ length: 350 }, (_, index) => `many/${String(index).padStart(4, "0")}`));
    expect(fake.requests.some(({ query }) => query.get("start-after") === "p/many/0199")).toBe(true);
  });
});

test("a listing without order is not gone on with, since keys could be left out", async () => {
  for (let index = 0; index < 350; index++) fake.bucket("vault").set(`p/loose/${String(index).padStart(4, "0")}`, body);
  let page = 0;
  fake.onRequest = ({ operation }) => (operation !== "ListObjects" ? undefined : ++page === 3 ? { kind: "reset" } : { kind: "unordered" });
  await expect(listAll(retrying(), "loose/")).rejects.toMatchObject({ retryable: false, message: expect.stringContaining("does not list in order") as string });
});

describe("the budget", () => {
  test("counts calls that fail side by side once, and starts again at a success", () => {
    const budget = new RetryBudget(1_000);
    budget.spend(0, 300);
    budget.spend(100, 400);
    expect(budget.leftMs).toBe(600);
    budget.spend(10_000, 10_100);
    expect(budget.leftMs).toBe(500);
    budget.succeed(10_200);
    budget.spend(5_000, 10_300);
    expect(budget.leftMs).toBe(900);
  });

  test("a refused connection costs no more than its budget, and nothing after that until it is revived", async () => {
    const store = await openRefused();
    const region = retrying({ budgetMs: 600, random: () => 0.9 }, store);
    const startMs = performance.now();
    await expect(Promise.all([1, 2, 3].map((index) => region.head(`k${index}`)))).rejects.toMatchObject({
      fault: "unreachable",
      retryable: false,
      message: expect.stringMatching(/^region "eu": look-up of k\d was given up: it did not work for 600ms; last: .*ECONNREFUSED/) as string,
    });
    const spentMs = performance.now() - startMs;
    expect(spentMs).toBeGreaterThan(550);
    expect(spentMs).toBeLessThan(1_000);
    expect(waits.length).toBeGreaterThan(2);
    expect(region.downReason).toMatch(/did not work/);
    const againMs = performance.now();
    await expect(region.put("k", body, { sha256 })).rejects.toMatchObject({ fault: "unreachable" });
    await expect(listAll(region, "")).rejects.toMatchObject({ fault: "unreachable" });
    expect(performance.now() - againMs).toBeLessThan(50);
    region.revive();
    waits.length = 0;
    await expect(region.head("k")).rejects.toMatchObject({ fault: "unreachable" });
    expect(waits.length).toBeGreaterThan(1);
    region.close();
  });

  test("a bad certificate or an unmounted disk does not use it up", async () => {
    const region = retrying({}, await openStore("disk", "file:///nowhere/mounted"));
    await expect(region.head("k")).rejects.toMatchObject({ fault: "unreachable", message: expect.stringMatching(/^region "eu": /) as string });
    expect(waits).toEqual([]);
    expect(region.downReason).toBeUndefined();
  });

  test("a success in between gives it back", async () => {
    const region = retrying({ budgetMs: 400, random: () => 0.6 });
    for (let round = 0; round < 4; round++) {
      fake.onRequest = firstTimes(1, "GetObject", { kind: "status", status: 503, code: "SlowDown" });
      // An answer nobody wants is an answer all the same.
      await expect(region.get("absent")).rejects.toMatchObject({ fault: "missing" });
    }
    expect(waits.reduce((sum, { waitMs }) => sum + waitMs, 0)).toBeGreaterThan(400);
  });
});

describe("ends", () => {
  test("a signal ends a wait at once", async () => {
    fake.onRequest = () => ({ kind: "status", status: 503, code: "SlowDown" });
    const startMs = performance.now();
    const region = retrying({ budgetMs: 60_000, random: () => 0.99 });
    await expect(region.head("x", AbortSignal.timeout(300))).rejects.toMatchObject({ code: "E_INTERRUPTED", message: expect.stringContaining('region "eu"') as string });
    expect(performance.now() - startMs).toBeLessThan(900);
  });

  test("a signal ends a call that waits for its answer", async () => {
    fake.onRequest = () => ({ kind: "delay", ms: 250 });
    await expect(retrying().put("stopped", body, { sha256, signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
  });

  test("a deadline ends what runs and what waits, as down and not as interrupted", async () => {
    fake.onRequest = ({ key }) => (key.endsWith("stall") ? { kind: "delay", ms: 280 } : { kind: "status", status: 503, code: "SlowDown" });
    const region = retrying({ budgetMs: 60_000, random: () => 0.99, deadlineMs: Date.now() + 150 });
    const all = await Promise.allSettled([region.head("stall"), region.head("wait")]);
    for (const result of all) expect(result).toMatchObject({ status: "rejected", reason: { fault: "unreachable", retryable: false } });
    expect(region.downReason).toBe("its deadline has passed");
    await expect(region.nowMs()).rejects.toMatchObject({ fault: "unreachable" });
    region.revive();
    fake.onRequest = () => undefined;
    expect(await region.head("absent")).toBeNull();
  });
});

/** A store at a port where nothing listens. */
async function openRefused(): Promise<ObjectStore> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  const url = parseRegionUrl(`s3://vault?endpoint=http://127.0.0.1:${address.port}`);
  if (url.kind !== "s3") throw new Error("not S3");
  return openS3Store(url, { kind: "keys", keys: fake.keys });
}

test("a slow upload that moves is never cut off, however long it takes", async () => {
  const large = randomBytes(12_000_000);
  let received = 0;
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (piece) => {
      received += piece.length;
      socket.pause();
      setTimeout(() => socket.resume(), 10);
      if (received > large.length) socket.end('HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const url = parseRegionUrl(`s3://vault?endpoint=http://127.0.0.1:${address.port}`);
  if (url.kind !== "s3") throw new Error("not S3");
  const store = await openS3Store(url, { kind: "keys", keys: fake.keys }, { inactivityMs: 500 });
  const startMs = performance.now();
  expect(await store.put("slow", large, { sha256: digestOf(large) })).toBe("created");
  expect(performance.now() - startMs).toBeGreaterThan(1_000);
  store.close();
  server.close();
});
