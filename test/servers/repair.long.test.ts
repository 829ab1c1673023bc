/** Regions of Ceph RGW made whole from each other, and a restore from what was repaired alone. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runColdkeep, startColdkeep, tempDir } from "../support/program.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { rsyncDifferences } from "./equal-trees.ts";
import { noise } from "./odd-tree.ts";
import { Host, RgwVault } from "./rgw-vault.ts";

const MIB = 1024 * 1024;
let rgw: Rgw;
let vault: RgwVault;

beforeAll(async () => {
  rgw = await startRgw([{ name: "north" }, { name: "south" }]);
  vault = await RgwVault.create(rgw);
});
afterAll(async () => {
  await vault.remove();
  await rgw.stop();
});

async function makeHost(prefix: string, bytes: number): Promise<{ host: Host; source: string }> {
  const folder = fileTempDir();
  const source = join(folder, "source");
  mkdirSync(source);
  writeFileSync(join(source, "large.bin"), noise(bytes, 1));
  for (let i = 0; i < 300; i++) writeFileSync(join(source, `file-${i}`), `file ${i}\n`.repeat(i));
  const host = await Host.create(folder, vault.credentials(), ["--host", "web1", ...vault.regionArguments(prefix), "--source", source]);
  host.configure(/^( {4}url: .*)$/gm, "$1\n    retry: 5s");
  return { host, source };
}

test("a region that lost all its data while it was away and is killed during its repair is whole in the end, and restores alone", async () => {
  const { host, source } = await makeHost("lost", 48 * MIB);
  await host.backup();
  writeFileSync(join(source, "second.bin"), noise(4 * MIB, 2));
  await host.backup();
  await vault.delete(1, (await vault.list(1, "lost")).keys());
  expect((await vault.list(1, "lost")).size).toBe(0);
  const whole = await vault.list(0, "lost");
  const running = startColdkeep(["repair", "--config", host.config, "--json"], { env: vault.credentials(), timeoutMs: 120_000 });
  for (let waitedMs = 0; (await vault.list(1, "lost")).size < 2; waitedMs += 20) {
    if (waitedMs > 60_000) throw new Error("nothing was repaired");
    await sleep(20);
  }
  await rgw.crash(1);
  const killed = await running.result;
  await rgw.revive(1);
  expect(killed.status, killed.stderr).toBe(3);
  expect(killed.stderr).toContain('region "south"');
  expect((await vault.list(1, "lost")).size).toBeLessThan(whole.size);
  const done = await host.run(["repair", "--config", host.config], 0);
  expect(done.json()).toMatchObject({ regions: { north: { state: "whole" }, south: { state: "repaired" } }, lost: [] });
  expect(await vault.list(1, "lost")).toEqual(whole);
  await host.run(["verify", "--all", "--config", host.config], 0);
  await rgw.crash(0);
  const out = join(tempDir(), "out");
  // Only the keys of this region are there.
  await host.run(["restore", "--kit", host.kit, "--region", "south", "--to", out], 0, { env: { COLDKEEP_NORTH_ACCESS_KEY_ID: "", COLDKEEP_NORTH_SECRET_ACCESS_KEY: "" } });
  await rgw.revive(0);
  expect(rsyncDifferences(source, out + source)).toBe("");
}, 300_000);

test("where a bucket keeps versions, delete markers and junk hide nothing from a restore, and a repair puts them right", async () => {
  await vault.keepVersions(0);
  const { host, source } = await makeHost("hidden", 3 * MIB);
  await host.backup();
  writeFileSync(join(source, "second.bin"), noise(MIB, 3));
  await host.backup();
  // RGW takes a second put of one key there: nothing rests on its refusal.
  const doctor = await runColdkeep(["doctor", "--json", "--config", host.config], { env: vault.credentials() });
  const checks = doctor.json<{ checks: { name: string; verdict: string }[] }>().checks;
  expect(checks.find(({ name }) => name === "region north: create-only")?.verdict).toBe("warn");
  expect(checks.find(({ name }) => name === "region south: create-only")?.verdict).toBe("ok");
  const [first = "", second = ""] = [...(await vault.list(0, "hidden")).keys()].filter((key) => key.includes("/volumes/"));
  await vault.delete(0, [first]);
  await vault.put(0, second, Buffer.alloc((await vault.list(0, "hidden")).get(second) ?? 0, 7));
  await vault.put(0, second, Buffer.from("junk"));
  await vault.delete(1, (await vault.list(1, "hidden")).keys());
  const out = join(tempDir(), "out");
  const restored = await host.run(["restore", "--kit", host.kit, "--region", "north", "--to", out], 0);
  expect(restored.stderr).toContain("is hidden by something newer");
  expect(rsyncDifferences(source, out + source)).toBe("");
  expect((await host.run(["repair", "--config", host.config], 0)).json()).toMatchObject({ regions: { north: { state: "repaired", copied: 2 }, south: { state: "repaired" } } });
  await host.run(["verify", "--all", "--config", host.config], 0);
}, 300_000);
