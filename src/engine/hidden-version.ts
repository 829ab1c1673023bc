/** The version of a key that a signed list means, where a delete marker or a newer object hides it in a versioned bucket. */
import { createHash } from "node:crypto";
import { objectKey } from "../format/object-key.ts";
import type { ListedObject } from "../format/manifest.ts";
import { StoreError, type StoredVersion } from "../storage/object-store.ts";
import { MIB } from "../units.ts";
import type { Region } from "./region.ts";

/** Objects of any size are hashed in parts, so that little memory is taken. */
const PART_BYTES = 4 * MIB;

/** Older versions of `key` that have bytes. Without the right to list versions there are none to go by. Throws StoreError when the region cannot be asked. */
export async function olderVersions(region: Region, key: string, signal: AbortSignal | undefined): Promise<StoredVersion[]> {
  try {
    const all = await region.store.versions(key, signal);
    const isHidden = all.length > 1 || all[0]?.isDeleteMarker === true;
    return isHidden ? all.filter(({ isDeleteMarker }) => !isDeleteMarker) : [];
  } catch (error) {
    if (error instanceof StoreError && (error.fault === "denied" || error.fault === "misused" || error.fault === "missing")) return [];
    throw error;
  }
}

/** The version with the listed size and SHA-256, or null. The whole of each candidate is read. Throws StoreError when the region cannot be asked. */
export async function findHiddenVersion(region: Region, host: string, object: ListedObject, signal: AbortSignal | undefined): Promise<string | null> {
  const key = objectKey(host, object.kind, object.id);
  for (const { version, sizeBytes } of await olderVersions(region, key, signal)) {
    if (sizeBytes !== object.sizeBytes) continue;
    if ((await storedState(region, key, object, { version, signal })) === "right") return version;
  }
  return null;
}

/** What a region holds under a key, or as a version of it, against the size and SHA-256 it should have. Throws StoreError when it cannot be asked. */
export async function storedState(
  region: Region,
  key: string,
  { sizeBytes, sha256 }: Pick<ListedObject, "sizeBytes" | "sha256">,
  { version, signal }: { version?: string; signal: AbortSignal | undefined },
): Promise<"right" | "missing" | "bad"> {
  const hash = createHash("sha256");
  const room = Buffer.allocUnsafe(Math.min(sizeBytes, PART_BYTES));
  try {
    for (let offset = 0; offset < sizeBytes; offset += PART_BYTES) {
      const part = room.subarray(0, Math.min(PART_BYTES, sizeBytes - offset));
      if ((await region.store.fetchInto(key, { offset, sizeBytes, version, signal }, part)) !== part.length) return "bad";
      hash.update(part);
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.fault === "missing") return "missing";
    if (error.fault === "corrupt") return "bad";
    if (error.fault !== "frozen" || version !== undefined) throw error;
    // Of what must be thawed first, the size is all that can be gone by.
    return (await region.store.head(key, signal))?.sizeBytes === sizeBytes ? "right" : "bad";
  }
  return hash.digest("hex") === sha256 ? "right" : "bad";
}
