/** repair: whatever is right in one region becomes right in all, and nothing else is touched. No identity is anywhere near. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ColdkeepError } from "../../../src/errors.ts";
import { formatPublicKey } from "../../../src/codec/signer.ts";
import { objectKey, VAULT_MARKER_KEY } from "../../../src/format/object-key.ts";
import { parseRecord } from "../../../src/format/record.ts";
import { CATALOGS, damage, type Damage, HOST, madeManifest, madeRecord, MadeVault, MANIFESTS, NEW, OBJECTS, OLD, OPERATOR, STOLEN, stranger, UNFINISHED, VOLUMES } from "./made-vault.ts";

const NAMES = ["north", "south", "west"] as const;
const KINDS: readonly Damage[] = ["none", "none", "none", "missing", "flipped", "truncated", "longer"];
const ALL = [...OBJECTS, ...MANIFESTS];

test("of any damage in three regions, all that is right somewhere is right everywhere afterwards; a good object is never written, a second run writes nothing", async () => {
  const vault = await MadeVault.start(...NAMES);
  const pattern = fc.array(fc.array(fc.constantFrom(...KINDS), { minLength: 3, maxLength: 3 }), { minLength: ALL.length, maxLength: ALL.length });
  await fc.assert(
    fc.asyncProperty(pattern, async (damages) => {
      for (const name of NAMES) vault.fill(name);
      ALL.forEach(({ key }, i) => NAMES.forEach((name, j) => damage(vault.bucket(name), key, damages[i]?.[j] ?? "none")));
      const before = new Map(NAMES.map((name) => [name, new Set(vault.wrong(name))]));
      const absent = new Set(NAMES.flatMap((name) => MANIFESTS.filter(({ key }) => vault.bucket(name).get(key) === undefined).map(({ key }) => `${name} ${key}`)));
      const everywhere = (key: string): boolean => NAMES.every((name) => before.get(name)?.has(key) === true);
      vault.takePuts();
      const report = await vault.repair();
      const puts = vault.takePuts();
      expect(puts.filter((put) => before.get(put.split(" ")[0] as (typeof NAMES)[number])?.has(put.split(" ")[1] ?? "") !== true)).toEqual([]);
      expect(new Set(puts).size).toBe(puts.length);
      // A lost manifest takes what only it names out of the search: nobody knows what those bytes should be.
      const readable = MANIFESTS.filter(({ key }) => !everywhere(key));
      const named = new Set(readable.flatMap(({ objects }) => objects.map(({ key }) => key)));
      const lost = [...named].filter(everywhere).toSorted();
      for (const name of NAMES) {
        const left = vault.wrong(name).filter((key) => named.has(key) && !everywhere(key));
        expect(left, name).toEqual([]);
        for (const { key, objects } of readable) {
          // Only a region that lacked the manifest, and cannot be given all it lists, is left without.
          const isWithheld = absent.has(`${name} ${key}`) && objects.some((object) => everywhere(object.key));
          expect(vault.wrong(name).includes(key), `${name} ${key}`).toBe(isWithheld);
        }
      }
      expect(report.plan.lost.filter(({ kind }) => kind !== "manifest").map(({ object }) => ALL.find((each) => each.key.includes(object))?.key).toSorted()).toEqual(lost);
      expect(report.exitStatus).toBe(report.plan.lost.length + report.plan.withheld.length === 0 ? 0 : 3);
      await vault.repair();
      expect(vault.takePuts()).toEqual([]);
    }),
    { numRuns: 8 },
  );
}, 60_000);

test("killed at any request, it leaves no manifest without its objects and no object that was right wrong; the next run finishes", async () => {
  const vault = await MadeVault.start("north", "south");
  const hurt = (): void => {
    for (const name of vault.names) vault.fill(name);
    for (const { key } of [CATALOGS[0], VOLUMES[0], NEW]) damage(vault.bucket("south"), key, "missing");
    damage(vault.bucket("south"), VOLUMES[2].key, "flipped");
    damage(vault.bucket("north"), VOLUMES[3].key, "truncated");
    damage(vault.bucket("north"), OLD.key, "flipped");
    vault.fake.requests.length = 0;
  };
  hurt();
  await vault.repair();
  const total = vault.fake.requests.length;
  const firstPut = vault.fake.requests.findIndex(({ operation }) => operation === "PutObject");
  expect(total - firstPut).toBeGreaterThan(8);
  for (let at = firstPut - 2; at < total; at++) {
    hurt();
    const kill = new AbortController();
    let count = 0;
    vault.fake.onRequest = () => {
      if (count++ < at) return undefined;
      kill.abort(new ColdkeepError("E_INTERRUPTED", "interrupted"));
      // Half of the time the request that was under way still lands.
      return at % 2 === 0 ? { kind: "lost-answer" } : { kind: "reset" };
    };
    const rightBefore = new Map(vault.names.map((name) => [name, vault.wrong(name)]));
    await expect(vault.repair({ signal: kill.signal }), `request ${at}`).rejects.toMatchObject({ code: "E_INTERRUPTED" });
    vault.fake.onRequest = () => undefined;
    for (const name of vault.names) {
      const wrong = vault.wrong(name);
      expect(wrong.filter((key) => rightBefore.get(name)?.includes(key) !== true), `request ${at}`).toEqual([]);
      // The manifest that was missing is there only with all it lists.
      if (!wrong.includes(NEW.key)) expect(name === "north" || NEW.objects.every(({ key }) => !wrong.includes(key)), `request ${at}`).toBe(true);
    }
    expect((await vault.repair()).exitStatus).toBe(0);
    expect(vault.names.map((name) => vault.wrong(name))).toEqual([[], []]);
  }
}, 60_000);

test("a dry run writes nothing and says what the run then does, region by region and with where from", async () => {
  const vault = await MadeVault.start("north", "south");
  damage(vault.bucket("north"), VOLUMES[0].key, "flipped");
  damage(vault.bucket("south"), NEW.key, "missing");
  damage(vault.bucket("south"), VOLUMES[2].key, "missing");
  vault.takePuts();
  const dry = await vault.repair({ dryRun: true });
  expect(vault.takePuts()).toEqual([]);
  expect(dry).toMatchObject({ exitStatus: 0, applied: null });
  const planned = dry.plan.copies.map(({ region, key, from, bytes }) => ({ region, key, from, bytes }));
  expect(planned).toEqual([
    { region: "south", key: VOLUMES[2].key, from: ["north"], bytes: VOLUMES[2].bytes.length },
    { region: "north", key: VOLUMES[0].key, from: ["south"], bytes: VOLUMES[0].bytes.length },
    { region: "south", key: NEW.key, from: ["north"], bytes: expect.any(Number) },
  ]);
  const done = await vault.repair();
  expect(vault.takePuts().toSorted()).toEqual(planned.map(({ region, key }) => `${region} ${key}`).toSorted());
  expect(done.plan.copies.map(({ region, key, from, bytes }) => ({ region, key, from, bytes }))).toEqual(planned);
  expect(done).toMatchObject({ exitStatus: 0, regions: { north: { state: "repaired", copied: 1 }, south: { state: "repaired", copied: 2 } } });
});

test("--quick looks at sizes; --region puts into that region only", async () => {
  const vault = await MadeVault.start("north", "south");
  damage(vault.bucket("north"), VOLUMES[0].key, "flipped");
  damage(vault.bucket("south"), VOLUMES[1].key, "truncated");
  vault.takePuts();
  expect(await vault.repair({ quick: true })).toMatchObject({ exitStatus: 0 });
  expect(vault.takePuts()).toEqual([`south ${VOLUMES[1].key}`]);
  damage(vault.bucket("south"), VOLUMES[2].key, "missing");
  expect(await vault.repair({ region: "south" })).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired" } } });
  expect(vault.takePuts()).toEqual([`south ${VOLUMES[2].key}`]);
  expect(vault.wrong("north")).toEqual([VOLUMES[0].key]);
  await expect(vault.repair({ region: "east" })).rejects.toMatchObject({ code: "E_USAGE" });
});

test("a region that refuses or flaps is named, ends no other, and is made whole by the next run", async () => {
  const vault = await MadeVault.start(...NAMES);
  for (const name of ["south", "west"]) for (const { key } of OBJECTS) damage(vault.bucket(name), key, "missing");
  let puts = 0;
  vault.fake.onRequest = ({ operation, bucket }) => (operation === "PutObject" && bucket === "south" && ++puts > 2 ? { kind: "status", status: 503, code: "SlowDown" } : undefined);
  const flapped = await vault.repair();
  expect(flapped).toMatchObject({ exitStatus: 3, regions: { north: { state: "whole" }, south: { state: "incomplete", reason: expect.stringContaining("south") }, west: { state: "repaired" } } });
  expect(flapped.said.filter((message) => message.includes('"south"')).length).toBe(1);
  vault.fake.onRequest = ({ operation, bucket }) => (operation === "PutObject" && bucket === "south" ? { kind: "status", status: 403, code: "AccessDenied" } : undefined);
  expect(await vault.repair()).toMatchObject({ exitStatus: 3, regions: { south: { state: "incomplete", reason: expect.stringContaining("access denied") } } });
  vault.fake.onRequest = () => undefined;
  expect(await vault.repair()).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired" } } });
  expect(NAMES.map((name) => vault.wrong(name))).toEqual([[], [], []]);
});

test("what somebody else puts right meanwhile is left alone, and two repairs at once do no harm", async () => {
  const vault = await MadeVault.start("north", "south");
  damage(vault.bucket("south"), VOLUMES[0].key, "flipped");
  damage(vault.bucket("south"), VOLUMES[2].key, "missing");
  damage(vault.bucket("south"), OLD.key, "truncated");
  vault.takePuts();
  vault.fake.onRequest = ({ operation, bucket }) => {
    if (operation === "PutObject" && bucket === "south") vault.fill("south");
    return undefined;
  };
  expect(await vault.repair()).toMatchObject({ exitStatus: 0 });
  const puts = vault.takePuts();
  // The two volumes are looked at together, the manifest after them.
  expect(puts.length).toBeLessThan(3);
  expect(puts).not.toContain(`south ${OLD.key}`);
  vault.fake.onRequest = () => undefined;
  for (const { key } of OBJECTS) damage(vault.bucket("south"), key, "missing");
  vault.takePuts();
  expect(await Promise.all([vault.repair(), vault.repair()])).toMatchObject([{ exitStatus: 0 }, { exitStatus: 0 }]);
  expect(vault.takePuts().toSorted()).toEqual(OBJECTS.map(({ key }) => `south ${key}`).toSorted());
  expect(vault.wrong("south")).toEqual([]);
});

test("what is lost is recorded once, by the operator only, and never while a region does not answer", async () => {
  const vault = await MadeVault.start("north", "south");
  damage(vault.bucket("north"), VOLUMES[0].key, "flipped");
  damage(vault.bucket("south"), VOLUMES[0].key, "missing");
  vault.takePuts();
  expect(await vault.repair({ signer: OPERATOR, away: ["south"] })).toMatchObject({ exitStatus: 3, recorded: 0, plan: { lost: [{ isSure: false }] } });
  expect(await vault.repair()).toMatchObject({ exitStatus: 3, recorded: 0, plan: { lost: [{ object: VOLUMES[0].listed.id, archives: [OLD.id], isSure: true, isRecorded: false }] } });
  expect(vault.takePuts()).toEqual([]);
  expect(await vault.repair({ signer: OPERATOR })).toMatchObject({ exitStatus: 3, recorded: 1 });
  const [record, ...others] = vault.takePuts().filter((put) => put.startsWith("north"));
  expect(others).toEqual([]);
  const bytes = vault.bucket("north").get(record?.split(" ")[1] ?? "");
  expect(parseRecord(bytes?.subarray(0, bytes.indexOf(10)) ?? Buffer.alloc(0), "it")).toMatchObject({ kind: "lost", record: { host: HOST, objects: [VOLUMES[0].listed.id] } });
  expect(await vault.repair({ signer: OPERATOR })).toMatchObject({ exitStatus: 3, recorded: 0, plan: { lost: [{ isRecorded: true }] } });
  expect(vault.takePuts()).toEqual([]);
});

test("what an operator has expired is not brought back, unless it is on hold; records are copied", async () => {
  const vault = await MadeVault.start("north", "south");
  const expire = madeRecord(30, { kind: "expire", archive: OLD });
  const copy = objectKey(HOST, "expired", OLD.id);
  vault.bucket("south").set(expire.key, expire.bytes);
  vault.bucket("south").set(copy, Buffer.from("a copy that is damaged"));
  for (const { key } of [OLD, VOLUMES[0], CATALOGS[0], VOLUMES[1]]) damage(vault.bucket("south"), key, "missing");
  expect(await vault.repair()).toMatchObject({ exitStatus: 0 });
  expect(vault.wrong("south").toSorted()).toEqual([OLD, VOLUMES[0], CATALOGS[0]].map(({ key }) => key).toSorted());
  expect(vault.bucket("north").get(expire.key)?.equals(expire.bytes)).toBe(true);
  expect(vault.names.map((name) => vault.bucket(name).get(copy)?.toString())).toEqual([undefined, "a copy that is damaged"]);
  const hold = madeRecord(31, { kind: "hold", archive: OLD });
  vault.bucket("north").set(hold.key, hold.bytes);
  vault.bucket("north").flip(expire.key, 200);
  expect(await vault.repair()).toMatchObject({ exitStatus: 0 });
  expect(vault.wrong("south")).toEqual([]);
  for (const { key, bytes } of [expire, hold]) for (const name of vault.names) expect(vault.bucket(name).get(key)?.equals(bytes), `${name} ${key}`).toBe(true);
});

test("an archive by an unknown signer is copied nowhere and said; foreign objects stay; a good archive that a stranger's hides is put back", async () => {
  const vault = await MadeVault.start("north", "south");
  const other = stranger();
  const forged = madeManifest("manifest", 40, [VOLUMES[0]], null, other);
  const hiding = madeManifest("manifest", 4, [VOLUMES[0]], null, other);
  vault.bucket("north").set(forged.key, forged.bytes);
  vault.bucket("south").set(OLD.key, hiding.bytes);
  vault.bucket("south").set(`hosts/${HOST}/volumes/notes.txt`, Buffer.from("mine"));
  vault.takePuts();
  const report = await vault.repair();
  expect(vault.takePuts()).toEqual([`south ${OLD.key}`]);
  expect(report.exitStatus).toBe(0);
  expect(report.said.join("\n")).toMatch(/unknown signer, .*; it is left alone/);
  expect(formatPublicKey(other.publicKey)).not.toBe("");
});

test("what a revoked signer signed is copied nowhere, also from an older version; a good archive that it hides everywhere is put back", async () => {
  const vault = await MadeVault.start("north", "south");
  const revoke = madeRecord(30, { kind: "revoke", revoked: STOLEN, last: OLD });
  const [planted, buried, hiding] = [madeManifest("manifest", 40, [VOLUMES[0]], null, STOLEN), madeManifest("manifest", 41, [VOLUMES[0]], null, STOLEN), madeManifest("manifest", 4, [VOLUMES[0]], null, STOLEN)];
  for (const name of vault.names) {
    vault.bucket(name).isVersioned = true;
    vault.fill(name);
    vault.bucket(name).set(revoke.key, revoke.bytes);
    vault.bucket(name).set(hiding.key, hiding.bytes);
  }
  const north = vault.bucket("north");
  north.set(planted.key, planted.bytes);
  north.set(buried.key, buried.bytes);
  north.set(buried.key, Buffer.from("junk"));
  vault.takePuts();
  const report = await vault.repair();
  expect(vault.takePuts().toSorted()).toEqual([`north ${OLD.key}`, `south ${OLD.key}`]);
  expect(report.plan.lost.map(({ object }) => object)).toEqual([buried.id]);
  expect(report.said.join("\n")).toMatch(/revoked signer .*; it is left alone/);
  expect(vault.names.map((name) => vault.wrong(name))).toEqual([[], []]);
});

test("a marker and recovery texts that are gone come back; a bucket that was emptied is filled again", async () => {
  const vault = await MadeVault.start("north", "south");
  for (const key of [VAULT_MARKER_KEY, "recover.sh"]) vault.bucket("south").delete(key);
  expect(await vault.repair({ away: ["south"] })).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired", copied: 2 } } });
  for (const key of [VAULT_MARKER_KEY, "recover.sh"]) expect(vault.bucket("south").get(key)).toEqual(vault.bucket("north").get(key));
  for (const key of vault.bucket("south").keys()) vault.bucket("south").delete(key);
  expect(await vault.repair({ away: ["south"] })).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired" } } });
  expect(vault.bucket("south").keys()).toEqual(vault.bucket("north").keys());
});

test("in buckets with versions, what a delete marker or junk hides is put back from the version that is right, in a single region too", async () => {
  const vault = await MadeVault.start("north");
  const bucket = vault.bucket("north");
  bucket.isVersioned = true;
  vault.fill("north");
  bucket.hide(VOLUMES[0].key);
  bucket.set(VOLUMES[1].key, Buffer.alloc(VOLUMES[1].bytes.length, 7));
  bucket.set(CATALOGS[1].key, Buffer.from("junk"));
  bucket.set(NEW.key, Buffer.from("junk"));
  bucket.hide(UNFINISHED.key);
  const report = await vault.repair();
  expect(report).toMatchObject({ exitStatus: 0, plan: { lost: [], withheld: [] } });
  expect(report.plan.copies.map(({ why }) => why)).toEqual(Array.from({ length: 4 }, () => expect.stringContaining("hidden by something newer")));
  // A checkpoint that only a version shows is of use to nobody but a run that never was.
  expect(vault.wrong("north")).toEqual([UNFINISHED.key]);
  expect(bucket.versions(VOLUMES[1].key).map(({ kept }) => kept?.bytes[0])).toEqual([VOLUMES[1].bytes[0], 7, VOLUMES[1].bytes[0]]);
});
