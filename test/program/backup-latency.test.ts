/** `backup` to regions that are far away: what a night costs where every request takes a while, whatever the bandwidth. */
import { beforeEach, expect, test } from "vitest";
import type { FakeS3, LoggedRequest } from "../support/fake-s3.ts";
import { s3Options, setUpHost } from "../support/host.ts";
import { startNorthAndSouth } from "../support/two-regions.ts";

let north: FakeS3;
let south: FakeS3;

beforeEach(async () => {
  ({ north, south } = await startNorthAndSouth());
});

/** How many of the requests cannot have been under way at the same time: the longest chain of one after the other. */
function serialRequests(requests: readonly LoggedRequest[]): number {
  let count = 0;
  let freeMs = Number.NEGATIVE_INFINITY;
  for (const { beganMs, endedMs } of requests.toSorted((a, b) => a.endedMs - b.endedMs)) {
    if (beganMs < freeMs) continue;
    count++;
    freeMs = endedMs;
  }
  return count;
}

test("an unchanged night asks at once what it can, and waits for few answers one after the other", async () => {
  const files = Array.from({ length: 2000 }, (_, i) => [`d${i % 40}/f${i}`, `file ${i}`] as const);
  const host = await setUpHost({ ...s3Options({ north, south }), tree: Object.fromEntries(files) });
  expect(await host.backup()).toMatchObject({ status: 0 });
  await host.settle();
  for (let night = 0; night < 3; night++) expect(await host.backup()).toMatchObject({ status: 0 });
  for (const fake of [north, south]) {
    fake.latencyMs = 400;
    fake.requests.length = 0;
  }
  expect(await host.backup()).toMatchObject({ status: 0, document: { filesUnchanged: 2000 + 5, regions: { north: "complete", south: "complete" } } });
  for (const fake of [north, south]) {
    expect(serialRequests(fake.requests)).toBeLessThan(10);
    expect(fake.requests.length).toBeLessThan(25);
  }
});
