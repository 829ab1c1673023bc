/** Which keys the stores accept. Keys come from listings and manifests, so they are checked before they touch a disk. */
import { StoreError } from "./object-store.ts";

/** What a directory names a file that is still being written; such names are never listed and never accepted as keys. */
export const TEMPORARY_PREFIX = ".coldkeep-tmp-";

/** S3 allows 1,024 bytes for prefix and key together. */
const KEY_BYTES_MAX = 1024;

const FROM_SURROGATES = /[\uD800-\uFFFF]/;

/** Whether a key is a plain relative path: no empty part, no `.` or `..`, no control characters. */
export function isStoreKey(key: string): boolean {
  if (key === "" || Buffer.byteLength(key) > KEY_BYTES_MAX) return false;
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\0-\x1f\x7f]/.test(key) || !key.isWellFormed()) return false;
  return key.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !part.startsWith(TEMPORARY_PREFIX));
}

/** Throws StoreError `misused` for a key no object of a vault may have. */
export function checkStoreKey(key: string, location: string): void {
  if (isStoreKey(key)) return;
  throw new StoreError("misused", `${JSON.stringify(key.slice(0, 200))} cannot be the key of an object in ${location}`);
}

/** Order of keys by their UTF-8 bytes, which is the order of S3 listings. */
export function compareKeys(a: string, b: string): number {
  // JavaScript compares UTF-16 units, which gives another order from the surrogates on.
  if (!FROM_SURROGATES.test(a) && !FROM_SURROGATES.test(b)) return a < b ? -1 : Number(a > b);
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
