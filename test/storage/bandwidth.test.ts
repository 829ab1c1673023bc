import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDirectoryStore } from "../../src/storage/directory-store.ts";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { type Bandwidth, openPacers, Pacer } from "../../src/storage/pacer.ts";
import { parseRegionUrl } from "../../src/storage/region-url.ts";
import { type RetryingStore, retryingStore } from "../../src/storage/retrying-store.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { KIB, MIB } from "../../src/units.ts";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { type SlowLink, startSlowLink } from "../support/slow-link.ts";
import { tempDir } from "../support/temp-dir.ts";
import { digestOf, readAll } from "./store-calls.ts";

let fake: FakeS3;
/** Counts what passes. */
let link: SlowLink;

beforeAll(async () => {
  fake = await startFakeS3({ buckets: ["vault"] });
  link = await startSlowLink(fake.endpoint);
});
afterAll(async () => {
  await link.stop();
  await fake.stop();
});

async function openS3(bandwidth: Bandwidth, inactivityMs = 5_000): Promise<RetryingStore> {
  const url = parseRegionUrl(`s3://vault/p?endpoint=${link.endpoint}`);
  if (url.kind !== "s3") throw new Error("not S3");
  const store = await openS3Store(url, { kind: "keys", keys: fake.keys }, { connectMs: 5_000, inactivityMs }, openPacers(bandwidth));
  return retryingStore(store, { name: "eu", budgetMs: 5_000 });
}

async function secondsOf(work: Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work;
  return (performance.now() - startMs) / 1000;
}

const RATE = 2 * MIB;
const body = randomBytes(2 * MIB);
const sha256 = digestOf(body);

const put = (store: ObjectStore, key: string, bytes: Buffer = body): Promise<unknown> => store.put(key, bytes, { sha256: digestOf(bytes), overwrite: true });
const putThree = (store: ObjectStore): Promise<unknown> => Promise.all(["a", "b", "c"].map((key) => put(store, key)));
const fetchThree = async (store: RetryingStore): Promise<void> => {
  const fetched = await Promise.all(["a", "b", "c"].map((key) => store.fetchBytes(key, { maxBytes: 2 * MIB })));
  for (const bytes of fetched) expect(digestOf(bytes)).toBe(sha256);
};

/** Three objects of a second each, within 20 %. */
function expectThreeSeconds(seconds: number): void {
  expect(seconds).toBeGreaterThan(2.4);
  expect(seconds).toBeLessThan(3.6);
}

describe("three requests of a region share its limit, and another region is not slowed", () => {
  test("S3: what is sent goes out evenly", async () => {
    const store = await openS3({ up: RATE });
    const free = await openS3({});
    /** Bytes a second; a busy machine takes its samples late. */
    const rates: number[] = [];
    let before = { bytes: link.passed.up, ms: performance.now() };
    const sampling = setInterval(() => {
      const now = { bytes: link.passed.up, ms: performance.now() };
      rates.push(((now.bytes - before.bytes) * 1000) / (now.ms - before.ms));
      before = now;
    }, 500);
    expectThreeSeconds(await secondsOf(putThree(store)));
    clearInterval(sampling);
    expect(Math.max(...rates)).toBeLessThan(RATE * 1.8);
    const limited = secondsOf(putThree(store));
    const seconds = await secondsOf(putThree(free));
    expect(seconds).toBeLessThan((await limited) / 2);
    expect(await readAll(free, "a")).toEqual(body);
  });

  test("S3: what is read", async () => {
    const store = await openS3({ down: RATE });
    await putThree(store);
    expectThreeSeconds(await secondsOf(fetchThree(store)));
    const limited = secondsOf(fetchThree(store));
    const seconds = await secondsOf(fetchThree(await openS3({})));
    expect(seconds).toBeLessThan((await limited) / 2);
    expect(await secondsOf(readAll(store, "a"))).toBeGreaterThan(0.8);
  });

  test("a directory, both ways, and a file that is sent", async () => {
    const root = tempDir();
    const store = retryingStore(openDirectoryStore(root, { pacers: openPacers({ up: RATE, down: RATE }) }), { name: "usb", budgetMs: 5_000 });
    expectThreeSeconds(await secondsOf(putThree(store)));
    expectThreeSeconds(await secondsOf(fetchThree(store)));
    const path = join(root, "spool");
    writeFileSync(path, body);
    const file = { path, sizeBytes: body.length };
    for (const each of [store, await openS3({ up: RATE })]) {
      const seconds = await secondsOf(each.put("file", file, { sha256, overwrite: true }));
      expect(seconds).toBeGreaterThan(0.8);
      expect(seconds).toBeLessThan(1.4);
      expect(await each.fetchBytes("file", { maxBytes: 2 * MIB })).toEqual(body);
    }
  });
});

test("waiting for a turn is not taken for a dead connection", async () => {
  const store = await openS3({ up: 20 * KIB, down: 40 * KIB }, 200);
  const bytes = randomBytes(3 * KIB);
  const keys = Array.from({ length: 20 }, (_, i) => `turn-${i}`);
  const seconds = await secondsOf(Promise.all(keys.map((key) => put(store, key, bytes))));
  expect(seconds).toBeGreaterThan(2);
  const fetched = await Promise.all(keys.map((key) => store.fetchBytes(key, { maxBytes: bytes.length })));
  for (const each of fetched) expect(each).toEqual(bytes);
  expect(fake.requests.filter(({ operation, key }) => operation === "PutObject" && key.includes("turn-"))).toHaveLength(20);
});

test("a put that waits for its turn ends at once when it is interrupted", async () => {
  const store = await openS3({ up: 16 * KIB });
  const seconds = await secondsOf(expect(store.put("long", body, { sha256, signal: AbortSignal.timeout(300) })).rejects.toMatchObject({ code: "E_INTERRUPTED" }));
  expect(seconds).toBeLessThan(1.5);
});

test("a pacer makes up for timers that fire late, and saves nothing up over a pause", async () => {
  const pacer = new Pacer(MIB);
  const takeSecond = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await pacer.take(MIB / 20);
  };
  expect(await secondsOf(takeSecond())).toBeGreaterThan(0.85);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const seconds = await secondsOf(takeSecond());
  expect(seconds).toBeGreaterThan(0.85);
  expect(seconds).toBeLessThan(1.2);
});
