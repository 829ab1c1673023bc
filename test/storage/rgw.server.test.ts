import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "minio";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Keeping, ObjectStore } from "../../src/storage/object-store.ts";
import { parseRegionUrl } from "../../src/storage/region-url.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { type Rgw, type S3Endpoint, startRgw } from "../support/rgw.ts";
import { lockConformance, storeConformance } from "./conformance.ts";
import { digestOf, faultOf, listAll } from "./store-calls.ts";

const scratch = mkdtempSync(join(tmpdir(), "coldkeep-rgw-test-"));
/** A bucket of our own, so that servers that others use too stay clean. */
const bucket = `coldkeep-test-${randomBytes(5).toString("hex")}`;
let rgw: Rgw;

beforeAll(async () => {
  rgw = await startRgw([{ name: "eu-central" }, { name: "us-east" }, { name: "eu-secure", tls: true }]);
  for (const index of [0, 1, 2]) await minioOf(endpoint(index)).makeBucket(bucket);
});
afterAll(async () => {
  for (const index of [0, 1, 2]) {
    const client = minioOf(endpoint(index));
    const keys = await listed(client);
    for (let at = 0; at < keys.length; at += 500) await client.removeObjects(bucket, keys.slice(at, at + 500));
    await client.removeBucket(bucket);
  }
  await rgw.stop();
  rmSync(scratch, { recursive: true });
});

function endpoint(index: number): S3Endpoint {
  const found = rgw.endpoints[index];
  if (found === undefined) throw new Error(`no endpoint ${index}`);
  return found;
}

function open(index: number, prefix: string, parameters = "", trusted = true, name = bucket, keeping: Keeping = {}): Promise<ObjectStore> {
  const { region, ca, accessKeyId, secretAccessKey, endpoint: address } = endpoint(index);
  const authority = ca === undefined || !trusted ? "" : `&ca=${ca}`;
  const url = parseRegionUrl(`s3://${name}/${prefix}?endpoint=${address}&aws-region=${region}&path-style=true${authority}${parameters}`);
  if (url.kind !== "s3") throw new Error("not S3");
  return openS3Store(url, { kind: "keys", keys: { accessKeyId, secretAccessKey } }, {}, undefined, keeping);
}

/** A second, independent S3 implementation. */
function minioOf({ endpoint: address, accessKeyId, secretAccessKey, region }: S3Endpoint): Client {
  const url = new URL(address);
  const useSSL = url.protocol === "https:";
  const client = new Client({ endPoint: url.hostname, port: Number(url.port), useSSL, accessKey: accessKeyId, secretKey: secretAccessKey, region });
  // What is checked with it are the bytes; that the certificate is trusted is checked with the SDK.
  if (useSSL) client.setRequestOptions({ rejectUnauthorized: false });
  return client;
}

async function listed(client: Client, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { name } of client.listObjectsV2(bucket, prefix, true) as AsyncIterable<{ name: string }>) keys.push(name);
  return keys;
}

async function read(client: Client, key: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of (await client.getObject(bucket, key)) as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces);
}

storeConformance("S3 (RGW, first region)", () => open(0, "first"), { checksDigest: true });
storeConformance("S3 (RGW, second region, no prefix)", () => open(1, ""), { checksDigest: true });
/** Versions and delete markers of a key, seen by another client. */
async function versionsOf(client: Client, name: string, key: string): Promise<{ versionId: string }[]> {
  const found: { name: string; versionId: string }[] = [];
  for await (const item of client.listObjects(name, key, true, { IncludeVersion: true }) as AsyncIterable<{ name: string; versionId: string }>) found.push(item);
  return found.filter((item) => item.name === key);
}

storeConformance("S3 (RGW, TLS with an authority of its own)", () => open(2, "a/deep/prefix"), { checksDigest: true });

describe("what the SDK wrote, seen by another client", () => {
  test.each([0, 1, 2])("region %i lists and reads back byte for byte", async (index) => {
    const store = await open(index, "seen");
    const file = join(scratch, `spool-${index}`);
    const bodies = new Map([
      ["hosts/a/volumes/memory", randomBytes(1_000_003)],
      ["hosts/a/volumes/file", randomBytes(2_000_001)],
      ["hosts/a/catalogs/empty", Buffer.alloc(0)],
      ["hosts/a/archives/a b+c é", Buffer.from("odd name")],
    ]);
    for (const [key, bytes] of bodies) {
      if (key.endsWith("/file")) writeFileSync(file, bytes);
      const body = key.endsWith("/file") ? { path: file, sizeBytes: bytes.length } : bytes;
      expect(await store.put(key, body, { sha256: digestOf(bytes) })).toBe("created");
    }
    const client = minioOf(endpoint(index));
    expect((await listed(client, "seen/")).sort()).toEqual([...bodies.keys()].map((key) => `seen/${key}`).sort());
    for (const [key, bytes] of bodies) expect((await read(client, `seen/${key}`)).equals(bytes), key).toBe(true);
    store.close();
  });

  test("what another client wrote is listed and read", async () => {
    const client = minioOf(endpoint(0));
    const bytes = randomBytes(70_000);
    await client.putObject(bucket, "other/hosts/b/volumes/v", bytes);
    const store = await open(0, "other");
    expect(await listAll(store, "")).toMatchObject([{ key: "hosts/b/volumes/v", sizeBytes: 70_000 }]);
    store.close();
  });

  test("a storage class is given to volumes alone", async () => {
    const store = await open(0, "classes", "&storage-class=STANDARD_IA");
    for (const key of ["hosts/a/volumes/v", "hosts/a/catalogs/c"]) await store.put(key, Buffer.from("x"), { sha256: digestOf(Buffer.from("x")) });
    const client = minioOf(endpoint(0));
    const classOf = async (key: string): Promise<unknown> => (await client.statObject(bucket, `classes/${key}`)).metaData["x-amz-storage-class"];
    expect(await classOf("hosts/a/volumes/v")).toBe("STANDARD_IA");
    expect((await classOf("hosts/a/catalogs/c")) ?? "STANDARD").toBe("STANDARD");
    store.close();
  });
});

