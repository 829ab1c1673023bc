/** Prune over directory regions, in process, with a clock that is moved by hand. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { newSigner, signedObject } from "../../../src/codec/signer.ts";
import { holdArchive, type HoldOrder, releaseArchive } from "../../../src/engine/hold.ts";
import { keyPrefix, objectKey } from "../../../src/format/object-key.ts";
import { DAY, HOUR, type MadeArchive, over, PruneVault, START } from "./prune-vault.ts";

const idsOf = (made: readonly MadeArchive[]): string[] => made.map(({ id }) => id).toSorted();

describe("the whole life", () => {
  test("a plan changes nothing; manifests go at once, objects after the grace; what is freed is what is gone from the disk", async () => {
    const vault = new PruneVault();
    const nights = vault.nights(8);
    const before = vault.keys("a");
    const [planned] = await vault.prune({}, { dryRun: true });
    expect(vault.keys("a")).toEqual(before);
    expect(planned).toMatchObject({ done: null, error: null, exitStatus: 0 });
    expect(planned?.plan.verdicts.map(({ verdict }) => verdict)).toEqual([...Array(3).fill("keep"), ...Array(5).fill("expire")]);
    expect(planned?.plan.regions[0]).toMatchObject({ objects: [], waiting: { objects: 10 } });
    expect(planned?.plan.use.at(-1)).toMatchObject({ archives: 3, isInNewest: true });

    const [first] = await vault.prune();
    expect(first?.plan).toEqual(planned?.plan);
    expect(first?.done).toMatchObject({ records: 5, regions: [{ region: "a", manifests: 5, objects: 0, kept: [] }, { region: "b", manifests: 5 }] });
    for (const region of ["a", "b"]) expect(vault.wholeArchives(region, nights)).toEqual(idsOf(nights.slice(5)));
    const objects = (region: string): string[] => vault.keys(region).filter((key) => /volumes|catalogs/.test(key));
    expect(objects("a")).toHaveLength(17);

    const end = START + 7 * DAY;
    vault.at(end + 71 * HOUR);
    const [early] = await vault.prune({ last: 3 });
    expect(early?.done?.regions[0]).toMatchObject({ objects: 0, freedBytes: 0 });
    expect(objects("a")).toHaveLength(17);

    vault.at(end + 72 * HOUR + 1000);
    const stored = vault.bytes("b");
    const [late] = await vault.prune({ last: 3 });
    expect(late?.done?.regions).toMatchObject([{ objects: 10 }, { objects: 10 }]);
    expect(stored - vault.bytes("b")).toBe(late?.done?.regions[1]?.freedBytes);
    expect(late?.done?.regions[1]?.freedBytes).toBeGreaterThan(10_000);
    for (const region of ["a", "b"]) {
      expect(vault.wholeArchives(region, nights)).toEqual(idsOf(nights.slice(5)));
      expect(vault.keys(region).filter((key) => key.includes("/expired/"))).toEqual([]);
    }
    const [again] = await vault.prune({ last: 3 });
    expect(again?.done).toMatchObject({ records: 0, regions: [{ manifests: 0, objects: 0, freedBytes: 0 }, { freedBytes: 0 }] });
  });

  test("readers honour what has expired before its manifests are gone, and see no gap where it was", async () => {
    const vault = new PruneVault();
    const nights = vault.nights(6);
    // Nothing goes but the records: every manifest stays.
    vault.wrap = (store) => over(store, { erase: async () => ({ freedBytes: 0, kept: { untilMs: null } }) });
    await vault.prune();
    using open = await vault.open("web1");
    const survey = await open.survey("web1");
    expect(idsOf(survey.archives.map(({ header }) => ({ ...nights[0], id: header.id }) as MadeArchive))).toEqual(idsOf(nights.slice(3)));
    expect(survey.expired).toHaveLength(3);
    expect(() => open.choose(survey, nights[0]?.id)).toThrow(/has expired since/);
    vault.wrap = (store) => store;
    await vault.prune();
    using later = await vault.open("web1");
    const { listArchives } = await import("../../../src/engine/list-archives.ts");
    expect((await listArchives(later, ["web1"])).findings).toEqual([]);
  });
});

describe("nothing of a host is deleted", () => {
  const refusals: [string, string, (vault: PruneVault, nights: MadeArchive[]) => void][] = [
    ["while a region is silent", "E_REGION", (vault) => renameSync(vault.path("b", ""), `${vault.dir}/away`)],
    ["while a manifest is damaged in one region", "E_REFUSED", (vault, [night]) => {
      const path = vault.path("b", objectKey("web1", "archive", night?.id ?? ""));
      const bytes = readFileSync(path);
      bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    }],
    ["while a manifest is signed by nobody known", "E_SIGNER", (vault) => void vault.archive({ signer: newSigner(), regions: ["a"] })],
    ["while a checkpoint cannot be verified", "E_REFUSED", (vault) => vault.write("a", objectKey("web1", "checkpoint", "20300301t023000000z-aaaaaaaaaaaaaaaa"), "{}")],
    ["while a file among the manifests is none", "E_REFUSED", (vault) => vault.write("b", `${keyPrefix("web1", "archive")}notes.txt`, "hello")],
    ["while there is a record of a kind nobody knows", "E_REFUSED", (vault) => {
      const id = "20300301t023000000z-bbbbbbbbbbbbbbbb";
      const line = Buffer.from(JSON.stringify({ type: "record", format: 1, vault: vault.kit.vault, host: "web1", id, signer: "x", at: "2030-03-01T02:30:00.000Z", kind: "bless" }));
      vault.write("a", objectKey("web1", "record", id), signedObject(vault.operator.privateKey, "record", line).toString());
    }],
    ["while a record is signed by nobody known", "E_SIGNER", (vault) => {
      const id = "20300301t023000000z-cccccccccccccccc";
      const line = Buffer.from(JSON.stringify({ type: "record", format: 1, vault: vault.kit.vault, host: "web1", id, signer: "x", at: "2030-03-01T02:30:00.000Z", kind: "retire", reason: "" }));
      vault.write("a", objectKey("web1", "record", id), signedObject(newSigner().privateKey, "record", line).toString());
    }],
    ["while a region's clock is far off", "E_REFUSED", (vault) => {
      vault.wrap = (store, region) => over(store, region === "a" ? { nowMs: async () => Date.now() + 2 * HOUR } : {});
    }],
  ];

  test.each(refusals)("%s", async (_, code, spoil) => {
    const vault = new PruneVault();
    const nights = vault.nights(6);
    spoil(vault, nights);
    const before = [vault.keys("a"), vault.keys("b")];
    const [result] = await vault.prune();
    expect(result).toMatchObject({ done: null, error: { code }, exitStatus: code === "E_REGION" ? 1 : 5 });
    expect(result?.error?.hint).toBeTruthy();
    expect([vault.keys("a"), vault.keys("b")]).toEqual(before);
  });

  test("and another host is pruned all the same", async () => {
    const vault = new PruneVault(["web1", "web2"]);
    vault.nights(6, "web1");
    vault.nights(6, "web2");
    vault.write("b", `${keyPrefix("web1", "archive")}notes.txt`, "hello");
    const results = await vault.prune();
    expect(results.map(({ plan, exitStatus }) => [plan.host, exitStatus])).toEqual([["web1", 5], ["web2", 0]]);
    expect(vault.keys("a", "web2").filter((key) => key.includes("/archives/"))).toHaveLength(3);
  });
});

test("killed at any step, the archives that are there are whole, and the next call comes to the same end", async () => {
  const prepare = async (): Promise<{ vault: PruneVault; nights: MadeArchive[] }> => {
    const vault = new PruneVault();
    const nights = vault.nights(5);
    await vault.prune({ daily: 4 });
    // The first has its grace behind it, the next is about to expire.
    vault.at(START + 4 * DAY + 73 * HOUR);
    return { vault, nights };
  };
  const reference = await prepare();
  await reference.vault.prune();
  const volumes = (vault: PruneVault, region: string): number => vault.keys(region).length;
  const expected = volumes(reference.vault, "a");
  let step = 0;
  for (let ended = false; !ended; step++) {
    const { vault, nights } = await prepare();
    let calls = 0;
    const dying = <T>(call: () => Promise<T>): Promise<T> => (calls++ >= step ? Promise.reject(new Error("killed")) : call());
    vault.wrap = (store) => over(store, { put: (...args) => dying(() => store.put(...args)), erase: (...args) => dying(() => store.erase(...args)) });
    const [result] = await vault.prune();
    ended = result?.error === null;
    vault.wrap = (store) => store;
    for (const region of ["a", "b"]) vault.wholeArchives(region, nights);
    const [rest] = await vault.prune();
    expect(rest).toMatchObject({ error: null, exitStatus: 0 });
    for (const region of ["a", "b"]) {
      expect(vault.wholeArchives(region, nights)).toEqual(idsOf(nights.slice(2)));
      expect(volumes(vault, region), `after step ${step}`).toBe(expected);
    }
  }
  // Two records, two copies, two manifests, the objects and the copy of the first in each region.
  expect(step).toBeGreaterThan(10);
}, 60_000);

test("an object that two archives left behind waits for the grace of the later one", async () => {
  const vault = new PruneVault();
  const wanted = vault.object("volume");
  const key = objectKey("web1", "volume", wanted.id);
  const nights: MadeArchive[] = [];
  for (let night = 0; night < 4; night++) {
    vault.at(START + night * DAY);
    nights.push(vault.archive({ objects: night < 2 ? [wanted] : [] }));
  }
  await vault.prune({ daily: 3 });
  vault.at(START + 3 * DAY + 70 * HOUR);
  await vault.prune({ daily: 2 });
  vault.at(START + 3 * DAY + 141 * HOUR);
  await vault.prune({ daily: 2 });
  for (const region of ["a", "b"]) expect(vault.keys(region)).toContain(key);
  vault.at(START + 3 * DAY + 143 * HOUR);
  await vault.prune({ daily: 2 });
  for (const region of ["a", "b"]) expect(vault.keys(region)).not.toContain(key);
  expect(vault.wholeArchives("a", nights)).toEqual(idsOf(nights.slice(2)));
});

describe("holds", () => {
  test("a held archive stays, an expired one comes back to life, and after the release its objects get their whole grace again", async () => {
    const vault = new PruneVault();
    const nights = vault.nights(6);
    const [first, second] = nights.map(({ id }) => id);
    const hold = await vault.record({ kind: "hold", archive: first ?? "", reason: "audit" });
    const [held] = await vault.prune();
    expect(held?.plan.verdicts.at(-1)).toMatchObject({ archive: first, verdict: "keep", reason: "held: audit" });
    expect(vault.wholeArchives("a", nights)).toContain(first);
    expect(vault.wholeArchives("a", nights)).not.toContain(second);

    await vault.record({ kind: "release", archive: first ?? "", hold, reason: "settled" });
    vault.wrap = (store, region) => over(store, { erase: (key, signal) => (region === "b" && key.includes("/archives/") ? Promise.reject(new Error("killed")) : store.erase(key, signal)) });
    await vault.prune();
    vault.wrap = (store) => store;
    // Ended in one region and half in the other; now somebody wants it after all.
    const again = await vault.record({ kind: "hold", archive: first ?? "", reason: "appeal" });
    vault.at(START + 5 * DAY + 80 * HOUR);
    const [alive] = await vault.prune({ last: 3 });
    expect(alive?.plan.verdicts.find(({ archive }) => archive === first)).toMatchObject({ verdict: "keep" });
    for (const region of ["a", "b"]) for (const object of nights[0]?.objects ?? []) expect(vault.keys(region)).toContain(objectKey("web1", object.kind, object.id));

    await vault.record({ kind: "release", archive: first ?? "", hold: again, reason: "" });
    await vault.prune({ last: 3 });
    expect(vault.wholeArchives("b", nights)).not.toContain(first);
    // A run that began while it was held may rely on it for so long.
    vault.at(START + 5 * DAY + 150 * HOUR);
    await vault.prune({ last: 3 });
    for (const region of ["a", "b"]) for (const object of nights[0]?.objects ?? []) expect(vault.keys(region)).toContain(objectKey("web1", object.kind, object.id));
    vault.at(START + 5 * DAY + 153 * HOUR);
    await vault.prune({ last: 3 });
    const own = nights[0]?.objects.find(({ kind }) => kind === "catalog");
    for (const region of ["a", "b"]) expect(vault.keys(region)).not.toContain(objectKey("web1", "catalog", own?.id ?? ""));
  });

  test("a hold that comes while the prune is at work saves its archive", async () => {
    const vault = new PruneVault();
    const nights = vault.nights(5);
    const [first] = nights.map(({ id }) => id);
    let isHeld = false;
    vault.wrap = (store, region) => over(store, {
      put: async (key, ...rest) => {
        const done = await store.put(key, ...rest);
        if (region === "b" && key.includes("/expired/") && !isHeld) {
          isHeld = true;
          await vault.record({ kind: "hold", archive: first ?? "", reason: "just in time" });
        }
        return done;
      },
    });
    await vault.prune();
    expect(isHeld).toBe(true);
    for (const region of ["a", "b"]) expect(vault.wholeArchives(region, nights)).toEqual(idsOf([...nights.slice(0, 1), ...nights.slice(2)]));
  });
});

describe("what a region may be like", () => {
  test("one with a lock keeps what is locked, says until when, and is no failure; the other is freed", async () => {
    const vault = new PruneVault();
    const nights = vault.nights(5);
    const untilMs = START + 60 * DAY;
    vault.wrap = (store, region) => over(store, region === "a" ? { erase: async (key, signal) => (key.includes("/archives/") ? { freedBytes: 0, kept: { untilMs } } : store.erase(key, signal)) } : {});
    const [result] = await vault.prune();
    expect(result).toMatchObject({ error: null, exitStatus: 0, done: { regions: [{ region: "a", manifests: 0, kept: [{ untilMs }, { untilMs }] }, { region: "b", manifests: 2, kept: [] }] } });
    vault.at(START + 4 * DAY + 73 * HOUR);
    const [later] = await vault.prune({ last: 3 });
    expect(later?.done).toMatchObject({ records: 0, regions: [{ objects: 0 }, { objects: 4 }] });
    // Where its manifest is, an archive is whole, for readers that know of no records.
    expect(vault.wholeArchives("a", nights)).toEqual(idsOf(nights));
  });

  test("one that lacks a record gets it; one that never held the archive gives its objects the whole grace too", async () => {
    const vault = new PruneVault();
    const shared = vault.object("volume");
    vault.archive({ regions: ["a"], objects: [shared] });
    for (let night = 1; night < 4; night++) {
      vault.at(START + night * DAY);
      vault.archive();
    }
    vault.at(START + 35 * DAY);
    const [record] = [await vault.record({ kind: "retire", reason: "gone" })];
    vault.remove("b", objectKey("web1", "record", record));
    const [result] = await vault.prune();
    expect(result?.plan).toMatchObject({ retired: true, expire: [{ reason: expect.stringContaining("is beyond daily 3") as string }] });
    expect(readFileSync(vault.path("b", objectKey("web1", "record", record))).length).toBeGreaterThan(100);
    expect(vault.keys("b")).toContain(objectKey("web1", "volume", shared.id));
    vault.at(START + 35 * DAY + 73 * HOUR);
    await vault.prune();
    for (const region of ["a", "b"]) expect(vault.keys(region)).not.toContain(objectKey("web1", "volume", shared.id));
  });
});

test("a host whose signer was taken cannot push its good archives out, nor have them judged by its own clock", async () => {
  const vault = new PruneVault();
  const nights = vault.nights(10);
  // An hour before the good ones, each of which would then be the second of its day.
  for (let i = 0; i < 10; i++) vault.archive({ finishedMs: START + i * DAY - HOUR });
  for (let i = 0; i < 20; i++) vault.archive({ finishedMs: START + (60 + i) * DAY });
  const [result] = await vault.prune({ daily: 10 });
  const verdicts = new Map(result?.plan.verdicts.map(({ archive, verdict }) => [archive, verdict]));
  for (const night of nights.slice(0, 9)) expect(verdicts.get(night.id)).toBe("keep");
  for (const region of ["a", "b"]) for (const night of nights) expect(vault.wholeArchives(region, nights)).toContain(night.id);
});

test("the verbs' hold brings back what has expired while a region has its manifest, and a release ends every hold", async () => {
  const vault = new PruneVault();
  const nights = vault.nights(5);
  vault.wrap = (store) => over(store, { erase: async () => ({ freedBytes: 0, kept: { untilMs: null } }) });
  await vault.prune();
  vault.wrap = (store) => store;
  const order = async (reason: string): Promise<HoldOrder> => ({ vault: await vault.open("web1"), archive: nights[0]?.id.slice(0, 20) ?? "", reason, signer: vault.operator, emit: () => undefined, signal: new AbortController().signal });
  const held = await holdArchive(await order("audit"));
  expect(held).toMatchObject({ archive: nights[0]?.id, records: [expect.any(String)], regions: { a: "recorded", b: "recorded" } });
  expect((await holdArchive(await order("audit"))).records).toEqual([]);
  expect((await holdArchive(await order("appeal"))).records).toHaveLength(1);
  const idsNow = async (): Promise<string[]> => (await (await vault.open("web1")).survey("web1")).archives.map(({ header }) => header.id);
  expect(await idsNow()).toContain(nights[0]?.id);
  expect((await releaseArchive(await order("over"))).records).toHaveLength(2);
  expect(await idsNow()).not.toContain(nights[0]?.id);
});

test("what a revoked signer signed after its last good archive is void: it takes nobody's place, and goes by hand only, however old it is", async () => {
  const vault = new PruneVault();
  const nights = vault.nights(6);
  const [good, evil] = [nights.slice(0, 4), nights.slice(4)];
  const last = good.at(-1);
  const revoked = last?.header.signer ?? "";
  await vault.record({ kind: "revoke", revoked, last: { id: last?.id ?? "", sha256: last?.sha256 ?? "" }, reason: "stolen" });
  vault.at(START + 100 * DAY);
  const [first] = await vault.prune({ daily: 2 });
  const verdicts = first?.plan.verdicts.map(({ archive, verdict }) => [archive, verdict]);
  expect(verdicts).toEqual([...evil.map(({ id }) => [id, "void"]), ...good.slice(2).map(({ id }) => [id, "keep"]), ...good.slice(0, 2).map(({ id }) => [id, "expire"])].toSorted(([a = ""], [b = ""]) => (a < b ? 1 : -1)));
  vault.at(START + 110 * DAY);
  const [second] = await vault.prune({ daily: 2 });
  expect(second).toMatchObject({ error: null, exitStatus: 0 });
  for (const region of ["a", "b"]) {
    expect(vault.wholeArchives(region, nights)).toEqual(idsOf([...good.slice(2), ...evil]));
    for (const object of good[0]?.objects.slice(1) ?? []) expect(vault.keys(region)).not.toContain(objectKey("web1", object.kind, object.id));
  }
});
