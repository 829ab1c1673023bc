import { rmSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { CHAIN_NOTE } from "../../../src/config/keys.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { runBackup } from "../../../src/engine/backup/run.ts";
import type { EngineEvent } from "../../../src/engine/events.ts";
import type { FakeS3 } from "../../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../../support/host.ts";
import { treeDigest } from "../../support/program.ts";
import { startNorthAndSouth } from "../../support/two-regions.ts";

const FILES = 9000;
const TREE = Object.fromEntries(Array.from({ length: FILES }, (_, i) => [`d${i % 7}/a-name-that-makes-the-catalog-long-enough-for-several-segments-${i}.bin`, noise(10_000, i + 1)]));
const TREE_BYTES = FILES * 10_000;

let north: FakeS3;
let south: FakeS3;
let host: TestHost;

const keysOf = (fake: FakeS3, part: string): string[] => fake.bucket("vault").keys().filter((key) => key.includes(part));

/** A whole run in this process, with checkpoints as often as `everyMs`. */
async function backUp(everyMs: number, emit: (event: EngineEvent) => void = () => undefined): Promise<string | null> {
  const { env } = host;
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const order = { loaded: loadConfig(host.config), env, dryRun: false, takeOver: false, newChain: false, acceptChanges: false, inBackground: false };
  const { archive } = await runBackup({ ...order, checkpointEveryMs: everyMs, emit, signal: new AbortController().signal });
  vi.unstubAllEnvs();
  return archive;
}

beforeEach(async () => {
  ({ north, south } = await startNorthAndSouth());
  host = await setUpHost({ ...s3Options({ north, south }), tree: TREE, config: "volumeSize: 8MiB\nmemory: 64MiB" });
});

test("a run that goes on names what it has stored; killed then, and its state lost, the next one sends little of that again", async () => {
  // Slow enough for several checkpoints.
  for (const fake of [north, south]) fake.onRequest = ({ operation, key }) => (operation === "PutObject" && key.includes("/volumes/") ? { kind: "delay", ms: 700 } : undefined);
  const asKilled: { saved: ReturnType<ReturnType<FakeS3["bucket"]>["save"]>; volumes: number }[] = [];
  const archive = await backUp(400, (event) => {
    if (event.kind !== "detail" || !/^checkpoint \S+ in 2 regions$/.test(event.message)) return;
    asKilled.push({ saved: north.bucket("vault").save(), volumes: keysOf(north, "/volumes/").length });
  });
  expect(asKilled.length).toBeGreaterThanOrEqual(2);
  expect(keysOf(south, "/checkpoints/")).toEqual(keysOf(north, "/checkpoints/"));
  // What came of it restores and verifies.
  expect(archive).not.toBeNull();
  expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
  expect((await host.run(["verify", "--kit", host.movedKit, "--level", "content"])).status).toBe(0);

  const last = asKilled.at(-1);
  if (last === undefined) throw new Error("no checkpoint");
  for (const fake of [north, south]) {
    fake.onRequest = () => undefined;
    fake.bucket("vault").load(last.saved);
  }
  expect(keysOf(north, "/archives/")).toEqual([]);
  rmSync(host.state, { recursive: true });
  // Noted by the run that in this world never came so far.
  rmSync(join(host.dir, "keys", CHAIN_NOTE));
  const next = await host.backup();
  expect(next).toMatchObject({ status: 0, document: { status: "complete" } });
  // What the open segment and the volumes under way hold is sent again.
  expect(next.document.bytesStored).toBeLessThan(TREE_BYTES - last.volumes * 8_000_000 + 32_000_000);
  expect(next.document.bytesStored).toBeLessThan(0.75 * TREE_BYTES);
  expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
});

test("a region that is away for a checkpoint is whole at the end", async () => {
  let checkpoints = 0;
  south.onRequest = ({ operation, key }) => (operation === "PutObject" && (key.includes("/checkpoints/") || (key.includes("/catalogs/") && checkpoints++ < 3)) ? { kind: "reset" } : undefined);
  north.onRequest = ({ operation, key }) => (operation === "PutObject" && key.includes("/volumes/") ? { kind: "delay", ms: 700 } : undefined);
  await backUp(400);
  expect(keysOf(north, "/checkpoints/").length).toBeGreaterThanOrEqual(1);
  south.onRequest = () => undefined;
  expect((await host.backup()).document.regions).toEqual({ north: "complete", south: "complete" });
  expect(treeDigest(await host.restored("--region", "south"))).toBe(treeDigest(host.source));
});
