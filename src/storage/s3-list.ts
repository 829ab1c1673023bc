/** Listing of a bucket: pages, and what a store that errs or lies can put into them. */
import type { ListObjectsV2CommandOutput } from "@aws-sdk/client-s3";
import { type StoredObject, StoreError } from "./object-store.ts";
import { compareKeys } from "./store-key.ts";

export type BucketListing = {
  /** Asks for one page; undefined for the first. */
  ask: (token: string | undefined) => Promise<ListObjectsV2CommandOutput>;
  /** What stands before every key of the region. */
  base: string;
  prefix: string;
  after: string | undefined;
  doing: string;
  fail: (error: unknown) => Error;
};

/** Yields the objects of all pages, keys below the region's prefix. Throws StoreError. */
export async function* listBucket(listing: BucketListing): AsyncGenerator<StoredObject> {
  const seen = new Set<string>();
  let token: string | undefined;
  for (;;) {
    const page = await askPage(listing, token);
    yield* objectsOf(page, listing);
    if (page.IsTruncated !== true) return;
    token = page.NextContinuationToken;
    if (token === undefined || token === "" || seen.has(token)) {
      throw new StoreError("corrupt", `${listing.doing}: the store's pages do not come to an end`);
    }
    seen.add(token);
  }
}

async function askPage({ ask, fail, doing }: BucketListing, token: string | undefined): Promise<ListObjectsV2CommandOutput> {
  const page = await ask(token).catch((error: unknown) => {
    throw fail(error);
  });
  // A page of something else (a login page, say) parses as a bucket with nothing in it, which would look like lost objects.
  if (page.Name === undefined || page.IsTruncated === undefined) {
    throw new StoreError("unreachable", `${doing}: the answer is no listing of a bucket`, {
      hint: "Something between this machine and the store answers in its place; check the endpoint and the proxy.",
    });
  }
  return page;
}

function* objectsOf(page: ListObjectsV2CommandOutput, { base, prefix, after }: BucketListing): Generator<StoredObject> {
  for (const { Key, Size, LastModified, StorageClass } of page.Contents ?? []) {
    if (Key === undefined) continue;
    const whole = page.EncodingType === "url" ? decodeListedKey(Key) : Key;
    // Some stores ignore parts of the request; what was not asked for is not handed on.
    if (!whole.startsWith(base + prefix) || whole === base) continue;
    const key = whole.slice(base.length);
    if (after !== undefined && compareKeys(key, after) <= 0) continue;
    const modifiedMs = LastModified?.getTime() ?? 0;
    yield { key, sizeBytes: Size ?? 0, modifiedMs: Number.isNaN(modifiedMs) ? 0 : modifiedMs, ...(StorageClass !== undefined && { storageClass: StorageClass }) };
  }
}

/**
 * Undoes `encoding-type=url`, which is asked for because XML cannot carry control characters. Foreign keys may be
 * anything: a broken escape stays as it is, bytes that are not UTF-8 become U+FFFD.
 */
export function decodeListedKey(encoded: string): string {
  const spaced = encoded.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    const bytes = spaced.replace(/%([0-9a-f]{2})|([^%]+)/gi, (_, hex: string | undefined, plain: string | undefined) =>
      hex === undefined ? Buffer.from(plain ?? "").toString("latin1") : String.fromCharCode(Number.parseInt(hex, 16)),
    );
    return Buffer.from(bytes, "latin1").toString("utf8");
  }
}
