/** Listing of a directory region: a sorted walk below the deepest folder that the prefix names. */
import type { Dirent, Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { ColdkeepError, systemCode } from "../errors.ts";
import { directoryError } from "./directory-errors.ts";
import { type Folder, openFolder } from "./directory-folder.ts";
import { checkInterrupted } from "./interrupted.ts";
import type { StoredObject } from "./object-store.ts";
import { compareKeys, isStoreKey } from "./store-key.ts";

export type DirectoryListing = {
  root: string;
  location: string;
  prefix: string;
  signal: AbortSignal | undefined;
  after: string | undefined;
};

/** Files looked at together: one promise after the other would wait for each. */
const BATCH = 64;

type Found = { key: string; folder: boolean };

/** Yields the regular files below the root whose key starts with the prefix, by the bytes of their keys. Throws StoreError. */
export async function* listDirectory(listing: DirectoryListing): AsyncGenerator<StoredObject> {
  const deepest = listing.prefix.lastIndexOf("/");
  const folder = listing.prefix.slice(0, deepest + 1);
  // No object can have such a key, so none can start with it; the root must be there all the same.
  const parts = folder === "" ? [] : folder.slice(0, -1).split("/");
  const possible = folder === "" || isStoreKey(folder.slice(0, -1));
  yield* walk(listing, possible ? parts : [], possible);
}

async function* walk(listing: DirectoryListing, parts: readonly string[], wanted: boolean): AsyncGenerator<StoredObject> {
  const doing = `listing of ${parts.join("/")}/ in ${listing.location}`;
  checkInterrupted(listing.signal, doing);
  const folder = await openOrNothing(listing, parts, doing);
  if (folder === undefined) return;
  try {
    const found = wanted ? await readSorted(folder, listing, parts, doing) : [];
    for (let at = 0; at < found.length; ) {
      checkInterrupted(listing.signal, doing);
      const next = found[at];
      if (next?.folder === true) {
        yield* walk(listing, next.key.split("/"), true);
        at++;
        continue;
      }
      const batch: Found[] = [];
      for (let entry = found[at]; entry !== undefined && !entry.folder && batch.length < BATCH; entry = found[++at]) batch.push(entry);
      yield* lookAt(folder, batch, doing);
    }
  } finally {
    await folder.close();
  }
}

async function openOrNothing(listing: DirectoryListing, parts: readonly string[], doing: string): Promise<Folder | undefined> {
  try {
    return await openFolder(listing.root, listing.location, parts, false);
  } catch (error) {
    if (error instanceof ColdkeepError) throw error;
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return undefined;
    throw directoryError(error, doing);
  }
}

async function readSorted(folder: Folder, listing: DirectoryListing, parts: readonly string[], doing: string): Promise<Found[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder.path, { withFileTypes: true });
  } catch (error) {
    throw directoryError(error, doing);
  }
  const base = parts.length === 0 ? "" : `${parts.join("/")}/`;
  const found: Found[] = [];
  for (const entry of entries) {
    const key = base + entry.name;
    // Names that no key can have are somebody else's, and so are links; a name that is not UTF-8 shows as U+FFFD.
    if (!isStoreKey(key) || key.includes("\uFFFD")) continue;
    if (entry.isDirectory()) {
      if (mayHold(`${key}/`, listing)) found.push({ key, folder: true });
    } else if (entry.isFile() && key.startsWith(listing.prefix) && isAfter(key, listing.after)) {
      found.push({ key, folder: false });
    }
  }
  return found.sort((a, b) => compareKeys(a.folder ? `${a.key}/` : a.key, b.folder ? `${b.key}/` : b.key));
}

/** Whether keys below `folder` (with its final slash) can belong to the listing. */
function mayHold(folder: string, { prefix, after }: DirectoryListing): boolean {
  if (!folder.startsWith(prefix) && !prefix.startsWith(folder)) return false;
  return after === undefined || after.startsWith(folder) || isAfter(folder, after);
}

function isAfter(key: string, after: string | undefined): boolean {
  return after === undefined || compareKeys(key, after) > 0;
}

async function* lookAt(folder: Folder, batch: readonly Found[], doing: string): AsyncGenerator<StoredObject> {
  const all = await Promise.all(batch.map(({ key }) => statusOrNothing(`${folder.path}/${key.slice(key.lastIndexOf("/") + 1)}`, doing)));
  for (const [index, { key }] of batch.entries()) {
    const status = all[index];
    if (status?.isFile() === true) yield { key, sizeBytes: status.size, modifiedMs: Math.floor(status.mtimeMs) };
  }
}

/** A file that was removed meanwhile is not listed. */
async function statusOrNothing(path: string, doing: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw directoryError(error, doing);
  }
}
