/** What a nightly run needs of a region, and what it should not be able to do there. */
import { sha256Hex } from "../../codec/digest.ts";
import { probeKey } from "../../format/object-key.ts";
import type { PinnedSigner } from "../../format/kit.ts";
import { SKEW_LOW_MS } from "../../policy/clock.ts";
import { StoreError } from "../../storage/object-store.ts";
import { formatDuration } from "../../units.ts";
import { surveyHost } from "../survey.ts";
import { type Region, requireVault } from "../region.ts";
import { RevokedFault } from "../trust.ts";
import { type Check, checkedBy, fail, ok, warn } from "./check.ts";

/** What S3 servers allow a request's time to be off. */
const CLOCK_MOST_MS = 15 * 60_000;
const PROBE_BYTES_MAX = 1024;

export type RegionChecks = { vault: string; host: string; signers: PinnedSigner[]; writer: string; signal: AbortSignal };

/** All checks of one region, in the order a night goes through them; after a failure that makes the rest pointless, no more. */
export async function checkRegion(region: Region, about: RegionChecks): Promise<Check[]> {
  const named = (what: string): string => `region ${region.name}: ${what}`;
  const vault = await checkedBy(named("reach"), async () => {
    await requireVault(region, about.vault, about.signal);
    return ok(named("reach"), `${region.store.location} holds this vault`);
  });
  if (vault.verdict === "fail") return [vault];
  return [
    vault,
    await checkedBy(named("clock"), () => checkClock(named("clock"), region, about.signal)),
    await checkedBy(named("list and read"), () => checkReading(named("list and read"), region, about)),
    ...(await checkWriting(named, region, about)),
    ...(await checkKeeping(named, region, about)),
  ];
}

async function checkClock(name: string, region: Region, signal: AbortSignal): Promise<Check> {
  const offMs = Date.now() - (await region.store.nowMs(signal));
  const message = `this machine's clock is ${formatDuration(Math.abs(offMs))} ${offMs < 0 ? "behind" : "ahead of"} the region's`;
  const traits = { clockOffMs: offMs };
  if (Math.abs(offMs) < SKEW_LOW_MS) return { ...ok(name, "agrees with this machine's"), traits };
  const hint = "Set the clock, and keep it with NTP.";
  return { ...(Math.abs(offMs) < CLOCK_MOST_MS ? warn(name, message, hint) : fail(name, message, hint)), traits };
}

async function checkReading(name: string, region: Region, { vault, host, signers, signal }: RegionChecks): Promise<Check> {
  const { archives, faulty, lost } = await surveyHost([region], host, { vault, signers }, "archive", signal);
  if (lost[0] !== undefined) throw lost[0].error;
  const bad = faulty.find(({ fault }) => !(fault instanceof RevokedFault));
  if (bad !== undefined) return fail(name, bad.fault.message, "Run `coldkeep list`, and find out who wrote that manifest.");
  const [newest] = archives;
  return ok(name, newest === undefined ? "there is no archive yet" : `${archives.length} archives, the newest ${newest.header.id}`);
}

/** Puts a small object twice, reads it back, and tries what this host's credentials should not allow. */
export async function checkWriting(named: (what: string) => string, region: Region, { host, writer, signal }: Pick<RegionChecks, "host" | "writer" | "signal">): Promise<Check[]> {
  const key = probeKey(host, writer);
  const bytes = Buffer.from(`coldkeep doctor of ${host}\n`);
  const put = { sha256: sha256Hex(bytes), signal };
  const checks: Check[] = [];
  const write = await checkedBy(named("write"), async () => {
    await region.store.put(key, bytes, put);
    const found = await region.store.fetchBytes(key, { maxBytes: PROBE_BYTES_MAX, signal });
    if (!found.equals(bytes)) return fail(named("write"), `${key} reads back as something else`, "Do not trust this store: it gives other bytes than it was given.");
    return ok(named("write"), "an object was put and read back");
  });
  checks.push(write);
  if (write.verdict === "fail") return checks;
  checks.push(
    await checkedBy(named("create-only"), async () => {
      const again = await region.store.put(key, bytes, put);
      const traits = { createOnly: again === "exists" };
      if (traits.createOnly) return { ...ok(named("create-only"), "an object that is there is not replaced by a second put"), traits };
      const warning = warn(named("create-only"), "the store ignores `If-None-Match`, so that a put may replace an object", "Versioning or Object Lock keeps what a put replaces: turn one on, or, where one is on (some stores then ignore the condition), leave it so.");
      return { ...warning, traits };
    }),
  );
  if (region.url.startsWith("s3:")) checks.push(await checkedBy(named("rights"), () => checkRights(named("rights"), region, key, signal)));
  return checks;
}

/** Whether what is put there is locked as the configuration asks. */
async function checkKeeping(named: (what: string) => string, region: Region, { signal }: RegionChecks): Promise<Check[]> {
  const { lock, store } = region;
  if (lock === null) return [];
  const name = named("object lock");
  return [
    await checkedBy(name, async () => {
      const found = await store.protection(signal).catch((error: unknown) => {
        if (error instanceof StoreError && error.fault === "denied") return null;
        throw error;
      });
      if (found === null) return warn(name, "this host may not see whether the bucket has Object Lock", "Grant s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration.");
      const { versions, locks } = found;
      if (!locks) return fail(name, `the configuration asks for a ${lock.mode} lock, and the bucket is without Object Lock`, "Make a bucket with Object Lock, or take `lock` out of the region.");
      if (!versions) return warn(name, "the bucket has Object Lock, and its versioning is off", "Turn versioning on: a lock holds versions.");
      return ok(name, `the bucket has Object Lock and versioning; objects are locked for ${lock.days}d, in ${lock.mode} mode`);
    }),
  ];
}

/** A host that may delete is a host whose thief may. */
async function checkRights(name: string, region: Region, key: string, signal: AbortSignal): Promise<Check> {
  try {
    await region.store.delete(key, signal);
  } catch (error) {
    if (error instanceof StoreError && error.fault === "denied") return ok(name, "deleting is refused, as it should be for a host");
    throw error;
  }
  if (region.lock !== null) return ok(name, "a delete hides objects, and their locked versions stay");
  return warn(name, "this host's credentials may delete objects: whoever takes over the host can destroy its archives", "Give the host a policy without DeleteObject, or turn on Object Lock.");
}
