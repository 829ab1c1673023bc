/**
 * A folder of a directory region, held open. Each folder is opened below the one that holds it and never through a
 * symbolic link, and its files are named through `/proc/self/fd`, so that swapping a folder for a link meanwhile cannot
 * lead out of the region (Node has no openat).
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { systemCode } from "../errors.ts";
import { rootError } from "./directory-errors.ts";

const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY;

/** Mode of new folders: what lies in them is encrypted, but sizes and times are nobody else's business. */
const FOLDER_MODE = 0o700;

/** An open folder; `path` stays valid until `close`. */
export type Folder = {
  path: string;
  handle: FileHandle;
  close(): Promise<void>;
};

/** Opens the root, which may be a link the owner has set. Throws StoreError `unreachable` when it is not there. */
export async function openRoot(root: string, location: string): Promise<Folder> {
  try {
    return toFolder(await open(root, FOLDER_FLAGS));
  } catch (error) {
    throw rootError(error, location);
  }
}

/**
 * Opens the folder `parts` below the root, making what is missing when `make` says so.
 * Throws the system's error (ENOENT, ELOOP, ENOTDIR, …) and StoreError for the root.
 */
export async function openFolder(root: string, location: string, parts: readonly string[], make: boolean): Promise<Folder> {
  let folder = await openRoot(root, location);
  for (const part of parts) {
    const outer = folder;
    try {
      folder = await openBelow(outer, part, make);
    } finally {
      await outer.close();
    }
  }
  return folder;
}

async function openBelow(outer: Folder, name: string, make: boolean): Promise<Folder> {
  const path = `${outer.path}/${name}`;
  try {
    return toFolder(await open(path, FOLDER_FLAGS | constants.O_NOFOLLOW));
  } catch (error) {
    if (!make || systemCode(error) !== "ENOENT") throw error;
  }
  try {
    await mkdir(path, FOLDER_MODE);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  await syncFolder(outer);
  return toFolder(await open(path, FOLDER_FLAGS | constants.O_NOFOLLOW));
}

/** Makes new and removed names durable. Some network file systems refuse to sync a folder; they have no way to do it. */
export async function syncFolder(folder: Folder): Promise<void> {
  try {
    await folder.handle.sync();
  } catch (error) {
    const code = systemCode(error);
    if (code !== "EINVAL" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw error;
  }
}

function toFolder(handle: FileHandle): Folder {
  return { path: `/proc/self/fd/${handle.fd}`, handle, close: () => handle.close() };
}
