/** Two S3 servers, as two providers are. */
import { type FakeS3, startFakeS3 } from "./fake-s3.ts";
import { afterUse } from "./temp-dir.ts";

/** Each has a bucket `vault`; stopped after the running test, or after the file. */
export async function startNorthAndSouth(): Promise<{ north: FakeS3; south: FakeS3 }> {
  const north = await startFakeS3({ buckets: ["vault"] });
  const south = await startFakeS3({ buckets: ["vault"] });
  for (const fake of [north, south]) afterUse(() => void fake.stop());
  return { north, south };
}
