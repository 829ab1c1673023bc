/** repair where a region locks what it is given, or has its volumes in a class that must be thawed first. */
import { expect, test } from "vitest";
import { CATALOGS, damage, MadeVault, NEW, OLD, VOLUMES } from "./made-vault.ts";

const DAY_MS = 86_400_000;

test("what is put is locked as the region asks, in place of what was damaged too, and volumes alone have its storage class", async () => {
  const vault = await MadeVault.start("north", "south");
  Object.assign(vault.bucket("south"), { isVersioned: true, hasObjectLock: true });
  vault.fill("south");
  damage(vault.bucket("south"), VOLUMES[0].key, "flipped");
  for (const { key } of [VOLUMES[2], CATALOGS[1], NEW]) damage(vault.bucket("south"), key, "missing");
  const keeping = { lock: { mode: "compliance", days: 30 }, storageClass: "GLACIER_IR" } as const;
  expect(await vault.repair({ region: "south", keeping })).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired", copied: 4 } } });
  expect(vault.wrong("south")).toEqual([]);
  for (const { key } of [VOLUMES[0], VOLUMES[2], CATALOGS[1], NEW]) {
    const [newest] = vault.bucket("south").versions(key);
    expect(newest?.lock?.mode, key).toBe("COMPLIANCE");
    expect(Math.abs((newest?.lock?.untilMs ?? 0) - Date.now() - 30 * DAY_MS), key).toBeLessThan(60_000);
    expect(newest?.kept?.storageClass, key).toBe(key.includes("/volumes/") ? "GLACIER_IR" : undefined);
  }
  expect(vault.bucket("south").versions(OLD.key)).toMatchObject([{ kept: { bytes: OLD.bytes } }]);
  expect(vault.bucket("south").versions(OLD.key)[0]?.lock).toBeUndefined();
});

test("frozen volumes are taken as right by their size; one of another size is replaced", async () => {
  const vault = await MadeVault.start("north", "south");
  vault.fill("south", "DEEP_ARCHIVE");
  const cut = VOLUMES[0].bytes.subarray(0, 100);
  vault.bucket("south").set(VOLUMES[0].key, cut, "DEEP_ARCHIVE");
  damage(vault.bucket("south"), VOLUMES[2].key, "missing");
  vault.takePuts();
  expect(await vault.repair({ quick: true, keeping: { storageClass: "DEEP_ARCHIVE" } })).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired", copied: 2 } } });
  expect(vault.takePuts().toSorted()).toEqual([VOLUMES[0], VOLUMES[2]].map(({ key }) => `south ${key}`).toSorted());
  vault.bucket("south").set(VOLUMES[0].key, cut, "DEEP_ARCHIVE");
  vault.takePuts();
  expect(await vault.repair()).toMatchObject({ exitStatus: 0, regions: { south: { state: "repaired", copied: 1 } } });
  expect(vault.takePuts()).toEqual([`south ${VOLUMES[0].key}`]);
  expect(vault.wrong("south")).toEqual([]);
});

test("what is right in a frozen version alone is not called lost, and is put once it is thawed", async () => {
  const vault = await MadeVault.start("north");
  const bucket = vault.bucket("north");
  bucket.isVersioned = true;
  vault.fill("north", "DEEP_ARCHIVE");
  bucket.hide(VOLUMES[0].key);
  expect(await vault.repair()).toMatchObject({ exitStatus: 3, plan: { lost: [] }, regions: { north: { state: "incomplete", failed: 1 } } });
  for (const { kept } of bucket.versions(VOLUMES[0].key)) if (kept !== null) kept.thawsAtMs = 0;
  expect(await vault.repair()).toMatchObject({ exitStatus: 0, regions: { north: { state: "repaired", copied: 1 } } });
  expect(vault.wrong("north")).toEqual([]);
});
