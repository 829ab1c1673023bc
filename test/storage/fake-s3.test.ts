import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseRegionUrl, type S3Url } from "../../src/storage/region-url.ts";
import { openS3Store } from "../../src/storage/s3-store.ts";
import type { Keeping, ObjectStore } from "../../src/storage/object-store.ts";
import { makeCertificate } from "../support/fake-s3-certificate.ts";
import { type FakeS3, fakeS3Url, startFakeS3 } from "../support/fake-s3.ts";
import { lockConformance, storeConformance } from "./conformance.ts";
import { digestOf, faultOf, listAll, readAll } from "./store-calls.ts";

function s3Url(text: string): S3Url {
  const url = parseRegionUrl(text);
  if (url.kind !== "s3") throw new Error("not S3");
  return url;
}

const LOCK_MODES = ["governance", "compliance"] as const;

const folder = mkdtempSync(join(tmpdir(), "coldkeep-fake-"));
const certificate = makeCertificate(folder);
let plain: FakeS3;
let secure: FakeS3;
/** Whose pages hold few versions. */
let versioned: FakeS3;

beforeAll(async () => {
  plain = await startFakeS3({ buckets: ["vault", "other", ...LOCK_MODES], pageSize: 100 });
  for (const mode of LOCK_MODES) Object.assign(plain.bucket(mode), { isVersioned: true, hasObjectLock: true });
  secure = await startFakeS3({ buckets: ["vault"], tls: certificate });
  versioned = await startFakeS3({ buckets: ["vault"], pageSize: 5 });
  versioned.bucket("vault").isVersioned = true;
});
afterAll(async () => {
  await plain.stop();
  await secure.stop();
  await versioned.stop();
  rmSync(folder, { recursive: true });
});

function open(fake: FakeS3, prefix: string, parameters = "", keys = fake.keys, bucket = "vault", keeping: Keeping = {}): Promise<ObjectStore> {
  return openS3Store(s3Url(fakeS3Url(fake, bucket, prefix, parameters)), { kind: "keys", keys }, { connectMs: 5_000, inactivityMs: 2_000 }, undefined, keeping);
}

storeConformance("S3 (fake, http)", () => open(plain, "deep/prefix"), { checksDigest: true });
storeConformance("S3 (fake, https with its own authority)", () => open(secure, "", `&ca=${certificate.certPath}`), { checksDigest: true });

const versionsInFake = async (key: string): Promise<number> => versioned.bucket("vault").versions(`a b+c/${key}`).length;
storeConformance("S3 (fake, a bucket that keeps versions)", () => open(versioned, "a b+c"), { checksDigest: true, versionsOf: versionsInFake });

for (const mode of LOCK_MODES) lockConformance(`S3 (fake, ${mode} lock)`, () => open(plain, "kept", "", plain.keys, mode, { lock: { mode, days: 1 } }), mode);

describe("keeping", () => {
  test("a bucket without Object Lock refuses what is to be locked, and the refusal says so", async () => {
    const store = await open(plain, "unlocked", "", plain.keys, "vault", { lock: { mode: "compliance", days: 1 } });
    const put = store.put("hosts/a/volumes/v", Buffer.from("x"), { sha256: digestOf(Buffer.from("x")) });
    await expect(put).rejects.toMatchObject({ fault: "misused", message: expect.stringContaining("without Object Lock") });
    store.close();
  });

  test("a frozen volume is told, thawed when asked for, and asking again is no error; a catalog stays warm", async () => {
    const store = await open(plain, "cold", "", plain.keys, "other", { storageClass: "DEEP_ARCHIVE" });
    const [volume, catalog] = ["hosts/a/volumes/v", "hosts/a/catalogs/c"];
    for (const key of [volume, catalog]) await store.put(key, Buffer.from("cold"), { sha256: digestOf(Buffer.from("cold")) });
    expect(await store.head(catalog)).toMatchObject({ access: "readable" });
    expect(await store.head(volume)).toMatchObject({ access: "frozen", storageClass: "DEEP_ARCHIVE" });
    expect(await listAll(store, "hosts/a/")).toMatchObject([{ storageClass: "STANDARD" }, { storageClass: "DEEP_ARCHIVE" }]);
    expect(await faultOf(store.get(volume))).toBe("frozen");
    plain.bucket("other").thawMs = 60_000;
    for (let times = 0; times < 2; times++) await store.thaw(volume, "bulk", 1);
    expect(await store.head(volume)).toMatchObject({ access: "thawing" });
    plain.clockOffsetMs = 61_000;
    expect(await store.head(volume)).toMatchObject({ access: "readable" });
    expect((await readAll(store, volume)).toString()).toBe("cold");
    await store.thaw(volume, "standard", 1);
    plain.clockOffsetMs = 0;
    store.close();
  });
});

