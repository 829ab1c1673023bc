/** `backup` into a healthy region and, beside it, one behind a line that is narrow, lossy, or falls silent. */
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { type BackupDocument, noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { treeDigest } from "../support/program.ts";
import { type LinkState, type SlowLink, startSlowLink } from "../support/slow-link.ts";

const MB = 1_000_000;
/** Five volumes. */
const TREE = { "a.bin": noise(18 * MB, 1), "b.bin": noise(18 * MB, 2), "c.txt": "c" };
const DATA_BYTES = 36 * MB;

let north: FakeS3;
let south: FakeS3;
let link: SlowLink;

beforeEach(async () => {
  north = await startFakeS3({ buckets: ["vault"] });
  south = await startFakeS3({ buckets: ["vault"] });
  link = await startSlowLink(south.endpoint);
  onTestFinished(async () => {
    for (const each of [link, north, south]) await each.stop();
  });
});

/** `regionConfig` is for the slow region. */
async function setUp(regionConfig: string): Promise<TestHost> {
  const { regions = {}, env = {} } = s3Options({ north, south: { ...south, endpoint: link.endpoint } });
  const host = await setUpHost({ regions, env, tree: TREE, config: "volumeSize: 8MiB\nmemory: 64MiB" });
  host.editConfig((text) => text.replace(/( {4}url: "s3:\/\/[^"]*:(\d+)")/g, (line, _, port) => (link.endpoint.endsWith(`:${port}`) ? `${line}\n    ${regionConfig}` : line)));
  return host;
}

type Outcome = { status: number | null; document: BackupDocument; stderr: string; peakMiB: number; seconds: number };

/** A run with its largest resident size. */
async function measured(host: TestHost): Promise<Outcome> {
  let peakMiB = 0;
  const startMs = performance.now();
  const running = host.startBackup([], { timeoutMs: 100_000 });
  const sampling = setInterval(() => {
    try {
      peakMiB = Math.max(peakMiB, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${running.child.pid}/status`, "utf8"))?.[1] ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  }, 100);
  const result = await running.result;
  clearInterval(sampling);
  const { status, stderr } = result;
  return { status, stderr, document: result.json<BackupDocument>(), peakMiB, seconds: (performance.now() - startMs) / 1000 };
}

async function expectWhole(host: TestHost, region: string): Promise<void> {
  expect(treeDigest(await host.restored("--region", region))).toBe(treeDigest(host.source));
}

const manifests = (fake: FakeS3): string[] => fake.bucket("vault").keys().filter((key) => key.includes("/archives/"));
const volumeBytes = (fake: FakeS3): number => fake.requests.filter(({ operation, key }) => operation === "PutObject" && key.includes("/volumes/")).reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);

describe("both regions are complete, in little memory", () => {
  const lines: [string, LinkState, string][] = [
    ["is ten times narrower than the disk", { bytesPerSecond: 6 * MB }, "retry: 2s"],
    ["resets each connection after some megabytes", { resetAfterBytes: 13 * MB }, "retry: 10s"],
    ["is limited by the configuration", {}, "bandwidth: {up: 6MB}"],
  ];
  test.each(lines)("where the line of one %s", async (name, state, regionConfig) => {
    const host = await setUp(regionConfig);
    link.state = state;
    const run = await measured(host);
    expect(run, run.stderr).toMatchObject({ status: 0, stderr: "", document: { regions: { north: "complete", south: "complete" } } });
    expect(run.peakMiB).toBeLessThan(400);
    if (!name.startsWith("resets")) {
      expect(run.seconds).toBeGreaterThan((DATA_BYTES / (6 * MB)) * 0.8);
      expect(volumeBytes(south)).toBe(volumeBytes(north));
    }
    link.state = {};
    await expectWhole(host, "south");
  });
});

describe("the healthy region is complete and the other is behind: exit 3 in bounded time, and up to date after the next run", () => {
  const lines: [string, LinkState, string][] = [
    ["falls silent", { isSilent: true }, "deadline: 10s"],
    ["breaks and does not come back", { isDown: true }, "retry: 2s"],
    ["is too narrow for the deadline", { bytesPerSecond: MB / 2 }, "deadline: 10s"],
  ];
  test.each(lines)("where the line %s in the middle of the upload", async (_, state, regionConfig) => {
    const host = await setUp(regionConfig);
    north.requests.length = 0;
    north.onRequest = (request) => {
      if (request.operation === "PutObject" && request.key.includes("/volumes/")) link.state = state;
      return undefined;
    };
    const run = await measured(host);
    expect(run, run.stderr).toMatchObject({ status: 3, document: { status: "complete", regions: { north: "complete", south: "behind" } } });
    expect(run.stderr).toContain('region "south"');
    // The deadline, a probe at the end, and the run itself on a machine that does other things too.
    expect(run.seconds).toBeLessThan(45);
    expect(run.peakMiB).toBeLessThan(400);
    expect(manifests(north)).toHaveLength(1);
    expect(manifests(south)).toHaveLength(0);
    await expectWhole(host, "north");

    north.onRequest = () => undefined;
    link.state = {};
    host.editConfig((text) => text.replace("deadline: 10s", "deadline: 5m"));
    expect(await host.backup()).toMatchObject({ status: 0, document: { regions: { north: "complete", south: "complete" } } });
    expect(manifests(south)).toEqual(manifests(north));
    await expectWhole(host, "south");
  });
});
