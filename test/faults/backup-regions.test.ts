/** `backup` into regions that fail in every way a network can: real HTTP, faults on demand. */
import { mkdirSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { FakeRequest, FakeS3, LoggedRequest } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { treeDigest } from "../support/program.ts";
import { startNorthAndSouth } from "../support/two-regions.ts";

const TREE = { "a.bin": noise(9_000_000, 1), "b.bin": noise(9_000_000, 2), "c.txt": "c" };
/** Three volumes, so that there is something to die in the middle of. */
const SMALL_VOLUMES = "volumeSize: 8MiB";
const VOLUME = "/volumes/";
const MANIFEST = "/archives/";

let north: FakeS3;
let south: FakeS3;

beforeEach(async () => {
  ({ north, south } = await startNorthAndSouth());
});

function setUp(config = SMALL_VOLUMES, retry = "1s"): Promise<TestHost> {
  return setUpHost({ ...s3Options({ north, south }, retry), tree: TREE, config });
}

const isPut = (request: FakeRequest, part: string): boolean => request.operation === "PutObject" && request.key.includes(part);
const keysOf = (fake: FakeS3, part: string): string[] => fake.bucket("vault").keys().filter((key) => key.includes(part));
const hostKeys = (fake: FakeS3): string[] => keysOf(fake, "hosts/");

/** No manifest was put while an object was missing, and none before the last object. */
function expectManifestLast(requests: readonly LoggedRequest[]): void {
  const puts = requests.filter((request) => request.operation === "PutObject" && request.key.startsWith("hosts/") && request.status === 200).map(({ key }) => key);
  const manifest = puts.findIndex((key) => key.includes(MANIFEST));
  expect(manifest).toBe(puts.length - 1);
}

function expectSameCopies(): void {
  expect(hostKeys(south)).toEqual(hostKeys(north));
  for (const key of hostKeys(north)) expect(south.bucket("vault").get(key)?.equals(north.bucket("vault").get(key) ?? Buffer.alloc(0))).toBe(true);
}

test("two healthy regions get identical copies, every manifest last", async () => {
  const host = await setUp();
  north.requests.length = south.requests.length = 0;
  expect(await host.backup()).toMatchObject({ status: 0, document: { regions: { north: "complete", south: "complete" } } });
  expectManifestLast(north.requests);
  expectManifestLast(south.requests);
  expectSameCopies();
  expect(keysOf(north, VOLUME).length).toBeGreaterThanOrEqual(2);
  expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
});

test("a region that is down at the start and answers before the end is brought up to date in the same run", async () => {
  const host = await setUp();
  north.requests.length = south.requests.length = 0;
  south.onRequest = () => (north.requests.some((request) => isPut(request, MANIFEST)) ? undefined : { kind: "reset" });
  expect(await host.backup()).toMatchObject({ status: 0, document: { regions: { north: "complete", south: "complete" } } });
  expectSameCopies();
  expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
});

describe("a region that fails is behind, and brought up to date by the next run, its manifest last", () => {
  const faults: [string, (request: FakeRequest) => ReturnType<FakeS3["onRequest"]>][] = [
    ["answers nothing but resets from the start", () => ({ kind: "reset" })],
    ["dies in the middle of the upload", (() => {
      let volumes = 0;
      let dead = false;
      return (request) => {
        if (isPut(request, VOLUME) && ++volumes > 1) dead = true;
        return dead ? { kind: "reset" } : undefined;
      };
    })()],
    ["answers 503 to every volume", (request) => (isPut(request, VOLUME) ? { kind: "status", status: 503, code: "SlowDown" } : undefined)],
    ["forbids volumes", (request) => (isPut(request, VOLUME) ? { kind: "status", status: 403, code: "AccessDenied" } : undefined)],
    ["fails only at the manifest", (request) => (isPut(request, MANIFEST) ? { kind: "reset" } : undefined)],
    ["cannot be listed", (request) => (request.operation === "ListObjects" ? { kind: "status", status: 500, code: "InternalError" } : undefined)],
  ];
  test.each(faults)("one that %s", async (_, fault) => {
    const host = await setUp();
    south.onRequest = fault;
    const run = await host.backup();
    expect(run).toMatchObject({ status: 3, document: { status: "complete", regions: { north: "complete", south: "behind" } } });
    expect(run.stderr).toContain('region "south"');
    // Its budget of a second, spent at most at two places, and the run itself.
    expect(run.document.durationMs).toBeLessThan(9_000);
    expect(keysOf(south, MANIFEST)).toEqual([]);
    expect(treeDigest(await host.restored("--region", "north"))).toBe(treeDigest(host.source));

    south.onRequest = () => undefined;
    south.requests.length = 0;
    const next = await host.backup();
    expect(next).toMatchObject({ status: 0, document: { regions: { north: "complete", south: "complete" } } });
    expect(next.document.bytesStored).toBeLessThan(20_000);
    expectSameCopies();
    expect(keysOf(south, MANIFEST)).toHaveLength(2);
    const firstManifest = south.requests.findIndex((request) => isPut(request, run.document.archive ?? "none"));
    const needed = south.requests.slice(firstManifest).filter((request) => isPut(request, VOLUME));
    expect(firstManifest).toBeGreaterThanOrEqual(0);
    expect(needed).toEqual([]);
    expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
  });

  test("one that refuses connections", async () => {
    const host = await setUp();
    await south.stop();
    const run = await host.backup();
    expect(run).toMatchObject({ status: 3, document: { regions: { north: "complete", south: "behind" } } });
    expect(run.document.durationMs).toBeLessThan(9_000);
    expect(await host.backup()).toMatchObject({ status: 3 });
  });

  test("one that answers again before the run ends is completed at the end of it", async () => {
    const host = await setUp();
    let firstFaultMs = 0;
    south.onRequest = (request) => {
      if (!isPut(request, VOLUME)) return undefined;
      firstFaultMs ||= Date.now();
      return Date.now() - firstFaultMs < 2_000 ? { kind: "reset" } : undefined;
    };
    // The last volume takes long enough elsewhere for the region to go down and come back.
    north.onRequest = (request) => (isPut(request, "/catalogs/") ? { kind: "delay", ms: 2_500 } : undefined);
    expect(await host.backup()).toMatchObject({ status: 0, document: { regions: { north: "complete", south: "complete" } } });
    expectSameCopies();
    expectManifestLast(south.requests);
  });

  test("faults that pass within the budget are not even told: 503 for a while, a lost answer, a reset in the body", async () => {
    const host = await setUp(SMALL_VOLUMES, "20s");
    let requests = 0;
    south.onRequest = (request) => {
      if (request.operation === "GetObject" && requests++ % 2 === 0) return { kind: "reset-in-body", afterBytes: 100 };
      if (!request.key.startsWith("hosts/")) return undefined;
      if (request.operation === "PutObject" && requests++ % 3 === 0) return { kind: "lost-answer" };
      return requests++ % 4 === 0 ? { kind: "status", status: 503, code: "ServiceUnavailable" } : undefined;
    };
    expect(await host.backup()).toMatchObject({ status: 0, stderr: "", document: { regions: { south: "complete" } } });
    expectSameCopies();
  });
});

test("all regions failing is exit 1, with nothing half-made", async () => {
  const host = await setUp();
  north.onRequest = south.onRequest = (request) => (isPut(request, VOLUME) ? { kind: "reset" } : undefined);
  expect(await host.backup()).toMatchObject({ status: 1, document: { error: { code: "E_REGION" } } });
  expect([...keysOf(north, MANIFEST), ...keysOf(south, MANIFEST)]).toEqual([]);
  north.onRequest = south.onRequest = () => ({ kind: "reset" });
  expect(await host.backup()).toMatchObject({ status: 1, document: { error: { code: "E_REGION" } } });
  north.onRequest = south.onRequest = () => undefined;
  expect(await host.backup()).toMatchObject({ status: 0 });
  expectSameCopies();
});

test("fewer complete regions than `copies` is exit 1, though the archive is kept where it could be", async () => {
  const host = await setUp("copies: 2");
  south.onRequest = () => ({ kind: "reset" });
  const run = await host.backup();
  expect(run).toMatchObject({ status: 1, document: { regions: { north: "complete", south: "behind" } } });
  expect(run.stderr).toContain("copies");
  expect(keysOf(north, MANIFEST)).toHaveLength(1);
  south.onRequest = () => undefined;
  expect(await host.backup()).toMatchObject({ status: 0, document: { regions: { south: "complete" } } });
  expect(keysOf(south, MANIFEST)).toHaveLength(2);
});

test("foreign objects are left alone, and an object of the wrong size is not overwritten: that region is behind", async () => {
  const host = await setUp();
  const foreign = { "hosts/web1/volumes/README.txt": "mine", "hosts/web1/archives/x.manifest": "no", "notes/a": "b" };
  for (const [key, text] of Object.entries(foreign)) south.bucket("vault").set(key, Buffer.from(text));
  expect(await host.backup()).toMatchObject({ status: 0, stderr: "" });
  const [volume = ""] = keysOf(south, VOLUME);
  const cut = (south.bucket("vault").get(volume) ?? Buffer.alloc(0)).subarray(0, 1000);
  south.bucket("vault").set(volume, cut);
  const run = await host.backup();
  expect(run).toMatchObject({ status: 3, document: { regions: { north: "complete", south: "behind" } } });
  expect(run.stderr).toMatch(/region "south" .*wrong size/);
  expect(south.bucket("vault").get(volume)?.equals(cut)).toBe(true);
  for (const [key, text] of Object.entries(foreign)) expect(south.bucket("vault").get(key)?.toString()).toBe(text);
});

test("one region's clock that runs years ahead, or behind, does not move the archive's time", async () => {
  for (const years of [9, -9]) {
    south.clockOffsetMs = 0;
    const host = await setUp("");
    south.clockOffsetMs = years * 365 * 86_400_000;
    const { document } = await host.backup();
    expect(document.archive?.slice(0, 4)).toBe(String(new Date().getUTCFullYear()));
    expect(document.regions).toMatchObject({ north: "complete" });
    for (const fake of [north, south]) for (const key of fake.bucket("vault").keys()) fake.bucket("vault").delete(key);
  }
});

describe("directories", () => {
  test("a region whose disk is not mounted, or that holds another vault, is behind and never filled", async () => {
    const host = await setUpHost({ tree: TREE });
    const other = await setUpHost();
    await host.backup();
    const mounted = `${host.region("b")}-mounted`;
    renameSync(host.region("b"), mounted);
    for (const prepare of [() => undefined, () => mkdirSync(host.region("b"))]) {
      prepare();
      const run = await host.backup();
      expect(run).toMatchObject({ status: 3, document: { regions: { a: "complete", b: "behind" } } });
      expect(run.stderr).toMatch(/disk .*mounted/);
      expect(() => statSync(join(host.region("b"), "hosts"))).toThrow("ENOENT");
    }
    rmSync(host.region("b"), { recursive: true });
    renameSync(other.region("a"), host.region("b"));
    const strange = await host.backup();
    expect(strange.status).toBe(3);
    expect(strange.stderr).toContain("holds the vault");
    expect(host.objects("b", "volumes")).toEqual([]);
    rmSync(host.region("b"), { recursive: true });
    renameSync(mounted, host.region("b"));
    expect(await host.backup()).toMatchObject({ status: 0 });
    expect(host.objects("b", "archives")).toEqual(host.objects("a", "archives"));
    expect(host.objects("a", "archives")).toHaveLength(5);
  });

  test("an archive of which a region has a part is completed there; one whose manifest is damaged there is not touched", async () => {
    const host = await setUpHost({ tree: TREE, config: SMALL_VOLUMES });
    const { document } = await host.backup();
    const inB = (kind: "archives" | "volumes", name: string): string => join(host.region("b"), "hosts/web1", kind, name);
    rmSync(inB("archives", `${document.archive}.manifest`));
    rmSync(inB("volumes", host.objects("b", "volumes")[0] ?? ""));
    expect(await host.backup()).toMatchObject({ status: 0 });
    expect(host.objects("b", "volumes")).toEqual(host.objects("a", "volumes"));
    expect(host.objects("b", "archives")).toEqual(host.objects("a", "archives"));
    truncateSync(inB("archives", `${document.archive}.manifest`), 100);
    const run = await host.backup();
    expect(run.document.regions).toEqual({ a: "complete", b: "complete" });
    expect(statSync(inB("archives", `${document.archive}.manifest`)).size).toBe(100);
  });

  test("a damaged newest archive costs a warning, not the next one", async () => {
    const host = await setUpHost({ tree: { "a.txt": "a" } });
    const { document } = await host.backup();
    for (const region of ["a", "b"]) {
      const path = join(host.region(region), "hosts/web1/archives", `${document.archive}.manifest`);
      truncateSync(path, statSync(path).size - 1);
      writeFileSync(path, "x", { flag: "a" });
    }
    const run = await host.backup();
    expect(run).toMatchObject({ status: 0, document: { status: "complete" } });
    expect(run.stderr).toContain("the last archive cannot be built on");
    expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
  });
});