describe("a bucket that keeps versions", () => {
  test("is erased by version, the newest last, and its lock is told, not thrown", async () => {
    const store = await open(versioned, "a b+c");
    const key = "hosts/b/volumes/v";
    for (const text of ["one", "two", "three", "four", "five", "six"]) await store.put(key, Buffer.from(text), { sha256: digestOf(Buffer.from(text)), overwrite: true });
    await store.put(`${key}2`, Buffer.from("x"), { sha256: digestOf(Buffer.from("x")) });
    expect(await store.erase(key)).toEqual({ freedBytes: 22, kept: null });
    expect(await versionsInFake(key)).toBe(0);
    expect(await versionsInFake(`${key}2`)).toBe(1);

    const untilMs = Math.floor((Date.now() + 86_400_000) / 1000) * 1000;
    await store.put(key, Buffer.from("locked"), { sha256: digestOf(Buffer.from("locked")) });
    versioned.bucket("vault").lock(`a b+c/${key}`, untilMs);
    await store.put(key, Buffer.from("over it"), { sha256: digestOf(Buffer.from("over it")), overwrite: true });
    expect(await store.erase(key)).toEqual({ freedBytes: 7, kept: { untilMs } });
    expect(versioned.bucket("vault").get(`a b+c/${key}`)?.toString()).toBe("locked");
    store.close();
  });

  test("whose versions may not be listed is not half erased; one that knows none is erased as it is", async () => {
    const store = await open(versioned, "a b+c");
    const key = "hosts/b/volumes/w";
    await store.put(key, Buffer.from("body"), { sha256: digestOf(Buffer.from("body")) });
    versioned.onRequest = ({ operation }) => (operation === "ListVersions" ? { kind: "status", status: 403, code: "AccessDenied" } : undefined);
    await expect(store.erase(key)).rejects.toMatchObject({ fault: "denied", hint: expect.stringContaining("ListBucketVersions") as string });
    expect(await versionsInFake(key)).toBe(1);
    versioned.onRequest = ({ operation }) => (operation === "ListVersions" ? { kind: "status", status: 501, code: "NotImplemented" } : undefined);
    expect(await store.erase(key)).toEqual({ freedBytes: 4, kept: null });
    versioned.onRequest = () => undefined;
    expect(await store.head(key)).toBeNull();
    store.close();
  });
});

describe("what is sent", () => {
  test("the digest stands in the request, nothing is encoded or hashed a second time, and only volumes get a storage class", async () => {
    const store = await open(plain, "sent", "&storage-class=COLDER");
    const body = Buffer.from("body");
    await store.put("hosts/a/volumes/v", body, { sha256: digestOf(body) });
    await store.put("hosts/a/catalogs/c", body, { sha256: digestOf(body) });
    const [volume, catalog] = plain.requests.filter(({ operation, key }) => operation === "PutObject" && key.startsWith("sent/"));
    expect(volume?.headers).toMatchObject({
      "x-amz-content-sha256": digestOf(body),
      "content-length": "4",
      "if-none-match": "*",
      "x-amz-storage-class": "COLDER",
    });
    expect(Object.keys(volume?.headers ?? {}).filter((name) => name.includes("checksum") || name === "transfer-encoding" || name === "expect")).toEqual([]);
    expect(catalog?.headers["x-amz-storage-class"]).toBeUndefined();
    store.close();
  });

  test("a body that cannot be read ends the put at once, and the SDK prints nothing", async () => {
    const warn = vi.spyOn(console, "warn");
    const store = await open(plain, "unreadable");
    const startMs = performance.now();
    // A folder can be opened and has a size, but every read of it fails.
    const put = store.put("x", { path: folder, sizeBytes: statSync(folder).size }, { sha256: digestOf(Buffer.alloc(0)) });
    await expect(put).rejects.toThrow(/EISDIR/);
    expect(performance.now() - startMs).toBeLessThan(350);
    expect(warn).not.toHaveBeenCalled();
    store.close();
  });

  test("a store that does not know conditional writes is asked once, then without them", async () => {
    plain.conditionalPut = "not-implemented";
    const store = await open(plain, "old");
    const before = plain.requests.length;
    const body = Buffer.from("body");
    for (const key of ["one", "two"]) expect(await store.put(key, body, { sha256: digestOf(body) })).toBe("created");
    expect(plain.requests.slice(before).map(({ headers, status }) => [headers["if-none-match"], status])).toEqual([
      ["*", 501],
      [undefined, 200],
      [undefined, 200],
    ]);
    plain.conditionalPut = "honoured";
    store.close();
  });

  test("the fake refuses a wrong secret, an unknown key and a request without a signature", async () => {
    const wrong = await open(plain, "p", "", { ...plain.keys, secretAccessKey: "wrong" });
    await expect(wrong.head("x")).rejects.toMatchObject({ fault: "denied" });
    await expect(wrong.get("x")).rejects.toThrow(/secret key does not fit/);
    const unknown = await open(plain, "p", "", { ...plain.keys, accessKeyId: "unknown" });
    await expect(unknown.get("x")).rejects.toThrow(/does not know this access key/);
    expect((await fetch(`${plain.endpoint}/vault/p/x`)).status).toBe(403);
    wrong.close();
    unknown.close();
  });
});

