/** Restoring what lies frozen: planned, refused with the way out, thawed, waited for. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { startColdkeep, tempDir, treeDigest } from "../support/program.ts";

type Plan = { needed: { volumes: number; bytes: number }; regions: { region: string; frozen: { volumes: number } }[]; blocked: { region: string; volumes: number; bytes: number; ids: string[] }[] };

let cold: FakeS3;
let warm: FakeS3;
let host: TestHost;

beforeAll(async () => {
  cold = await startFakeS3({ buckets: ["vault"] });
  warm = await startFakeS3({ buckets: ["vault"] });
  const tree = { "big/one.bin": noise(12_000_000, 1), "big/two.bin": noise(12_000_000, 2), "small.txt": "small" };
  host = await setUpHost({ ...s3Options({ cold, warm }), config: "volumeSize: 8MiB", tree });
  host.editConfig((text) => text.replace(/^( {4})url: .*$/m, "$&\n$1storageClass: DEEP_ARCHIVE"));
  const { status, stderr } = await host.backup();
  expect(status, stderr).toBe(0);
}, 60_000);
afterAll(async () => {
  await cold.stop();
  await warm.stop();
});

const volumes = (fake: FakeS3): string[] => fake.bucket("vault").keys().filter((key) => key.includes("/volumes/"));
const asked = (fake: FakeS3, operation: string): string[] => fake.requests.filter((request) => request.operation === operation && request.key.includes("/volumes/")).map(({ key }) => key);

function restore(to: string, ...args: string[]): string[] {
  return ["restore", "--kit", host.movedKit, "--to", to, ...args];
}

function freezeWarm(): void {
  for (const key of volumes(warm)) Object.assign(warm.bucket("vault").kept.get(key) ?? {}, { storageClass: "GLACIER" });
}

/** Makes what was asked for readable. */
function thawAll(): void {
  for (const fake of [cold, warm]) {
    for (const kept of fake.bucket("vault").kept.values()) if (kept.thawsAtMs !== undefined) kept.thawsAtMs = 0;
  }
}

test("only volumes are cold, and a region that has them readable is read instead", async () => {
  const classes = new Set(cold.bucket("vault").keys().map((key) => `${key.includes("/volumes/")} ${cold.bucket("vault").kept.get(key)?.storageClass}`));
  expect([...classes].toSorted()).toEqual(["false undefined", "true DEEP_ARCHIVE"]);
  cold.requests.length = 0;
  const plan = (await host.run(["restore", "--plan", "--json", "--kit", host.movedKit])).json<Plan>();
  expect(plan.needed.volumes).toBe(volumes(cold).length);
  expect(plan.regions).toMatchObject([{ region: "cold", frozen: { volumes: plan.needed.volumes } }, { region: "warm", frozen: { volumes: 0 } }]);
  expect(plan.blocked).toEqual([]);
  expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
  expect(asked(cold, "GetObject")).toEqual([]);
});

test("verify says how much it could not read, and does not take it for lost", async () => {
  const verify = await host.run(["verify", "--json", "--config", host.config]);
  expect(verify.status).toBe(3);
  const frozen = volumes(cold).length;
  expect(verify.json()).toMatchObject({ lost: [], regions: { cold: { state: "sound", frozen, problems: [] }, warm: { state: "sound", frozen: 0 } } });
  expect((await host.run(["verify", "--level", "presence", "--config", host.config])).status).toBe(0);
});

test("where no region has them readable, nothing is written, and the error names the volumes and the way out", async () => {
  freezeWarm();
  const to = join(tempDir(), "out");
  const run = await host.run(restore(to, "--json"));
  expect(run.status).toBe(1);
  const count = volumes(cold).length;
  expect(run.json()).toMatchObject({ error: { code: "E_FROZEN", message: expect.stringContaining(`${count} volumes`), hint: expect.stringContaining("--thaw bulk") } });
  expect(existsSync(to)).toBe(false);
  const plan = await host.run(["restore", "--plan", "--kit", host.movedKit]);
  expect(plan.stdout).toMatch(new RegExp(`^to be thawed in region "cold".*: ${count} volumes`, "m"));
});

test("just the volumes that are needed are asked for, once; and once they are there the same command restores", async () => {
  cold.bucket("vault").thawMs = warm.bucket("vault").thawMs = 3_600_000;
  const to = join(tempDir(), "out");
  const path = join(host.source, "big/one.bin");
  cold.requests.length = warm.requests.length = 0;
  const first = await host.run(restore(to, path, "--thaw", "bulk"));
  expect(first.status).toBe(1);
  expect(first.stderr).toMatch(/are being thawed.*\n.*hint: Run the same command again: all should be readable by/);
  const wanted = asked(cold, "RestoreObject");
  expect(wanted.length).toBeGreaterThan(0);
  expect(wanted.length).toBeLessThan(volumes(cold).length);
  expect((await host.run(restore(to, path, "--thaw", "bulk"))).status).toBe(1);
  expect(asked(cold, "RestoreObject")).toEqual(wanted);
  expect(asked(warm, "RestoreObject")).toEqual([]);
  expect(existsSync(to)).toBe(false);
  thawAll();
  expect((await host.run(restore(to, path))).status).toBe(0);
  expect(existsSync(to + path)).toBe(true);
});

test("a wait that was killed is gone on with, and restores when all is readable", async () => {
  const to = join(tempDir(), "out");
  const wait = restore(to, "--thaw", "standard", "--wait");
  const killed = startColdkeep(wait, { env: host.env });
  await expect.poll(() => new Set(asked(cold, "RestoreObject")).size, { timeout: 30_000 }).toBe(volumes(cold).length);
  await sleep(300);
  killed.child.kill("SIGKILL");
  await killed.result;
  const times = asked(cold, "RestoreObject").length;
  const again = startColdkeep(wait, { env: host.env });
  const looks = asked(cold, "HeadObject").length;
  const reads = [...asked(cold, "GetObject"), ...asked(warm, "GetObject")].length;
  await expect.poll(() => asked(cold, "HeadObject").length, { timeout: 30_000 }).toBeGreaterThan(looks + volumes(cold).length);
  await sleep(1500);
  expect(again.child.exitCode).toBeNull();
  expect([...asked(cold, "GetObject"), ...asked(warm, "GetObject")].length).toBe(reads);
  thawAll();
  const { status, stderr } = await again.result;
  expect(status, stderr).toBe(0);
  expect(asked(cold, "RestoreObject").length).toBe(times);
  expect(treeDigest(to + host.source)).toBe(treeDigest(host.source));
}, 90_000);
