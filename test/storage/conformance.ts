/** The contract of ObjectStore as a suite, run by every implementation and every server. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LockMode } from "../../src/policy/lock.ts";
import { type ObjectBody, type ObjectStore, readBytes } from "../../src/storage/object-store.ts";
import { digestOf, faultOf, listAll, readAll } from "./store-calls.ts";

export type StoreAbilities = {
  /** The store compares what arrives with the announced SHA-256. */
  checksDigest: boolean;
  /** Where the place keeps versions of what is replaced or deleted: how many of a key, marks of deletes included. */
  versionsOf?: (key: string) => Promise<number>;
};

const DAY_MS = 86_400_000;

/** `makeStore` gives an empty store each time it is called. */
export function storeConformance(name: string, makeStore: () => Promise<ObjectStore>, abilities: StoreAbilities): void {
  describe(`${name} keeps the contract of ObjectStore`, () => {
    let store: ObjectStore;
    let scratch: string;

    beforeAll(async () => {
      store = await makeStore();
      scratch = await mkdtemp(join(tmpdir(), "coldkeep-conformance-"));
    });
    afterAll(async () => {
      store.close();
      await rm(scratch, { recursive: true });
    });

    const put = (key: string, bytes: Uint8Array, options: { overwrite?: boolean; body?: ObjectBody } = {}): Promise<"created" | "exists"> =>
      store.put(key, options.body ?? bytes, { sha256: digestOf(bytes), overwrite: options.overwrite ?? false });

    test("a put creates once, says so, and never changes what is there", async () => {
      const before = await store.nowMs();
      expect(await put("hosts/a/archives/one", Buffer.from("first"))).toBe("created");
      expect(await put("hosts/a/archives/one", Buffer.from("second"))).toBe("exists");
      expect((await readAll(store, "hosts/a/archives/one")).toString()).toBe("first");
      const found = await store.head("hosts/a/archives/one");
      expect(found).toMatchObject({ key: "hosts/a/archives/one", sizeBytes: 5 });
      expect(Math.abs((found?.modifiedMs ?? 0) - before)).toBeLessThan(60_000);
    });

    test("overwrite replaces, also with something shorter", async () => {
      await put("hosts/a/archives/two", Buffer.from("the long first body"));
      expect(await put("hosts/a/archives/two", Buffer.from("short"), { overwrite: true })).toBe("created");
      expect((await readAll(store, "hosts/a/archives/two")).toString()).toBe("short");
    });

    test("ranges give exactly the bytes that exist, and the size of the whole", async () => {
      const bytes = randomBytes(100_000);
      await put("hosts/a/volumes/ranged", bytes);
      const cases = [
        [0, 1],
        [0, 100_000],
        [1_234, 50_000],
        [99_999, 1],
        [99_000, 5_000],
        [100_000, 10],
        [500_000, 10],
        [17, 0],
      ];
      for (const [offset = 0, length = 0] of cases) {
        const opened = await store.get("hosts/a/volumes/ranged", { range: { offset, length } });
        expect(opened.sizeBytes).toBe(100_000);
        const got = await readBytes(opened, 200_000, "ranged");
        expect(got.equals(bytes.subarray(offset, offset + length)), `${offset}+${length}`).toBe(true);
      }
    });

    test("what is not there is missing, null, or no error to delete", async () => {
      expect(await faultOf(store.get("hosts/a/volumes/none"))).toBe("missing");
      expect(await faultOf(store.get("hosts/nobody/volumes/none", { range: { offset: 0, length: 0 } }))).toBe("missing");
      expect(await store.head("hosts/a/volumes/none")).toBeNull();
      expect(await store.head("hosts/nobody/volumes/none")).toBeNull();
      await store.delete("hosts/nobody/volumes/none");
      await put("hosts/a/volumes/gone", Buffer.from("x"));
      await store.delete("hosts/a/volumes/gone");
      await store.delete("hosts/a/volumes/gone");
      expect(await store.head("hosts/a/volumes/gone")).toBeNull();
    });

    test("erasing removes an object for good, with whatever was there before it, and says how many bytes that freed", async () => {
      const versionsOf = abilities.versionsOf ?? (async (key: string): Promise<number> => ((await store.head(key)) === null ? 0 : 1));
      await put("hosts/a/volumes/erased", Buffer.from("the first, and longer"));
      await put("hosts/a/volumes/erased", Buffer.from("second"), { overwrite: true });
      await put("hosts/a/volumes/erased-not", Buffer.from("a neighbour whose name goes on"));
      const freedBytes = abilities.versionsOf === undefined ? 6 : 27;
      expect(await versionsOf("hosts/a/volumes/erased")).toBe(abilities.versionsOf === undefined ? 1 : 2);
      expect(await store.erase("hosts/a/volumes/erased")).toEqual({ freedBytes, kept: null });
      expect(await versionsOf("hosts/a/volumes/erased")).toBe(0);
      expect(await store.head("hosts/a/volumes/erased")).toBeNull();
      expect(await store.erase("hosts/a/volumes/erased")).toEqual({ freedBytes: 0, kept: null });
      expect(await store.erase("hosts/nobody/volumes/none")).toEqual({ freedBytes: 0, kept: null });
      expect((await readAll(store, "hosts/a/volumes/erased-not")).toString()).toBe("a neighbour whose name goes on");

      await put("hosts/a/volumes/hidden", Buffer.from("hidden"));
      await store.delete("hosts/a/volumes/hidden");
      expect(await store.erase("hosts/a/volumes/hidden")).toEqual({ freedBytes: abilities.versionsOf === undefined ? 0 : 6, kept: null });
      expect(await versionsOf("hosts/a/volumes/hidden")).toBe(0);
    });

    test("where nothing is locked, no lock shows, and none can be had", async () => {
      await put("hosts/a/volumes/open", Buffer.from("open"));
      expect(await store.head("hosts/a/volumes/open")).toMatchObject({ lock: null, access: "readable" });
      expect((await store.protection()).locks).toBe(false);
      expect(await faultOf(store.extendLock("hosts/a/volumes/open", { mode: "governance", untilMs: Date.now() + DAY_MS }))).toBe("misused");
    });

    test("keys that lead elsewhere are refused before anything is touched", async () => {
      for (const key of ["", "/etc/passwd", "../up", "a/../../up", "a//b", "a/./b", "a\0b", "a/", "a\nb", `${"x".repeat(1025)}`]) {
        expect(await faultOf(put(key, Buffer.from("x"))), JSON.stringify(key)).toBe("misused");
        expect(await faultOf(store.get(key))).toBe("misused");
        expect(await faultOf(store.head(key))).toBe("misused");
        expect(await faultOf(store.delete(key))).toBe("misused");
        expect(await faultOf(store.erase(key))).toBe("misused");
      }
    });

    test("an empty object and one of 8 MiB come back as they were", async () => {
      await put("hosts/a/volumes/empty", Buffer.alloc(0));
      expect(await store.head("hosts/a/volumes/empty")).toMatchObject({ sizeBytes: 0 });
      expect(await readAll(store, "hosts/a/volumes/empty")).toHaveLength(0);
      expect(await readAll(store, "hosts/a/volumes/empty", { offset: 0, length: 10 })).toHaveLength(0);
      const large = randomBytes(8 * 1024 * 1024);
      await put("hosts/a/volumes/large", large);
      expect((await readAll(store, "hosts/a/volumes/large")).equals(large)).toBe(true);
    });

    test("a file is stored whole, and refused when it is not as long as it was said to be", async () => {
      const bytes = randomBytes(3_000_001);
      const path = join(scratch, "spool");
      await writeFile(path, bytes);
      expect(await put("hosts/a/volumes/file", bytes, { body: { path, sizeBytes: bytes.length } })).toBe("created");
      expect((await readAll(store, "hosts/a/volumes/file")).equals(bytes)).toBe(true);
      for (const sizeBytes of [bytes.length - 1, bytes.length + 1]) {
        expect(await faultOf(put("hosts/a/volumes/wrong-size", bytes, { body: { path, sizeBytes } }))).toBe("misused");
      }
      const absent = { path: join(scratch, "absent"), sizeBytes: 1 };
      expect(await faultOf(put("hosts/a/volumes/wrong-size", bytes, { body: absent }))).toBe("misused");
      expect(await store.head("hosts/a/volumes/wrong-size")).toBeNull();
    });

    test("of several puts of one key exactly one creates it, and its bytes stay", async () => {
      const bodies = Array.from({ length: 8 }, (_, index) => Buffer.from(`body ${index}`));
      const answers = await Promise.all(bodies.map((body) => put("hosts/a/volumes/raced", body)));
      expect(answers.filter((answer) => answer === "created")).toHaveLength(1);
      const winner = bodies[answers.indexOf("created")];
      expect(await readAll(store, "hosts/a/volumes/raced")).toEqual(winner);
    });

    test("the versions of a key are its own, not those of keys that begin like it", async () => {
      await put("hosts/a/records/ver", Buffer.from("one"));
      await put("hosts/a/records/version", Buffer.from("another key"));
      const found = await store.versions("hosts/a/records/ver");
      expect(found.length).toBeLessThan(2);
      for (const { version, sizeBytes, isDeleteMarker } of found) {
        expect({ sizeBytes, isDeleteMarker }).toEqual({ sizeBytes: 3, isDeleteMarker: false });
        expect((await readBytes(await store.get("hosts/a/records/ver", { version }), 100, "ver")).toString()).toBe("one");
      }
      expect(await store.versions("hosts/a/records/v")).toEqual([]);
      expect(await faultOf(store.versions("../up"))).toBe("misused");
    });

    const { versionsOf } = abilities;
    if (versionsOf !== undefined) {
      test("what was replaced or deleted is found among the versions and read, whole and in ranges", async () => {
        const key = "hosts/a/volumes/kept";
        await put(key, Buffer.from("the first"));
        for (let count = 0; count < 12; count++) await put(key, Buffer.from(`junk ${count}`), { overwrite: true });
        await store.delete(key);
        expect(await store.head(key)).toBeNull();
        const found = await store.versions(key);
        expect(await versionsOf(key)).toBe(14);
        expect(found.map(({ isDeleteMarker }) => isDeleteMarker)).toEqual([true, ...Array.from({ length: 13 }, () => false)]);
        const first = found.filter(({ sizeBytes }) => sizeBytes === 9);
        expect(first).toHaveLength(1);
        const version = first[0]?.version;
        expect((await readBytes(await store.get(key, { version }), 100, key)).toString()).toBe("the first");
        expect((await readBytes(await store.get(key, { version, range: { offset: 4, length: 5 } }), 100, key)).toString()).toBe("first");
        await put(key, Buffer.from("the first"));
        expect(await store.head(key)).toMatchObject({ sizeBytes: 9 });
      });
    }

    if (abilities.checksDigest) {
      test("a body that does not have the announced SHA-256 is refused", async () => {
        const sha256 = digestOf(Buffer.from("what was meant"));
        expect(await faultOf(store.put("hosts/a/volumes/damaged", Buffer.from("what arrived"), { sha256 }))).toBe("corrupt");
        expect(await store.head("hosts/a/volumes/damaged")).toBeNull();
      });
    }

    test("a listing gives every key of its prefix and none of its neighbours, in byte order, over several pages", async () => {
      const keys = Array.from({ length: 1_205 }, (_, index) => `hosts/list/volumes/${String(index).padStart(5, "0")}`);
      const odd = ["hosts/list/volumes-2/x", "hosts/list/volume", "hosts/list.b/volumes/x", "hosts/listing", "hosts/list/a b+c%20d/é&<>'\"*()~!", "hosts/list/😀/z"];
      for (let at = 0; at < keys.length; at += 50) await Promise.all(keys.slice(at, at + 50).map((key) => put(key, Buffer.from(key))));
      for (const key of odd) await put(key, Buffer.from(key));
      const volumes = await listAll(store, "hosts/list/volumes/");
      expect(volumes.map(({ key }) => key)).toEqual(keys);
      expect(volumes[7]).toMatchObject({ key: keys[7], sizeBytes: keys[7]?.length });
      const every = [...keys, ...odd].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const keysOf = async (prefix: string, after?: string): Promise<string[]> => (await listAll(store, prefix, after)).map(({ key }) => key);
      expect(await keysOf("hosts/list")).toEqual(every);
      for (const prefix of ["hosts/list/volume", "hosts/list/volumes/0012", "hosts/list/a b", "hosts/list.", "hosts/list/nothing/", "hosts/list/volumes/00001", "hosts/😀"]) {
        expect(await keysOf(prefix), prefix).toEqual(every.filter((key) => key.startsWith(prefix)));
      }
      const after = "hosts/list/volumes/01100";
      expect(await keysOf("hosts/list/", after)).toEqual(every.filter((key) => key.startsWith("hosts/list/") && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0));
    }, 60_000);

    test("a call whose signal was given ends as interrupted and leaves nothing", async () => {
      const signal = AbortSignal.abort();
      const body = Buffer.from("x");
      await expect(store.put("hosts/a/volumes/stopped", body, { sha256: digestOf(body), signal })).rejects.toMatchObject({ code: "E_INTERRUPTED" });
      await expect(store.head("hosts/a/volumes/stopped", signal)).rejects.toMatchObject({ code: "E_INTERRUPTED" });
      expect(await store.head("hosts/a/volumes/stopped")).toBeNull();
    });

    test("the store's clock is near to ours", async () => {
      expect(Math.abs((await store.nowMs()) - Date.now())).toBeLessThan(10_000);
    });
  });
}