describe("errors say what to do", () => {
  test("a bucket that does not exist", async () => {
    const store = await openS3Store({ ...s3Url(fakeS3Url(plain, "absent")) }, { kind: "keys", keys: plain.keys });
    await expect(store.get("x")).rejects.toMatchObject({ fault: "misused", message: expect.stringContaining('"absent"') as string });
    store.close();
  });

  test("clocks too far apart are told with both times", async () => {
    const store = await open(plain, "p");
    plain.clockOffsetMs = 3 * 3_600_000;
    await expect(store.get("x")).rejects.toMatchObject({
      fault: "denied",
      message: expect.stringMatching(/the store says 20.*Z, this machine 20.*Z/) as string,
    });
    plain.clockOffsetMs = 0;
    store.close();
  });

  test("the store's clock is the store's", async () => {
    const store = await open(plain, "p");
    plain.clockOffsetMs = -300_000;
    expect(Math.abs((await store.nowMs()) - (Date.now() - 300_000))).toBeLessThan(3_000);
    plain.clockOffsetMs = 0;
    store.close();
  });

  test("an untrusted certificate is named and not worth a retry", async () => {
    const store = await open(secure, "p");
    await expect(store.head("x")).rejects.toMatchObject({
      fault: "unreachable",
      retryable: false,
      message: expect.stringMatching(/certificate is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/) as string,
      hint: expect.stringContaining("ca=/path") as string,
    });
    store.close();
  });

  test("a web page in place of the store is never taken for an answer of it", async () => {
    const store = await open(plain, "p");
    const body = Buffer.from("body");
    plain.onRequest = () => ({ kind: "html" });
    expect(await faultOf(store.put("x", body, { sha256: digestOf(body) }))).toBe("unreachable");
    expect(await faultOf(store.get("x"))).toBe("unreachable");
    expect(await faultOf(store.head("x"))).toBe("unreachable");
    expect(await faultOf(store.nowMs())).toBe("unreachable");
    expect(await faultOf(Array.fromAsync(store.list("")))).toBe("unreachable");
    plain.onRequest = () => undefined;
    store.close();
  });

  test("pages without an end are noticed", async () => {
    const store = await open(plain, "deep/prefix");
    plain.onRequest = ({ operation }) => (operation === "ListObjects" ? { kind: "same-page" } : undefined);
    expect(await faultOf(Array.fromAsync(store.list("hosts/list/")))).toBe("corrupt");
    plain.onRequest = () => undefined;
    store.close();
  });

  test("foreign keys of any kind are listed and harm nothing", async () => {
    const strange = ["with\u0001control", "new\nline", "tab\t", "a+b", "a%2Fb", "100%", "../up", "//", "x".repeat(1000), "\u{1F600}", "trail/"];
    for (const key of strange) plain.bucket("vault").set(`foreign/${key}`, Buffer.from("x"));
    const store = await open(plain, "foreign");
    const found = (await Array.fromAsync(store.list(""))).map(({ key }) => key);
    expect(found.sort()).toEqual([...strange].sort());
    store.close();
  });
});
