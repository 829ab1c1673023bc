/** From a region's name and URL to its store. */
import { resolveCredentials, type S3Keys } from "./credentials.ts";
import { openDirectoryStore } from "./directory-store.ts";
import type { Keeping, ObjectStore } from "./object-store.ts";
import { type Bandwidth, openPacers } from "./pacer.ts";
import { parseRegionUrl, type RegionUrl } from "./region-url.ts";

/**
 * Opens the store of a region, without asking it anything yet. `name` decides which environment variables hold its keys.
 * All its requests share `bandwidth`.
 * `fallback` are keys to use where nothing on this machine names any; `keeping` is what
 * an S3 region is asked for with every put. Throws E_URL and E_CREDENTIALS.
 */
export async function openStore(name: string, url: string | RegionUrl, bandwidth: Bandwidth = {}, fallback?: S3Keys, keeping?: Keeping): Promise<ObjectStore> {
  const region = typeof url === "string" ? parseRegionUrl(url) : url;
  const pacers = openPacers(bandwidth);
  if (region.kind === "directory") return openDirectoryStore(region.path, { pacers });
  const [{ openS3Store }, credentials] = await Promise.all([import("./s3-store.ts"), resolveCredentials(name, region)]);
  const chosen = credentials.kind === "chain" && fallback !== undefined ? { kind: "keys" as const, keys: fallback } : credentials;
  return openS3Store(region, chosen, {}, pacers, keeping);
}
