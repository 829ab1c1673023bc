/** The main job as root on two regions of Ceph RGW, one of them over TLS. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startColdkeep, tempDir, treeDigest } from "../support/program.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";
import { attributesOf, changedSince, devicesOf, rsyncDifferences, sparseBlocksOf } from "./equal-trees.ts";
import { makeLongPath, makeOddTree, noise } from "./odd-tree.ts";
import { Host, RgwVault } from "./rgw-vault.ts";

const REGIONS = ["eu-central", "us-east"];
const SYSTEM_BYTES_MAX = 1_000_000_000;
let rgw: Rgw;
let vault: RgwVault;

beforeAll(async () => {
  rgw = await startRgw([{ name: "eu-central" }, { name: "us-east", tls: true }]);
  vault = await RgwVault.create(rgw);
});
afterAll(async () => {
  await vault.remove();
  await rgw.stop();
});

/** /usr/share whole, or of a large one the parts that fit. */
function systemSources(): string[] {
  const sizes = execFileSync("du", ["-B1", "-d1", "/usr/share"], { encoding: "utf8" }).trim().split("\n").map((line) => line.split("\t"));
  const total = Number(sizes.find(([, path]) => path === "/usr/share")?.[0]);
  if (total <= SYSTEM_BYTES_MAX) return ["/usr/share", "/etc"];
  let left = SYSTEM_BYTES_MAX;
  const parts = sizes.filter(([bytes, path]) => path !== "/usr/share" && (left -= Number(bytes)) > 0);
  return [...parts.map(([, path]) => path ?? ""), "/etc"];
}

describe("a whole system", () => {
  const folder = fileTempDir();
  const odd = join(folder, "odd");
  const long = join(folder, "long");
  const sources = systemSources();
  const marker = join(folder, "marker");
  let host: Host;
  let entries = 0;

  beforeAll(async () => {
    mkdirSync(odd);
    makeOddTree(odd);
    makeLongPath(long);
    const args = [...vault.regionArguments("system"), ...[...sources, odd, long].flatMap((path) => ["--source", path])];
    host = await Host.create(folder, vault.credentials(), ["--host", "web1", ...args]);
    writeFileSync(marker, "");
    const report = await host.backup();
    entries = Number(report["entries"]);
    expect(report).toMatchObject({ status: "complete", problemsTotal: 0, notKeptTotal: 0, regions: { "eu-central": "complete", "us-east": "complete" } });
  }, 300_000);

  test("has tens of thousands of entries, the same objects in both regions", async () => {
    expect(entries).toBeGreaterThan(10_000);
    const [first, second] = [await vault.list(0, "system"), await vault.list(1, "system")];
    expect(first.size).toBeGreaterThan(5);
    expect(second).toEqual(first);
  });

  test.each(REGIONS)("comes back from %s alone without a difference", async (region) => {
    const out = join(tempDir(), "out");
    // Only the keys of this region are there, so nothing can come from the other one.
    const lone = await host.run(["restore", "--kit", host.kit, "--region", region, "--to", out], 0, { env: without(vault.credentials(region)) });
    expect(lone.json()).toMatchObject({ lostTotal: 0, damaged: [], notKept: [] });
    for (const source of [...sources, odd]) {
      const restored = join(out, source);
      const moved = changedSince(source, marker);
      expect(moved.length, `${source} changes too much to be compared`).toBeLessThan(source === odd ? 1 : 10);
      expect(rsyncDifferences(source, restored, "all", moved), source).toBe("");
      expect(attributesOf(restored), source).toEqual(attributesOf(source));
      expect(devicesOf(restored), source).toEqual(devicesOf(source));
      expect(sparseBlocksOf(restored), source).toEqual(sparseBlocksOf(source));
    }
    expect(devicesOf(odd).length).toBeGreaterThan(2);
    expect(sparseBlocksOf(odd).length).toBeGreaterThan(2);
    // No tool above takes paths this long.
    expect(treeDigest(join(out, long), { omit: ["xattrs"] })).toBe(treeDigest(long, { omit: ["xattrs"] }));
  });

  /** Blanks the keys of the regions that are not among these. */
  function without(keep: Record<string, string>): Record<string, string> {
    return Object.fromEntries(Object.keys(vault.credentials()).map((name) => [name, keep[name] ?? ""]));
  }
});

