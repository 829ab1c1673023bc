/** Retention by a host's own configuration: who signs, what cron hears, and how space is reclaimed. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { noise, setUpHost } from "../support/host.ts";
import { bytesBelow, DAY, Life, LIFE_START } from "../support/life.ts";
import { treeDigest } from "../support/program.ts";

const MIB = 1024 * 1024;

describe("on the host itself", () => {
  test("a rule of the configuration needs somebody who signs; then it works, and says nothing to cron", async () => {
    const host = await setUpHost();
    const life = new Life(host, ["a", "b"]);
    for (let night = 0; night < 3; night++) {
      life.nowMs = LIFE_START + night * DAY;
      writeFileSync(join(host.source, "new.txt"), `night ${night}`);
      await life.backup();
    }
    const own = ["prune", "--config", host.config];
    expect(await life.run(own)).toMatchObject({ status: 2, stderr: expect.stringContaining("has no `retention`") });
    host.editConfig((text) => `${text}\nretention: {daily: 1, keepMin: 1}\n`);
    expect(await life.run(own)).toMatchObject({ status: 2, stderr: expect.stringContaining("signedBy: host") });
    expect(await life.run([...own, "--dry-run"])).toMatchObject({ status: 0, stdout: expect.stringContaining("expire") });
    expect(await life.run(["prune", "--kit", host.movedKit])).toMatchObject({ status: 2, stderr: expect.stringContaining("--keep is missing") });
    expect(await life.run(["prune", "--kit", host.movedKit, "--keep", "dayly=3"])).toMatchObject({ status: 2, stderr: expect.stringContaining("daily") });
    expect(host.objects("a", "archives")).toHaveLength(3);
    host.editConfig((text) => text.replace("keepMin: 1}", "keepMin: 1, signedBy: host}"));
    expect(await life.run(own)).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(host.objects("b", "archives")).toHaveLength(1);
    expect((await life.run(["list", "--config", host.config])).stderr).toBe("");

    // Whoever reads with the kit has to trust that signer as operator, and then sees no gap.
    const key = /host web1 (ed25519:\S+)/.exec(readFileSync(host.movedKit, "utf8"))?.[1] ?? "";
    expect((await life.run(["list", "--kit", host.movedKit])).stderr).toContain("nobody who is pinned as operator");
    expect((await life.run(["kit", "add-signer", "operator", key, "--kit", host.movedKit])).status).toBe(0);
    expect((await life.run(["list", "--kit", host.movedKit])).stderr).toBe("");
  });

  test("what is left in a volume kept for little is stored again from the disk, within its bound, and the volume goes", async () => {
    const host = await setUpHost({ tree: {}, config: "volumeSize: 8MiB\nretention: {daily: 1, keepMin: 1, signedBy: host, reclaim: 2MiB}" });
    const life = new Life(host, ["a", "b"]);
    const folder = join(host.source, "data");
    mkdirSync(folder);
    for (let i = 0; i < 12; i++) writeFileSync(join(folder, `${i}.bin`), noise(MIB, 100 + i));
    await life.backup();
    const volumes = (): string[] => host.objects("a", "volumes");
    const first = volumes();
    for (const name of readdirSync(folder).slice(1)) rmSync(join(folder, name));
    // The first night after a week measures; the next may leave what is low, once nothing older needs more of it.
    for (const day of [1, 9]) {
      life.nowMs = LIFE_START + day * DAY;
      const { bytesStored } = await life.backup();
      expect(bytesStored).toBeLessThan(MIB);
    }
    expect((await life.run(["prune", "--config", host.config])).status).toBe(0);
    life.nowMs = LIFE_START + 10 * DAY;
    const again = await life.backup();
    expect(again.bytesStored).toBeGreaterThan(MIB);
    expect(again.bytesStored).toBeLessThan(2 * MIB);
    const before = bytesBelow(host.region("a"));
    for (const day of [11, 15]) {
      life.nowMs = LIFE_START + day * DAY;
      expect((await life.run(["prune", "--config", host.config])).status).toBe(0);
    }
    expect(volumes().filter((name) => first.includes(name))).toEqual([]);
    expect(bytesBelow(host.region("a"))).toBeLessThan(before - 11 * MIB);
    expect(await life.restored("latest")).toBe(treeDigest(host.source));
  });
});
