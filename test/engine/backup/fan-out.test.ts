import { expect, onTestFinished, test, vi } from "vitest";
import { FanOut } from "../../../src/engine/backup/fan-out.ts";
import { closeRegions, openRegions, readerSpec } from "../../../src/engine/region.ts";
import type { ListedObject } from "../../../src/format/manifest.ts";
import { type FakeS3, fakeS3Url, type LoggedRequest, startFakeS3 } from "../../support/fake-s3.ts";
import { noise } from "../../support/host.ts";
import { digestOf } from "../../storage/store-calls.ts";

const bytes = noise(20_000, 1);
const sha256 = digestOf(bytes);

async function startAt(latencyMs: number): Promise<FakeS3> {
  const fake = await startFakeS3({ buckets: ["vault"], latencyMs });
  onTestFinished(() => fake.stop());
  return fake;
}

function object(i: number): ListedObject {
  return { id: `20261128t0913${String(10 + Math.floor(i / 10))}00${i % 10}z-aaaaaaaaaaaaaaaa`, kind: "volume", sizeBytes: bytes.length, sha256, head: { lengthBytes: 1, sha256 }, set: 0 };
}

/** The largest number of requests under way at one moment. */
function mostAtOnce(requests: readonly LoggedRequest[]): number {
  return Math.max(...requests.map(({ beganMs }) => requests.filter((other) => other.beganMs <= beganMs && other.endedMs > beganMs).length));
}

test("a far region gets more puts at once, beside a near one, and every object arrives in both", async () => {
  const near = await startAt(0);
  const far = await startAt(250);
  for (const name of ["NEAR", "FAR"]) {
    vi.stubEnv(`COLDKEEP_${name}_ACCESS_KEY_ID`, near.keys.accessKeyId);
    vi.stubEnv(`COLDKEEP_${name}_SECRET_ACCESS_KEY`, near.keys.secretAccessKey);
  }
  const regions = await openRegions([readerSpec("near", fakeS3Url(near, "vault")), readerSpec("far", fakeS3Url(far, "vault"))], () => undefined);
  const fanOut = new FanOut("web1", regions, () => undefined, new AbortController().signal);
  const confirmed: string[] = [];
  await Promise.all(Array.from({ length: 90 }, (_, i) => fanOut.put(object(i), bytes, ({ name }) => confirmed.push(name))));
  closeRegions(regions);
  vi.unstubAllEnvs();
  expect(confirmed.filter((name) => name === "far")).toHaveLength(90);
  expect(far.bucket("vault").keys()).toEqual(near.bucket("vault").keys());
  expect(mostAtOnce(far.requests)).toBeGreaterThan(8);
  expect(mostAtOnce(far.requests)).toBeLessThanOrEqual(16);
});