describe("a region copied to disk", () => {
  /** What `RECOVERY.md` asks for: four programs, openssl, and what every system has (a shell, grep, sed, coreutils). */
  function barePath(): string {
    const bin = join(tempDir(), "bin");
    mkdirSync(bin);
    const coreutils = execFileSync("sh", ["-c", "dpkg -L coreutils | grep -E '/bin/[^/]+$'"], { encoding: "utf8" }).trim().split("\n");
    for (const path of coreutils) if (existsSync(path)) symlinkSync(path, join(bin, path.slice(path.lastIndexOf("/") + 1)));
    for (const name of ["age", "zstd", "tar", "jq", "openssl", "sh", "grep", "sed"]) {
      symlinkSync(execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim(), join(bin, name));
    }
    return bin;
  }

  test("is rebuilt by recover.sh with age, zstd, tar and jq; what it cannot keep, it lists", async () => {
    const folder = tempDir();
    const odd = join(folder, "odd");
    mkdirSync(odd);
    makeOddTree(odd);
    const sources = [odd, "/etc"];
    const host = await Host.create(folder, vault.credentials(), ["--host", "web2", ...vault.regionArguments("disk"), ...sources.flatMap((path) => ["--source", path])]);
    const marker = join(folder, "marker");
    writeFileSync(marker, "");
    await host.backup();
    const copy = join(folder, "copy");
    await vault.copyToDisk(1, "disk", copy);
    const target = join(folder, "rebuilt");
    const done = spawnSync("/bin/sh", ["recover.sh", host.kit, target], { cwd: copy, encoding: "utf8", env: { PATH: barePath(), TMPDIR: folder } });
    // Attributes, ACLs and capabilities are beyond tools this plain: 3 says that not all was restored.
    expect(done, done.stderr).toMatchObject({ status: 3 });
    for (const source of sources) expect(rsyncDifferences(source, join(target, source), "plain", changedSince(source, marker)), source).toBe("");
    expect(devicesOf(join(target, odd))).toEqual(devicesOf(odd));
    const report = readFileSync(`${target}.not-restored.txt`, "utf8");
    const withAttributes = attributesOf(odd).flatMap((block) => /^# file: (.*)$/m.exec(block)?.[1] ?? []);
    expect(withAttributes.length).toBeGreaterThan(4);
    for (const name of withAttributes) expect(report).toContain(`${odd}/${name}`);
    expect(report).not.toContain("lost:");
  });
});

describe("a region that is killed in mid-run", () => {
  test("leaves the other unharmed, is behind with exit 3, and is brought up to date by the next run", async () => {
    const folder = tempDir();
    const data = join(folder, "data");
    mkdirSync(data);
    for (let i = 0; i < 40; i++) makeTree(data, { [`file ${i}`]: noise(8_000_000, i + 1) });
    const args = ["--host", "web3", ...vault.regionArguments("killed"), "--source", data];
    const host = await Host.create(folder, vault.credentials(), args);
    host.configure(/(url: "s3:[^"]*")/g, "$1\n    retry: 2s");
    host.configure(/# volumeSize: .*/, "volumeSize: 8MiB\nmachine: {profile: false}");
    const running = startColdkeep(["backup", "--config", host.config, "--json"], { env: vault.credentials(), timeoutMs: 120_000 });
    let volumes = 0;
    let isBack = false;
    while (volumes < 4) volumes = [...(await vault.list(1, "killed")).keys()].filter((key) => key.includes("/volumes/")).length;
    await rgw.crash(1);
    onTestFinished(async () => {
      if (!isBack) await rgw.revive(1);
    });
    const result = await running.result;
    expect(result, result.stderr).toMatchObject({ status: 3 });
    expect(result.json()).toMatchObject({ status: "complete", regions: { "eu-central": "complete", "us-east": "behind" } });
    expect(result.stderr).toContain("us-east");
    const manifests = async (index: number): Promise<number> => [...(await vault.list(index, "killed")).keys()].filter((key) => key.endsWith(".manifest")).length;
    expect(await manifests(0)).toBe(1);
    const first = join(folder, "first");
    await host.run(["restore", "--kit", host.kit, "--region", "eu-central", "--to", first], 0);
    expect(rsyncDifferences(data, join(first, data))).toBe("");

    await rgw.revive(1);
    isBack = true;
    expect(await manifests(1)).toBe(0);
    const report = await host.backup<{ regions: unknown; bytesStored: number }>();
    expect(report.regions).toEqual({ "eu-central": "complete", "us-east": "complete" });
    expect(report.bytesStored).toBeLessThan(200_000);
    expect(await vault.list(1, "killed")).toEqual(await vault.list(0, "killed"));
    const second = join(folder, "second");
    await host.run(["restore", "--kit", host.kit, "--region", "us-east", "--to", second], 0);
    expect(rsyncDifferences(data, join(second, data))).toBe("");
  });
});