describe("a bucket that keeps versions", () => {
  test("is erased by version: overwritten, deleted, and a neighbour left alone", async () => {
    const client = minioOf(endpoint(0));
    const name = `${bucket}-versions`;
    await client.makeBucket(name);
    await client.setBucketVersioning(name, { Status: "Enabled" });
    const store = await open(0, "kept", "", true, name);
    const put = (key: string, text: string): Promise<string> => store.put(key, Buffer.from(text), { sha256: digestOf(Buffer.from(text)), overwrite: true });
    for (const text of ["one", "two", "three"]) await put("hosts/a/volumes/v", text);
    await put("hosts/a/volumes/v2", "neighbour");
    await store.delete("hosts/a/volumes/v");
    expect(await versionsOf(client, name, "kept/hosts/a/volumes/v")).toHaveLength(4);
    expect(await store.erase("hosts/a/volumes/v")).toEqual({ freedBytes: 11, kept: null });
    expect(await versionsOf(client, name, "kept/hosts/a/volumes/v")).toEqual([]);
    expect(await store.erase("hosts/a/volumes/v2")).toEqual({ freedBytes: 9, kept: null });
    store.close();
    // Only an empty bucket can be removed.
    await client.removeBucket(name);
  });
});

/** Makes a bucket with Object Lock. What COMPLIANCE keeps in it outlasts the test: on a server of one's own, by two days. */
async function lockedBucket(mode: string): Promise<string> {
  const name = `${bucket}-${mode}`;
  await minioOf(endpoint(0)).makeBucket(name, "", { ObjectLocking: true });
  return name;
}

for (const mode of ["governance", "compliance"] as const) {
  lockConformance(`S3 (RGW, ${mode} lock)`, async () => open(0, "kept", "", true, await lockedBucket(mode), { lock: { mode, days: 1 } }), mode);
}

describe("a bucket with Object Lock", () => {
  test("keeps what is locked, and says until when", async () => {
    const client = minioOf(endpoint(0));
    const name = `${bucket}-lock`;
    await client.makeBucket(name, "", { ObjectLocking: true });
    const store = await open(0, "", "", true, name);
    const body = Buffer.from("locked");
    await store.put("hosts/a/volumes/v", body, { sha256: digestOf(body) });
    await store.put("hosts/a/volumes/w", body, { sha256: digestOf(body) });
    const untilMs = Math.floor((Date.now() + 20_000) / 1000) * 1000;
    const [version] = await versionsOf(client, name, "hosts/a/volumes/v");
    await client.putObjectRetention(name, "hosts/a/volumes/v", { mode: "GOVERNANCE", retainUntilDate: new Date(untilMs).toISOString(), versionId: version?.versionId ?? "" });
    expect(await store.erase("hosts/a/volumes/v")).toEqual({ freedBytes: 0, kept: { untilMs } });
    expect(await store.erase("hosts/a/volumes/w")).toEqual({ freedBytes: 6, kept: null });
    await expect.poll(() => store.erase("hosts/a/volumes/v"), { timeout: 60_000, interval: 2000 }).toEqual({ freedBytes: 6, kept: null });
    store.close();
    await client.removeBucket(name);
  }, 90_000);
});

describe("refusals of a real server", () => {
  test("an authority that is not named is not trusted", async () => {
    const store = await open(2, "x", "", false);
    await expect(store.head("k")).rejects.toMatchObject({ fault: "unreachable", retryable: false });
    store.close();
  });

  test("wrong keys, a missing bucket and a wrong scheme are told apart", async () => {
    const { endpoint: address, accessKeyId, secretAccessKey } = endpoint(0);
    const url = parseRegionUrl(`s3://${bucket}?endpoint=${address}`);
    const absent = parseRegionUrl(`s3://${bucket}-absent?endpoint=${address}`);
    const secure = parseRegionUrl(`s3://${bucket}?endpoint=${address.replace("http:", "https:")}`);
    if (url.kind !== "s3" || absent.kind !== "s3" || secure.kind !== "s3") throw new Error("not S3");
    const keys = { accessKeyId, secretAccessKey };
    const cases = [
      [url, { accessKeyId, secretAccessKey: "wrong" }, "denied"],
      [url, { accessKeyId: "unknown", secretAccessKey }, "denied"],
      [absent, keys, "misused"],
      [secure, keys, "unreachable"],
    ] as const;
    for (const [place, pair, fault] of cases) {
      const store = await openS3Store(place, { kind: "keys", keys: pair });
      expect(await faultOf(store.put("k", Buffer.from("x"), { sha256: digestOf(Buffer.from("x")) })), fault).toBe(fault);
      expect(await faultOf(listAll(store, ""))).toBe(fault);
      store.close();
    }
  });
});