/** The contract of a store over a bucket with Object Lock, opened so that all it puts is locked in `mode` for a day. */
export function lockConformance(name: string, makeStore: () => Promise<ObjectStore>, mode: LockMode): void {
  test(`${name}: what is put is locked, for longer if asked, never for less, and kept from erasing until then`, async () => {
    const store = await makeStore();
    const key = "hosts/a/volumes/locked";
    const body = Buffer.from("locked");
    const nowMs = await store.nowMs();
    expect(await store.protection()).toEqual({ versions: true, locks: true });
    await store.put(key, body, { sha256: digestOf(body) });
    const lock = (await store.head(key))?.lock;
    expect(lock?.mode).toBe(mode);
    expect(Math.abs((lock?.untilMs ?? 0) - nowMs - DAY_MS)).toBeLessThan(60_000);
    const longer = { mode, untilMs: Math.floor(nowMs / 1000) * 1000 + 2 * DAY_MS };
    await store.extendLock(key, longer);
    expect((await store.head(key))?.lock).toEqual(longer);
    expect(await faultOf(store.extendLock(key, { ...longer, untilMs: longer.untilMs - DAY_MS }))).toBe("denied");
    expect(await store.erase(key)).toEqual({ freedBytes: 0, kept: { untilMs: longer.untilMs } });
    expect((await readAll(store, key)).toString()).toBe("locked");
    store.close();
  });
}
