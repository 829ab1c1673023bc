/** Runs that are cut off: by a signal, by SIGKILL, by another run. The last archive stays, and the next run needs no manual step. */
import { readdirSync, rmSync, writeFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { FakeRequest, FakeS3 } from "../support/fake-s3.ts";
import { type BackupDocument, noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { treeDigest, waitUntil } from "../support/program.ts";
import { startNorthAndSouth } from "../support/two-regions.ts";

const treeOf = (files: number): Record<string, Buffer> => Object.fromEntries(Array.from({ length: files }, (_, i) => [`d${i % 4}/${i}.bin`, noise(900_000, i + 1)]));
const TREE = treeOf(60);
const TREE_BYTES = 54_000_000;
/** More than packers have in hand at once, so that an interrupted run cannot store all of it. */
const LARGE_TREE_BYTES = 2 * TREE_BYTES;

let north: FakeS3;
let south: FakeS3;

beforeEach(async () => {
  ({ north, south } = await startNorthAndSouth());
});

const keysOf = (fake: FakeS3, part: string): string[] => fake.bucket("vault").keys().filter((key) => key.includes(part));
const isPut = (request: FakeRequest, part: string): boolean => request.operation === "PutObject" && request.key.includes(part);

/** Holds every put of a kind after the first `free` ones for `ms`, in both regions; tells when the first is held. */
function hold(part: string, free: number, ms: number): { held: () => boolean } {
  let held = false;
  for (const fake of [north, south]) {
    let puts = 0;
    fake.onRequest = (request) => {
      if (!isPut(request, part) || puts++ < free) return undefined;
      held = true;
      return { kind: "delay", ms };
    };
  }
  return { held: () => held };
}

function release(): void {
  north.onRequest = south.onRequest = () => undefined;
}

function setUp(tree = TREE): Promise<TestHost> {
  return setUpHost({ ...s3Options({ north, south }), tree, config: "volumeSize: 8MiB\nmemory: 64MiB" });
}

/** The next run succeeds with nothing done by hand, and its archive is whole in both regions. */
async function expectNextRunClean(host: TestHost): Promise<BackupDocument> {
  release();
  const run = await host.backup();
  expect(run).toMatchObject({ status: 0, stderr: "", document: { status: "complete", regions: { north: "complete", south: "complete" } } });
  expect(readdirSync(host.state)).not.toContain("spool");
  expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
  return run.document;
}

describe("SIGINT", () => {
  test("in mid-upload: exit 130 within seconds, a checkpoint, and little is sent again", async () => {
    const host = await setUp(treeOf(120));
    const { held } = hold("/volumes/", 2, 2500);
    const running = host.startBackup();
    await waitUntil("an upload is held", held);
    const startMs = Date.now();
    running.child.kill("SIGINT");
    const run = await running.result;
    expect(run.status).toBe(130);
    expect(Date.now() - startMs).toBeLessThan(15_000);
    expect(run.json<BackupDocument>().error).toMatchObject({ code: "E_INTERRUPTED", message: expect.stringMatching(/checkpoint 2\w+-\w+ keeps/) });
    for (const fake of [north, south]) {
      expect(keysOf(fake, "/checkpoints/")).toHaveLength(1);
      expect(keysOf(fake, "/archives/")).toEqual([]);
    }
    const stored = keysOf(north, "/volumes/").reduce((sum, key) => sum + (north.bucket("vault").get(key)?.length ?? 0), 0);
    expect(stored).toBeGreaterThan(7_000_000);
    expect(stored).toBeLessThan(LARGE_TREE_BYTES);
    // The checkpoint alone is enough to know what is stored.
    rmSync(host.state, { recursive: true });
    const next = await expectNextRunClean(host);
    expect(next.bytesStored).toBeLessThan(LARGE_TREE_BYTES + 3_000_000 - stored);
  });

  test("while a region hangs: exit 130 all the same", async () => {
    const host = await setUp();
    south.onRequest = (request) => (isPut(request, "/volumes/") ? { kind: "stall" } : undefined);
    const running = host.startBackup();
    await waitUntil("volumes are under way", () => keysOf(north, "/volumes/").length > 1);
    running.child.kill("SIGTERM");
    const startMs = Date.now();
    expect((await running.result).status).toBe(130);
    expect(Date.now() - startMs).toBeLessThan(20_000);
    expect([...keysOf(north, "/archives/"), ...keysOf(south, "/archives/")]).toEqual([]);
    await expectNextRunClean(host);
  });

  test("a second one ends the run at once", async () => {
    const host = await setUp();
    const { held } = hold("/volumes/", 0, 30_000);
    const running = host.startBackup();
    await waitUntil("an upload is held", held);
    running.child.kill("SIGINT");
    await waitUntil("the first is taken", () => running.output().stderr.includes("a second signal stops at once"));
    const startMs = Date.now();
    running.child.kill("SIGINT");
    expect((await running.result).status).toBe(130);
    expect(Date.now() - startMs).toBeLessThan(2_000);
    await expectNextRunClean(host);
  });

  test("before anything is stored leaves nothing behind, and a dry run is no success either", async () => {
    const host = await setUp();
    for (const args of [[], ["--dry-run"]]) {
      const asked = north.requests.length;
      north.onRequest = (request) => (request.operation === "ListObjects" ? { kind: "delay", ms: 3_000 } : undefined);
      const running = host.startBackup(args);
      await waitUntil("the region is asked", () => north.requests.slice(asked).some(({ operation }) => operation === "ListObjects"));
      running.child.kill("SIGINT");
      expect((await running.result).status).toBe(130);
      expect([...keysOf(north, "hosts/"), ...keysOf(south, "hosts/")]).toEqual([]);
    }
    await expectNextRunClean(host);
  });
});

describe("SIGKILL", () => {
  test.each([
    ["in the middle of the volumes", "/volumes/", 2],
    ["before the catalog is stored", "/catalogs/", 0],
    ["before the manifest is stored", "/archives/", 0],
  ])("%s: what was confirmed is not sent again", async (_, part, free) => {
    const host = await setUp();
    const { held } = hold(part, free, 30_000);
    const running = host.startBackup();
    await waitUntil("a put is held", held);
    // What was answered before has been noted by then.
    await new Promise((resolve) => setTimeout(resolve, 400));
    running.child.kill("SIGKILL");
    expect(await running.result).toMatchObject({ signal: "SIGKILL" });
    const kept = part === "/volumes/" ? 7_000_000 : TREE_BYTES - 9_000_000;
    const next = await expectNextRunClean(host);
    expect(next.bytesStored).toBeLessThan(TREE_BYTES + 1_000_000 - kept);
  });

  test("between the manifests of two regions: the archive that landed is built on, and completed in the other region", async () => {
    const host = await setUp();
    south.onRequest = (request) => (isPut(request, "/archives/") ? { kind: "stall" } : undefined);
    const running = host.startBackup();
    await waitUntil("one region has the manifest", () => keysOf(north, "/archives/").length === 1);
    running.child.kill("SIGKILL");
    await running.result;
    const landed = keysOf(north, "/archives/");
    const next = await expectNextRunClean(host);
    expect(next.bytesStored).toBeLessThan(100_000);
    expect(keysOf(south, "/archives/")).toEqual(expect.arrayContaining(landed));
    expect(keysOf(south, "/archives/")).toHaveLength(2);
  });

  test("of a later run leaves the archive before as it was", async () => {
    const host = await setUp();
    const first = await host.backup();
    writeFileSync(join(host.source, "new.bin"), noise(9_500_000, 99));
    const before = treeDigest(await host.restored());
    const { held } = hold("/volumes/", 0, 30_000);
    const running = host.startBackup();
    await waitUntil("a put is held", held);
    running.child.kill("SIGKILL");
    await running.result;
    release();
    expect(keysOf(north, "/archives/")).toEqual([expect.stringContaining(first.document.archive ?? "none")]);
    expect(treeDigest(await host.restored("--region", "north"))).toBe(before);
    expect((await expectNextRunClean(host)).bytesStored).toBeGreaterThan(9_000_000);
  });
});

test("two runs at once: the second is exit 6 and harms nothing", async () => {
  const host = await setUp();
  const { held } = hold("/volumes/", 0, 2_000);
  const first = host.startBackup();
  await waitUntil("an upload is held", held);
  expect(await host.backup()).toMatchObject({ status: 6, document: { error: { code: "E_LOCKED" } } });
  const second = await host.run(["backup", "--config", host.config]);
  expect(second).toMatchObject({ status: 6, stdout: "" });
  expect(second.stderr).toMatch(/^coldkeep: error: another run \(process \d+, since .*\) holds the state in .* made progress [\d.]+m?s ago; .*\n$/);
  expect(await first.result).toMatchObject({ status: 0 });
  expect((await host.backup()).status).toBe(0);
});

test("a run that hangs is an alarm to the next: exit 1, and how to end it", async () => {
  const host = await setUp();
  const { held } = hold("/volumes/", 0, 60_000);
  const first = host.startBackup();
  await waitUntil("an upload is held", held);
  first.child.kill("SIGSTOP");
  const then = Date.now() / 1000 - 7 * 3600;
  utimesSync(join(host.state, "holder.json"), then, then);
  const second = await host.run(["backup", "--config", host.config]);
  expect(second.status).toBe(1);
  expect(second.stderr).toMatch(new RegExp(`^coldkeep: error: .* no progress for 7h 0\\dm\\ncoldkeep: hint: .*kill ${first.child.pid}.*\\n$`));
});
