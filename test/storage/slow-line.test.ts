/**
 * Lines that are slow, and servers that fall silent. A 32 MiB volume takes 270 s on a line of 1 Mbit/s, 4.5 times the 60 s
 * of inactivity allowed; here both are forty times shorter. The kernel's gulps are not, so that they last relatively longer.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ObjectStore } from "../../src/storage/object-store.ts";
import { parseRegionUrl } from "../../src/storage/region-url.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { MIB } from "../../src/units.ts";
import { makeCertificate } from "../support/fake-s3-certificate.ts";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { type SlowLink, startSlowLink } from "../support/slow-link.ts";
import { digestOf, readAll } from "./store-calls.ts";

const RATE = 5 * MIB;
const INACTIVITY_MS = 1_500;
/** Above what the kernel swallows at once on the loopback, so that most of it is seen to wait. */
const body = randomBytes(RATE * 7);
const sha256 = digestOf(body);

const folder = mkdtempSync(join(tmpdir(), "coldkeep-slow-"));
const certificate = makeCertificate(folder);
const fakes: FakeS3[] = [];
const links: SlowLink[] = [];

beforeAll(async () => {
  for (const tls of [undefined, certificate]) {
    const fake = await startFakeS3({ buckets: ["vault"], ...(tls !== undefined && { tls }) });
    fakes.push(fake);
    links.push(await startSlowLink(fake.endpoint));
  }
});
afterAll(async () => {
  for (const each of [...links, ...fakes]) await each.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  for (const link of links) link.state = { bytesPerSecond: RATE };
  for (const fake of fakes) fake.requests.length = 0;
});

async function open(index: number): Promise<ObjectStore> {
  const url = parseRegionUrl(`s3://vault/p?endpoint=${links[index]?.endpoint}${index === 1 ? `&ca=${certificate.certPath}` : ""}`);
  if (url.kind !== "s3") throw new Error("not S3");
  return openS3Store(url, { kind: "keys", keys: fakes[0]?.keys ?? { accessKeyId: "", secretAccessKey: "" } }, { connectMs: 2_000, inactivityMs: INACTIVITY_MS });
}

describe.each([["http", 0], ["https", 1]] as const)("over %s", { timeout: 60_000 }, (_, index) => {
  test("a volume that takes minutes on 1 Mbit/s is sent and read in one attempt", async () => {
    const store = await open(index);
    const startMs = performance.now();
    expect(await store.put("volume", body, { sha256, overwrite: true })).toBe("created");
    expect(performance.now() - startMs).toBeGreaterThan(4 * INACTIVITY_MS);
    expect(fakes[index]?.requests).toHaveLength(1);
    const range = { offset: 1_000_000, length: RATE * 2 };
    expect(digestOf(await readAll(store, "volume", range))).toBe(digestOf(body.subarray(range.offset, range.offset + range.length)));
    store.close();
  });

  test("so are two at once, each with half of the line and most of its bytes out of sight in the kernel", async () => {
    const store = await open(index);
    const part = body.subarray(0, RATE * 2.2);
    const puts = ["a", "b"].map((key) => store.put(key, part, { sha256: digestOf(part), overwrite: true }));
    expect(await Promise.all(puts)).toEqual(["created", "created"]);
    expect(fakes[index]?.requests).toHaveLength(2);
    store.close();
  });

  test("a server that takes a part and then falls silent is given up in bounded time", async () => {
    const store = await open(index);
    const link = links[index];
    if (link === undefined) throw new Error("no link");
    for (const [size, periods] of [[100, 2], [body.length, 5]] as const) {
      link.state = { bytesPerSecond: RATE };
      const part = body.subarray(0, size);
      await store.head("warm");
      const startMs = performance.now();
      const failure = expect(store.put("silent", part, { sha256: digestOf(part), overwrite: true })).rejects.toMatchObject({ name: "StoreError", retryable: true });
      setTimeout(() => (link.state = { isSilent: true }), size === 100 ? 0 : 700);
      await failure;
      expect(performance.now() - startMs).toBeLessThan(periods * INACTIVITY_MS + 1_000);
      expect(performance.now() - startMs).toBeGreaterThan(INACTIVITY_MS);
    }
    store.close();
  });
});
