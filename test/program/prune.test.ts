/** The life of archives through the program: nights, a rule, holds, the grace, and what is left to restore. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost } from "../support/host.ts";
import { bytesBelow, DAY, Life, LIFE_START, type PruneDocument } from "../support/life.ts";
import { tempDir, treeDigest } from "../support/program.ts";
import { clockAt, hasVirtualClock } from "../support/virtual-clock.ts";

test("the virtual clock is there", () => expect(hasVirtualClock).toBe(true));

describe("nights in a directory and in a bucket that keeps versions", () => {
  let fake: FakeS3;
  let life: Life;
  let rule: string[];
  const nights: { archive: string; tree: string }[] = [];

  beforeAll(async () => {
    fake = await startFakeS3({ buckets: ["vault"] });
    fake.bucket("vault").isVersioned = true;
    const s3 = s3Options({ b: fake });
    const dir = tempDir();
    const host = await setUpHost({ ...s3, dir, regions: { a: `file://${dir}/regions/a`, ...s3.regions }, tree: { "same.txt": "the same every night" } });
    life = new Life(host, ["a"], [fake]);
    rule = ["--kit", host.movedKit, "--keep", "daily=3,keepMin=2"];
    for (let night = 0; night < 6; night++) {
      life.nowMs = LIFE_START + night * DAY;
      writeFileSync(join(host.source, "new.bin"), noise(200_000, night));
      const { archive } = await life.backup();
      nights.push({ archive: archive ?? "", tree: treeDigest(host.source) });
    }
  }, 120_000);
  afterAll(() => fake.stop());

  const archivesIn = (region: string): string[] => {
    const keys = region === "a" ? life.host.objects("a", "archives") : fake.bucket("vault").keys().filter((key) => key.includes("/archives/")).map((key) => key.slice(key.lastIndexOf("/") + 1));
    return keys.map((name) => name.replace(/\.manifest$/, ""));
  };

  test("a dry run says what would become of each and touches nothing; a silent region stops all; a held archive stays", async () => {
    const { host } = life;
    const held = await life.run(["hold", "--archive", nights[0]?.archive ?? "", "--reason", "before the move", "--kit", host.movedKit]);
    expect(held.status, held.stderr).toBe(0);
    const before = bytesBelow(host.region("a"));
    const dry = await life.prune(...rule, "--dry-run");
    expect(dry.status).toBe(0);
    expect(dry.document.hosts[0]?.archives.map(({ verdict }) => verdict)).toEqual(["keep", "keep", "keep", "expire", "expire", "keep"]);
    expect(dry.document.hosts[0]?.archives.at(-1)?.reason).toBe("held: before the move");
    expect(dry.document.hosts[0]?.done).toBeNull();
    const text = await life.run(["prune", ...rule, "--dry-run"]);
    expect(text.stdout).toMatch(/ expire {3}2030-03-03 is beyond daily 3\n/);

    renameSync(host.region("a"), `${host.region("a")}.away`);
    const silent = await life.prune(...rule);
    expect(silent).toMatchObject({ status: 1, document: { hosts: [{ done: null, failure: { code: "E_REGION" } }] }, stderr: expect.stringContaining("nothing is deleted") });
    renameSync(`${host.region("a")}.away`, host.region("a"));
    expect(bytesBelow(host.region("a"))).toBe(before);
    expect(archivesIn("b")).toHaveLength(6);
  });

  test("manifests go, with all their versions; every archive that stays is restored byte for byte", async () => {
    const done = await life.prune(...rule);
    expect(done, done.stderr).toMatchObject({ status: 0, document: { hosts: [{ done: { regions: [{ region: "a", manifests: 2, objects: 0 }, { region: "b", manifests: 2, objects: 0 }] } }] } });
    const kept = [...nights.slice(0, 1), ...nights.slice(3)].map(({ archive }) => archive);
    for (const region of ["a", "b"]) expect(archivesIn(region)).toEqual(kept);
    expect(fake.bucket("vault").versionedKeys("hosts/web1/archives/")).toHaveLength(4);
    const list = (await life.run(["list", "--json", "--config", life.host.config])).json<{ archives: { id: string; held: string | null }[]; findings: unknown[] }>();
    expect(list.archives.map(({ id }) => id).toSorted()).toEqual(kept);
    expect(list.archives.at(-1)).toMatchObject({ held: "before the move" });
    expect(list.findings).toEqual([]);
    for (const { archive, tree } of nights.filter((night) => kept.includes(night.archive))) expect(await life.restored(archive)).toBe(tree);
    const gone = await life.run(["restore", "--archive", nights[1]?.archive ?? "", "--kit", life.host.movedKit, "--to", join(tempDir(), "out")]);
    expect(gone).toMatchObject({ status: 1, stderr: expect.stringContaining("has expired since") });
  });

  test("content that only an expired archive had is stored anew; prune and backup run at once; what is freed is gone", async () => {
    const { host } = life;
    life.nowMs += DAY;
    writeFileSync(join(host.source, "new.bin"), noise(200_000, 1));
    const back = await life.backup();
    expect(back.bytesStored).toBeGreaterThan(200_000);

    life.nowMs += 3 * DAY;
    writeFileSync(join(host.source, "more.bin"), noise(3_000_000, 99));
    const before = bytesBelow(host.region("a"));
    fake.clockOffsetMs = life.nowMs - Date.now();
    const [pruned, backup] = await Promise.all([host.run(["prune", "--json", ...rule], { env: clockAt(life.nowMs) }), host.backup([], { env: clockAt(life.nowMs) })]);
    life.stamp();
    expect(backup.status, backup.stderr).toBe(0);
    expect(pruned.status, pruned.stderr).toBe(0);
    const [a, b] = pruned.json<PruneDocument>().hosts[0]?.done?.regions ?? [];
    expect(a?.objects).toBeGreaterThan(0);
    expect(b?.objects).toBe(a?.objects);
    expect(a?.freedBytes).toBeGreaterThan(400_000);
    expect(bytesBelow(host.region("a"))).toBeGreaterThan(before - (a?.freedBytes ?? 0));

    const verify = await life.run(["verify", "--all", "--config", host.config]);
    expect(verify.status, verify.stderr).toBe(0);
    expect(await life.restored(back.archive ?? "")).not.toBe("");
    expect(await life.restored("latest")).toBe(treeDigest(host.source));
    for (const { archive, tree } of [nights[0], nights[5]].flatMap((night) => night ?? [])) expect(await life.restored(archive)).toBe(tree);
  });

  test("once released, the archive goes like any other", async () => {
    const release = await life.run(["release", "--archive", nights[0]?.archive ?? "", "--kit", life.host.movedKit, "--json"]);
    expect(release.json<{ records: string[] }>().records).toHaveLength(1);
    await life.prune(...rule);
    expect(archivesIn("a")).not.toContain(nights[0]?.archive);
    expect(archivesIn("b")).toEqual(archivesIn("a"));
  });
});
