/** Tries a region before a host relies on it. Nothing of the try is left behind but what the store refuses to delete. */
import { randomBytes } from "node:crypto";
import { existsSync, rmdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { probeKey } from "../format/object-key.ts";
import { parseRegionUrl } from "../storage/region-url.ts";
import { type Check, warn } from "./doctor/check.ts";
import { checkWriting } from "./doctor/region-checks.ts";
import { ColdkeepError } from "../errors.ts";
import { closeRegions, openRegions, readMarker } from "./region.ts";

/** Somebody waits for the answer. */
const RETRY_MS = 3_000;
const DEADLINE_MS = 30_000;

export type RegionProbe = {
  /** The vault it holds; null for none. */
  vault: string | null;
  /** What a person should know of it. */
  warnings: Check[];
};

/** `path` and the directories above it that are not there, the deepest first. */
function absent(path: string): string[] {
  return existsSync(path) ? [] : [path, ...absent(dirname(path))];
}

/** Only empty ones go: what another process has put there meanwhile stays. */
function removeEmpty(directories: readonly string[]): void {
  for (const path of directories) {
    try {
      rmdirSync(path);
    } catch {
      return;
    }
  }
}

function deviceOf(path: string): number {
  return existsSync(path) ? statSync(path).dev : deviceOf(dirname(path));
}

function sameDisk(name: string, path: string): Check[] {
  if (deviceOf(path) !== statSync("/").dev) return [];
  return [warn(`region ${name}`, "lies on the disk that holds this system: it is lost with it", "Mount another disk there, or use a place elsewhere.")];
}

/** Reaches it, writes, reads back. Throws E_URL, E_CREDENTIALS, StoreError, E_REGION where it does not do, and the signal's reason. */
export async function probeRegion({ name, url }: { name: string; url: string }, host: string, signal: AbortSignal): Promise<RegionProbe> {
  const place = parseRegionUrl(url);
  const writer = randomBytes(16).toString("hex");
  const key = probeKey(host, writer);
  const made = place.kind === "directory" ? absent(dirname(join(place.path, key))) : [];
  const regions = await openRegions([{ name, url, retryMs: RETRY_MS, deadlineMs: DEADLINE_MS }], () => {});
  const warnings: Check[] = place.kind === "directory" ? sameDisk(name, place.path) : [];
  let vault: string | null = null;
  try {
    for (const region of regions) {
      await region.store.create();
      vault = await readMarker(region, signal);
      const checks = await checkWriting((what) => `region ${name}: ${what}`, region, { host, writer, signal });
      const failed = checks.find(({ verdict }) => verdict === "fail");
      if (failed !== undefined) throw new ColdkeepError("E_REGION", failed.message, { hint: failed.hint });
      if (place.kind === "directory") await region.store.delete(key);
      warnings.push(...checks.filter(({ verdict }) => verdict === "warn"));
    }
  } finally {
    closeRegions(regions);
    removeEmpty(made);
  }
  signal.throwIfAborted();
  return { vault, warnings };
}
