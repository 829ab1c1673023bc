/** Buckets with Object Lock on a real server: what neither prune nor whoever has the host's keys can take away. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tempDir, treeDigest } from "../support/program.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { Host, RgwVault } from "./rgw-vault.ts";

const DAY_MS = 86_400_000;

type Versions = Awaited<ReturnType<RgwVault["versions"]>>;
type Pruned = { hosts: { done: { regions: { keptTotal: number; kept: { key: string; until: string }[]; manifests: number; objects: number }[] } }[] };

let rgw: Rgw;

beforeAll(async () => {
  rgw = await startRgw([{ name: "north" }]);
}, 120_000);
afterAll(() => rgw.stop());

// What COMPLIANCE keeps outlasts the test by a day; on a server of one's own its bucket stays until somebody removes it.
describe.each(["governance", "compliance"] as const)("a bucket locked in %s mode", (mode) => {
  const folder = fileTempDir("/var/tmp");
  const source = join(folder, "data");
  let vault: RgwVault;
  let host: Host;
  let tree: string;
  let before: Versions;

  /** How many of some versions another client could remove for good. */
  async function removed(doomed: Versions, governanceBypass: boolean): Promise<number> {
    let gone = 0;
    for (const { name, versionId } of doomed) {
      gone += await vault.client(0).removeObject(vault.bucket, name, { versionId, governanceBypass }).then(() => 1, () => 0);
    }
    return gone;
  }

  beforeAll(async () => {
    vault = await RgwVault.create(rgw, { objectLock: true });
    mkdirSync(source);
    host = await Host.create(folder, vault.credentials(), ["--host", "web1", "--source", source, ...vault.regionArguments("v")]);
    host.configure(/^( +)url: .*v\?endpoint.*$/m, `$&\n$1lock: {mode: ${mode}, days: 1}\n$1storageClass: STANDARD_IA`);
    for (let night = 0; night < 4; night++) {
      writeFileSync(join(source, `night-${night}`), `what came in night ${night}\n`);
      await host.backup();
    }
    tree = treeDigest(source);
    before = await vault.versions(0, "v/hosts");
  }, 120_000);

  test("every object of the host is locked for a day, and volumes alone have the storage class", async () => {
    expect(before.length).toBeGreaterThanOrEqual(12);
    for (const { name, versionId } of before) {
      const lock = (await vault.client(0).getObjectRetention(vault.bucket, name, { versionId })) as { mode?: string; retainUntilDate?: string } | null;
      expect(lock?.mode, name).toBe(mode.toUpperCase());
      expect(Math.abs(Date.parse(lock?.retainUntilDate ?? "") - Date.now() - DAY_MS), name).toBeLessThan(600_000);
      const { metaData } = await vault.client(0).statObject(vault.bucket, name);
      expect(metaData["x-amz-storage-class"] ?? "STANDARD", name).toBe(name.includes("/volumes/") ? "STANDARD_IA" : "STANDARD");
    }
  });

  test("prune ends archives, says until when the lock keeps them, and is no failure", async () => {
    const result = await host.run(["prune", "--kit", host.kit, "--keep", "daily=1,keepMin=1", "-v"], 0);
    const [region] = result.json<Pruned>().hosts[0]?.done.regions ?? [];
    expect(region).toMatchObject({ manifests: 0, objects: 0, keptTotal: 2 });
    for (const { until } of region?.kept ?? []) expect(Math.abs(Date.parse(until) - Date.now() - DAY_MS)).toBeLessThan(600_000);
    expect(result.stderr).toMatch(/2 objects are kept until /);
    const ids = new Set((await vault.versions(0, "v/hosts")).map(({ versionId }) => versionId));
    expect(before.filter(({ versionId }) => !ids.has(versionId))).toEqual([]);
  });

  test("whoever has the host's keys can hide and cover what is there, but not remove it, nor end its lock", async () => {
    expect(await removed(before, false)).toBe(0);
    if (mode === "compliance") expect(await removed(before, true)).toBe(0);
    const client = vault.client(0);
    for (const [i, { name, versionId }] of before.entries()) {
      const sooner = { mode: mode.toUpperCase() as "GOVERNANCE" | "COMPLIANCE", retainUntilDate: new Date(Date.now() + 60_000).toISOString(), versionId };
      await expect(client.putObjectRetention(vault.bucket, name, sooner), name).rejects.toThrow();
      if (i % 2 === 0) await client.putObject(vault.bucket, name, Buffer.from("junk"));
      else await client.removeObject(vault.bucket, name);
    }
    const known = new Set(before.map(({ versionId }) => versionId));
    const after = await vault.versions(0, "v/hosts");
    expect(after.filter(({ versionId }) => known.has(versionId))).toHaveLength(before.length);
    // What came later carries no lock: removing it brings everything back.
    const junk = after.filter(({ versionId }) => !known.has(versionId));
    expect(await removed(junk, false)).toBe(junk.length);
    const to = join(tempDir(), "restored");
    await host.run(["restore", "--kit", host.kit, "--to", to], 0);
    expect(treeDigest(join(to, source))).toBe(tree);
  });

  test("doctor and verify find it locked as the configuration says", async () => {
    const { checks } = (await host.run(["doctor", "--config", host.config], 4)).json<{ checks: { name: string; verdict: string }[] }>();
    expect(checks.filter(({ name }) => /object lock|rights/.test(name))).toMatchObject([{ verdict: "ok" }, { verdict: "ok" }]);
    const { regions } = (await host.run(["verify", "--config", host.config], 0)).json<{ regions: Record<string, { locks: { objects: number; firstEnd: string } }> }>();
    expect(regions["north"]?.locks).toMatchObject({ none: 0, over: 0, short: 0, weak: 0 });
    expect(regions["north"]?.locks.objects).toBeGreaterThan(1);
  });

  // Nobody bypasses compliance.
  if (mode === "governance") test("who may bypass governance can empty the bucket", async () => {
    const all = await vault.versions(0, "v");
    expect(await removed(all, true)).toBe(all.length);
    await vault.client(0).removeBucket(vault.bucket);
  });
});
