/** A prune beside another one and beside backups, on other machines at the same time. */
import { describe, expect, test } from "vitest";
import { keyPrefix, objectKey } from "../../../src/format/object-key.ts";
import { DAY, HOUR, type MadeArchive, over, PruneVault, START } from "./prune-vault.ts";

test("beside another prune: a copy of an expired manifest that was listed and is gone when it is read", async () => {
  const vault = new PruneVault();
  const nights = vault.nights(5);
  await vault.prune();
  const gone: string[] = [];
  vault.wrap = (store, region) => over(store, {
    fetchBytes: (key, ...rest) => {
      if (region === "b" && key.includes("/expired/")) {
        gone.push(key);
        vault.remove(region, key);
      }
      return store.fetchBytes(key, ...rest);
    },
  });
  vault.at(START + 4 * DAY + 73 * HOUR);
  const [result] = await vault.prune();
  expect(gone.length).toBeGreaterThan(0);
  expect(result).toMatchObject({ error: null, exitStatus: 0 });
  for (const region of ["a", "b"]) vault.wholeArchives(region, nights);
});

describe("beside a backup", () => {
  test("an object that an archive began to need after the plan was made stays", async () => {
    const vault = new PruneVault();
    const nights = vault.nights(5);
    await vault.prune();
    vault.at(START + 4 * DAY + 73 * HOUR);
    const wanted = nights[0]?.objects.filter(({ kind }) => kind === "volume") ?? [];
    const erased: string[] = [];
    let late: MadeArchive | undefined;
    vault.wrap = (store, region) => over(store, {
      // The prune has listed all there is by the time it asks for the clock; the backup's manifest comes after that.
      list: (prefix, ...rest) => {
        if (region === "a" && prefix === keyPrefix("web1", "archive")) late ??= vault.archive({ objects: wanted });
        return store.list(prefix, ...rest);
      },
      erase: (key, signal) => {
        erased.push(key);
        return store.erase(key, signal);
      },
    });
    const [result] = await vault.prune({ last: 5 });
    expect(result).toMatchObject({ error: null, exitStatus: 0 });
    expect(late).toBeDefined();
    expect(erased.length).toBeGreaterThan(0);
    for (const region of ["a", "b"]) expect(vault.wholeArchives(region, [...nights, ...(late === undefined ? [] : [late])])).toContain(late?.id);
  });

  test("a checkpoint keeps what it lists, until an archive followed it and some days more; then its objects are unlisted", async () => {
    const vault = new PruneVault();
    vault.nights(3);
    vault.at(START + 3 * DAY);
    const orphan = vault.object("volume");
    const checkpoint = vault.archive({ type: "checkpoint", objects: [vault.object("volume")] });
    vault.at(START + 40 * DAY);
    await vault.prune({ last: 9 });
    expect(vault.keys("a")).not.toContain(objectKey("web1", "volume", orphan.id));
    expect(vault.keys("a")).toContain(objectKey("web1", "checkpoint", checkpoint.id));
    vault.archive();
    await vault.prune({ last: 9 });
    expect(vault.keys("a")).not.toContain(objectKey("web1", "checkpoint", checkpoint.id));
    await vault.prune({ last: 9 });
    for (const object of checkpoint.objects) expect(vault.keys("a")).not.toContain(objectKey("web1", object.kind, object.id));
  });

  test("objects that nothing ever listed stay for 30 days", async () => {
    const vault = new PruneVault();
    vault.nights(2);
    const orphan = vault.object("volume");
    const key = objectKey("web1", "volume", orphan.id);
    vault.at(START + DAY + 30 * DAY - HOUR);
    await vault.prune();
    expect(vault.keys("b")).toContain(key);
    vault.at(START + DAY + 30 * DAY + HOUR);
    const [result] = await vault.prune();
    expect(vault.keys("b")).not.toContain(key);
    expect(result?.done?.regions[1]).toMatchObject({ objects: 1, freedBytes: orphan.sizeBytes });
  });
});
