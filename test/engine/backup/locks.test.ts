import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { noteStored, withLastingLocks } from "../../../src/engine/backup/locks.ts";
import { EarlyListings } from "../../../src/engine/early-listings.ts";
import type { EngineEvent } from "../../../src/engine/events.ts";
import type { LostRegion } from "../../../src/engine/manifests.ts";
import { closeRegions, openRegions, readerSpec, type Region } from "../../../src/engine/region.ts";
import { makeId } from "../../../src/format/id.ts";
import { objectKey } from "../../../src/format/object-key.ts";
import { type KnownObject, RunState } from "../../../src/state/run-state.ts";
import { digestOf } from "../../storage/store-calls.ts";
import { type FakeS3, fakeS3Url, startFakeS3 } from "../../support/fake-s3.ts";
import { afterUse, tempDir } from "../../support/temp-dir.ts";

const DAY_MS = 86_400_000;
const START = Date.parse("2030-03-01T02:30:00Z");
const BODY = Buffer.from("a volume");
const RULE = { mode: "compliance", days: 30 } as const;

let fake: FakeS3;
let region: Region;
let state: RunState;
const events: EngineEvent[] = [];
const lost: LostRegion[] = [];

function known(number: number): KnownObject {
  return { id: makeId(START, Buffer.alloc(10, number)), kind: "volume", sizeBytes: BODY.length, sha256: digestOf(BODY), head: { lengthBytes: 4, sha256: "b".repeat(64) }, set: 0, recipients: [] };
}

const OLD = known(1);
const NEEDED = known(2);

function keyOf({ id }: KnownObject): string {
  return objectKey("web1", "volume", id);
}

afterEach(() => fake.stop());

/** Which of the two may be named again. */
async function named(): Promise<string[]> {
  fake.requests.length = 0;
  const objects = new Map([OLD, NEEDED].map((object) => [object.id, object]));
  const reusable = { volumes: [...objects.keys()], catalogs: [], objects, gone: [] };
  const signal = new AbortController().signal;
  const order = { host: "web1", state, needed: new Set([NEEDED.id]), early: new EarlyListings([region], "web1", signal), lost, emit: (event: EngineEvent) => void events.push(event), signal };
  return (await withLastingLocks(reusable, [region], order)).volumes;
}

function asked(): string[] {
  return fake.requests.map(({ operation }) => operation).filter((operation) => operation === "HeadObject" || operation === "PutRetention");
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: START });
  afterUse(() => vi.useRealTimers());
  fake = await startFakeS3({ buckets: ["vault"] });
  Object.assign(fake.bucket("vault"), { isVersioned: true, hasObjectLock: true });
  const keys = { region: "north", ...fake.keys };
  const [opened] = await openRegions([{ ...readerSpec("north", fakeS3Url(fake, "vault"), keys), keeping: { lock: RULE } }], () => undefined);
  if (opened === undefined) throw new Error("no region");
  region = opened;
  afterUse(() => closeRegions([region]));
  const database = new RunState(tempDir());
  state = database;
  afterUse(() => database.close());
  events.length = lost.length = 0;
  for (const object of [OLD, NEEDED]) {
    await region.store.put(keyOf(object), BODY, { sha256: object.sha256 });
    noteStored(state, region, object.id);
  }
});

test("nothing is asked while locks last; then what is needed is renewed once, and the rest not named again", async () => {
  vi.setSystemTime(START + 14 * DAY_MS);
  expect(await named()).toEqual([OLD.id, NEEDED.id]);
  expect(asked()).toEqual([]);
  vi.setSystemTime(START + 16 * DAY_MS);
  expect(await named()).toEqual([NEEDED.id]);
  expect(asked()).toEqual(["HeadObject", "PutRetention"]);
  const lock = (await region.store.head(keyOf(NEEDED)))?.lock;
  expect(lock?.mode).toBe("compliance");
  expect(Math.abs((lock?.untilMs ?? 0) - START - 46 * DAY_MS)).toBeLessThan(60_000);
  vi.setSystemTime(START + 17 * DAY_MS);
  expect(await named()).toEqual([NEEDED.id]);
  expect(asked()).toEqual([]);
  expect(lost).toEqual([]);
});

test("with lost state the store says how long locks last, once; objects without one are locked", async () => {
  state.clear();
  fake.bucket("vault").set(keyOf(NEEDED), BODY);
  expect(await named()).toEqual([OLD.id, NEEDED.id]);
  expect(asked().toSorted()).toEqual(["HeadObject", "HeadObject", "PutRetention"]);
  expect(await named()).toEqual([OLD.id, NEEDED.id]);
  expect(asked()).toEqual([]);
});

test("a lock that cannot be renewed means that the object is not named again, and a region that fails is left out", async () => {
  vi.setSystemTime(START + 16 * DAY_MS);
  fake.onRequest = ({ operation }) => (operation === "PutRetention" ? { kind: "status", status: 403, code: "AccessDenied" } : undefined);
  expect(await named()).toEqual([]);
  expect(events).toContainEqual(expect.objectContaining({ kind: "warning", hint: expect.stringContaining("s3:PutObjectRetention") }));
  state.clear();
  fake.onRequest = ({ operation }) => (operation === "HeadObject" ? { kind: "status", status: 301, code: "PermanentRedirect" } : undefined);
  expect(await named()).toEqual([OLD.id, NEEDED.id]);
  expect(lost.map((each) => each.region.name)).toEqual(["north"]);
});
