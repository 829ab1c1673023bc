/** Object Lock through the program: nights renew what they name again, and status, verify and prune tell how long locks last. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { FakeBucket } from "../support/fake-s3-buckets.ts";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost } from "../support/host.ts";
import { DAY, Life, LIFE_START } from "../support/life.ts";
import { hasVirtualClock } from "../support/virtual-clock.ts";

type Findings = { verdict: string; findings: { severity: string; message: string }[]; rememberedLocks: { region: string; unknown: number; firstEnd: string }[] };
type Verified = { regions: Record<string, { state: string; locks: { objects: number; short: number; over: number } }> };
type Pruned = { hosts: { plan: { paidOn: { storageClass: string; objects: number; until: string }[] }[]; done: { regions: { objects: number; keptTotal: number }[] } }[] };

test("the virtual clock is there", () => expect(hasVirtualClock).toBe(true));

let fake: FakeS3;
let bucket: FakeBucket;
let life: Life;

beforeAll(async () => {
  fake = await startFakeS3({ buckets: ["vault"] });
  bucket = fake.bucket("vault");
  Object.assign(bucket, { isVersioned: true, hasObjectLock: true });
  const s3 = s3Options({ a: fake });
  const host = await setUpHost({ ...s3, regionConfig: "retry: 2s\n    lock: {mode: compliance, days: 30}\n    storageClass: GLACIER_IR", tree: { "same.bin": noise(100_000, 1) } });
  life = new Life(host, [], [fake]);
});
afterAll(() => fake.stop());

/** A night so many days after the first. Returns how often the lock of an object was asked for and renewed. */
async function night(day: number): Promise<{ asked: number; renewed: number }> {
  life.nowMs = LIFE_START + day * DAY;
  fake.requests.length = 0;
  writeFileSync(join(life.host.source, "new.bin"), noise(50_000, day + 2));
  await life.backup();
  const of = (operation: string): number => fake.requests.filter((request) => request.operation === operation).length;
  return { asked: of("HeadObject"), renewed: of("PutRetention") };
}

/** Days from now to the end of each lock of what the host has stored. */
function daysLeft(): number[] {
  return bucket.keys().filter((key) => key.includes("hosts/")).map((key) => Math.round(((bucket.versions(key)[0]?.lock?.untilMs ?? 0) - life.nowMs) / DAY));
}

test("a night asks nothing about locks that last, and renews once what it names again", async () => {
  expect(await night(0)).toEqual({ asked: 0, renewed: 0 });
  expect(daysLeft()).toEqual([30, 30, 30]);
  for (const day of [1, 10]) expect(await night(day)).toEqual({ asked: 0, renewed: 0 });
  const third = await night(16);
  expect(third.renewed).toBeGreaterThan(0);
  expect(third.asked).toBe(third.renewed);
  const { firstEnd, unknown } = (await life.run(["status", "--json", "--config", life.host.config])).json<Findings>().rememberedLocks[0] ?? {};
  expect(unknown).toBe(0);
  expect(Date.parse(firstEnd ?? "") - life.nowMs).toBeGreaterThan(15 * DAY - 60_000);
});

test("prune says until when locks keep what nobody needs, and what is paid for all the same", async () => {
  const rule = ["--kit", life.host.movedKit, "--keep", "daily=1,keepMin=1", "-v"];
  const archives = (): number => bucket.keys().filter((key) => key.includes("/archives/")).length;
  // By now the locks of the first two archives are over, and that of the third is not.
  life.nowMs = LIFE_START + 34 * DAY;
  const first = await life.run(["prune", "--json", ...rule]);
  expect(first.status, first.stderr).toBe(0);
  life.nowMs = LIFE_START + 38 * DAY;
  const kept = await life.run(["prune", "--json", ...rule]);
  expect(kept.status, kept.stderr).toBe(0);
  expect(archives()).toBe(2);
  for (const { stderr } of [first, kept]) expect(stderr).toMatch(/1 objects are kept until 2030-04-10/);
  const [plan] = kept.json<Pruned>().hosts[0]?.plan ?? [];
  expect(plan?.paidOn).toMatchObject([{ storageClass: "GLACIER_IR" }]);
  expect(Date.parse(plan?.paidOn[0]?.until ?? "")).toBeGreaterThan(life.nowMs);
  expect(kept.stderr).toMatch(/of class GLACIER_IR, which is paid for until/);
});

test("without nights, status warns from what the host remembers, verify asks the region, and lost state alone is no alarm", async () => {
  const { config, state } = life.host;
  life.nowMs = LIFE_START + 40 * DAY;
  const late = (await life.run(["status", "--json", "--config", config])).json<Findings>();
  expect(late.findings).toContainEqual(expect.objectContaining({ severity: "warn", message: expect.stringMatching(/first lock .* ends in [56]d/) }));
  expect((await life.run(["status", "--config", config])).stdout).toMatch(/^locks .*a: the first ends in [56]d.*as far as this host remembers$/m);
  expect((await life.run(["status", "--prom", "--config", config])).stdout).toMatch(/^coldkeep_lock_end_timestamp_seconds\{.*region="a".*\} \d+/m);
  const verify = await life.run(["verify", "--level", "presence", "--json", "--config", config]);
  expect(verify.status).toBe(3);
  const { a } = verify.json<Verified>().regions;
  expect(a).toMatchObject({ state: "sound", locks: { over: 0 } });
  expect(a?.locks.short).toBeGreaterThan(0);
  expect(verify.stderr).toMatch(/about to end/);
  rmSync(state, { recursive: true });
  expect((await life.run(["status", "--json", "--config", config])).json<Findings>().findings.filter(({ message }) => message.includes("lock"))).toEqual([]);
});

test("a lock in a directory region is refused, with the place", async () => {
  const host = await setUpHost({ regionConfig: "lock: {mode: governance, days: 7}" });
  const run = await host.run(["backup", "--config", host.config]);
  expect(run.status).toBe(2);
  expect(run.stderr).toMatch(/regions.*lock.*needs a bucket.*is a directory/s);
});
