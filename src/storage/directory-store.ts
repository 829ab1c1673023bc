/** A directory as a region: whole files under their keys, durable once a put resolves. */
import { randomBytes } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { directoryError } from "./directory-errors.ts";
import { type Folder, openFolder, openRoot, syncFolder } from "./directory-folder.ts";
import { listDirectory } from "./directory-list.ts";
import { checkInterrupted } from "./interrupted.ts";
import {
  type Erasure,
  type FoundObject,
  type GetOptions,
  type ObjectBody,
  type ObjectStore,
  type OpenedObject,
  type Protection,
  type PutOptions,
  StoreError,
  type StoredObject,
  type StoredVersion,
} from "./object-store.ts";
import { pacedBody, type Pacer, type Pacers, piecesOf } from "./pacer.ts";
import { formatRegionUrl } from "./region-url.ts";
import { checkStoreKey, TEMPORARY_PREFIX } from "./store-key.ts";

export type DirectoryStoreOptions = {
  /** Publish by rename alone, as on file systems without hard links. Default: found out by trying. */
  hardLinks?: boolean;
  /** Limits of what is written and read. Default: none. */
  pacers?: Pacers | undefined;
};

const PIECE_BYTES = 1024 * 1024;

/** A temporary file this old belongs to no running put. */
const LEFTOVER_AGE_MS = 24 * 3_600_000;

/** What `link` answers where a file system has no hard links: vfat EPERM, FUSE ENOSYS, others the rest. */
const NO_LINK_CODES = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/**
 * Opens a directory region; the directory is first looked at by the first call. `path` is absolute.
 *
 * A put writes a temporary file beside the final name, syncs it, and publishes it with `link`, which fails when the name
 * is taken. On file systems without hard links it looks whether the name is free and renames: a reader still sees
 * whole objects only, but of two processes that put one key at the same instant both may be told `"created"`.
 */
export function openDirectoryStore(path: string, options: DirectoryStoreOptions = {}): ObjectStore {
  return new DirectoryStore(path, options);
}

class DirectoryStore implements ObjectStore {
  readonly location: string;
  readonly #root: string;
  readonly #pacers: Pacers | undefined;
  #hardLinks: boolean;
  /** The last publication by rename: within this process they follow one another, so that one of two is told "exists". */
  #lastRename: Promise<unknown> = Promise.resolve();
  readonly #swept = new Set<string>();

  constructor(root: string, { hardLinks, pacers }: DirectoryStoreOptions) {
    this.location = formatRegionUrl({ kind: "directory", path: root });
    this.#root = root;
    this.#pacers = pacers;
    this.#hardLinks = hardLinks ?? true;
  }

  async put(key: string, body: ObjectBody, options: PutOptions): Promise<"created" | "exists"> {
    const doing = `put of ${key} in ${this.location}`;
    checkInterrupted(options.signal, doing);
    return this.#inFolder(key, doing, true, async (folder, name) => {
      await this.#sweep(folder, key);
      const temporary = `${folder.path}/${TEMPORARY_PREFIX}${randomBytes(9).toString("hex")}`;
      try {
        await writeDurably(temporary, body, { doing, signal: options.signal, up: this.#pacers?.up });
        checkInterrupted(options.signal, doing);
        const answer = await this.#publish(temporary, `${folder.path}/${name}`, options.overwrite === true);
        // Also after "exists": the run that published it may have died before this call.
        await syncFolder(folder);
        return answer;
      } finally {
        await unlinkIfThere(temporary);
      }
    });
  }

  async get(key: string, options: GetOptions = {}): Promise<OpenedObject> {
    const doing = `get of ${key} from ${this.location}`;
    checkInterrupted(options.signal, doing);
    return this.#inFolder(key, doing, false, async (folder, name) => {
      // Without O_NONBLOCK a FIFO put there would hold the call for ever.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const handle = await open(`${folder.path}/${name}`, flags);
      try {
        const status = await handle.stat();
        if (status.isDirectory()) throw new StoreError("missing", `${doing}: it is a folder`);
        if (!status.isFile()) throw new StoreError("misused", `${doing}: it is not a regular file`);
        const start = Math.min(options.range?.offset ?? 0, status.size);
        const end = Math.min(options.range === undefined ? status.size : start + options.range.length, status.size);
        const body = readPieces(handle, start, end, doing, options.signal);
        const down = this.#pacers?.down;
        return { sizeBytes: status.size, body: down === undefined ? body : pacedBody(body, down, options.signal) };
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  async head(key: string, signal?: AbortSignal): Promise<FoundObject | null> {
    const doing = `look-up of ${key} in ${this.location}`;
    checkInterrupted(signal, doing);
    try {
      return await this.#inFolder(key, doing, false, async (folder, name) => {
        const status = await lstat(`${folder.path}/${name}`);
        if (status.isDirectory()) return null;
        if (!status.isFile()) throw new StoreError("misused", `${doing}: it is not a regular file`);
        return { key, sizeBytes: status.size, modifiedMs: Math.floor(status.mtimeMs), lock: null, access: "readable" };
      });
    } catch (error) {
      if (error instanceof StoreError && error.fault === "missing") return null;
      throw error;
    }
  }

  async extendLock(key: string): Promise<void> {
    throw new StoreError("misused", `lock of ${key} in ${this.location}: a directory cannot lock what it holds`, { hint: "Take `lock` out of this region." });
  }

  async thaw(key: string): Promise<void> {
    checkStoreKey(key, this.location);
    // Nothing is frozen here.
  }

  async protection(): Promise<Protection> {
    return { versions: false, locks: false };
  }

  list(prefix: string, signal?: AbortSignal, after?: string): AsyncIterable<StoredObject> {
    return listDirectory({ root: this.#root, location: this.location, prefix, signal, after });
  }

  async versions(key: string): Promise<StoredVersion[]> {
    checkStoreKey(key, this.location);
    return [];
  }

  async delete(key: string, signal?: AbortSignal): Promise<void> {
    const doing = `delete of ${key} in ${this.location}`;
    checkInterrupted(signal, doing);
    try {
      await this.#inFolder(key, doing, false, async (folder, name) => {
        await unlinkIfThere(`${folder.path}/${name}`);
        await syncFolder(folder);
      });
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== "missing") throw error;
    }
  }

  async erase(key: string, signal?: AbortSignal): Promise<Erasure> {
    const found = await this.head(key, signal);
    if (found === null) return { freedBytes: 0, kept: null };
    await this.delete(key, signal);
    return { freedBytes: found.sizeBytes, kept: null };
  }

  async nowMs(signal?: AbortSignal): Promise<number> {
    checkInterrupted(signal, `asking ${this.location} for its time`);
    await (await openRoot(this.#root, this.location)).close();
    return Date.now();
  }

  async create(): Promise<void> {
    try {
      await this.#makeFolder(this.#root);
      await (await openRoot(this.#root, this.location)).close();
    } catch (error) {
      throw directoryError(error, `making the directory of ${this.location}`);
    }
  }

  /**
   * Makes a folder and what is missing above it, each durable before the next. Node's own way of doing that never ends where a
   * file system answers ENOENT for a new name in a folder that is there, as /proc and mounts on demand do.
   */
  async #makeFolder(path: string): Promise<void> {
    if (existsSync(path)) return;
    await this.#makeFolder(dirname(path));
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error;
    }
    const above = await openRoot(dirname(path), this.location);
    try {
      await syncFolder(above);
    } finally {
      await above.close();
    }
  }

  close(): void {
    // Nothing is held between calls: an open folder would keep the disk from being unmounted.
  }

  async #inFolder<T>(key: string, doing: string, make: boolean, use: (folder: Folder, name: string) => Promise<T>): Promise<T> {
    checkStoreKey(key, this.location);
    const parts = key.split("/");
    const name = parts.pop() ?? "";
    try {
      const folder = await openFolder(this.#root, this.location, parts, make);
      try {
        return await use(folder, name);
      } finally {
        await folder.close();
      }
    } catch (error) {
      if (error instanceof ColdkeepError) throw error;
      throw directoryError(error, doing);
    }
  }

  async #publish(temporary: string, final: string, overwrite: boolean): Promise<"created" | "exists"> {
    if (overwrite) {
      await rename(temporary, final);
      return "created";
    }
    if (this.#hardLinks) {
      try {
        await link(temporary, final);
        return "created";
      } catch (error) {
        const code = systemCode(error) ?? "";
        if (code === "EEXIST") return "exists";
        if (!NO_LINK_CODES.has(code)) throw error;
        this.#hardLinks = false;
      }
    }
    const publication = this.#lastRename.then(() => renameIfFree(temporary, final));
    this.#lastRename = publication.catch(() => undefined);
    return publication;
  }

  /** Removes what killed puts left in a folder, once a folder and process. */
  async #sweep(folder: Folder, key: string): Promise<void> {
    const name = dirname(key);
    if (this.#swept.has(name)) return;
    this.#swept.add(name);
    for (const found of await readdir(folder.path)) {
      if (!found.startsWith(TEMPORARY_PREFIX)) continue;
      const path = `${folder.path}/${found}`;
      const status = await lstat(path).catch(() => undefined);
      if (status?.isFile() === true && Date.now() - status.mtimeMs > LEFTOVER_AGE_MS) await unlinkIfThere(path);
    }
  }
}

async function renameIfFree(temporary: string, final: string): Promise<"created" | "exists"> {
  try {
    await lstat(final);
    return "exists";
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  await rename(temporary, final);
  return "created";
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    const code = systemCode(error);
    if (code !== "ENOENT" && code !== "EISDIR") throw error;
  }
}

type Writing = { doing: string; signal: AbortSignal | undefined; up: Pacer | undefined };

async function writeDurably(path: string, body: ObjectBody, writing: Writing): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    if (body instanceof Uint8Array) await writeAll(handle, body, writing);
    else await copyFile(handle, body, writing);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, { doing, signal, up }: Writing): Promise<void> {
  for (const piece of piecesOf(bytes, up?.pieceBytes ?? 8 * PIECE_BYTES)) {
    await up?.take(piece.length, signal);
    for (let at = 0; at < piece.length; ) {
      checkInterrupted(signal, doing);
      at += (await handle.write(piece, at, piece.length - at)).bytesWritten;
    }
  }
}

async function copyFile(target: FileHandle, body: { path: string; sizeBytes: number }, writing: Writing): Promise<void> {
  const { doing, signal } = writing;
  const source = await open(body.path, constants.O_RDONLY).catch((cause: unknown) => {
    throw new StoreError("misused", `${doing}: the file to store cannot be opened: ${messageOf(cause)}`, { cause });
  });
  try {
    const { size } = await source.stat();
    if (size !== body.sizeBytes) {
      throw new StoreError("misused", `${doing}: the file ${body.path} has ${size} bytes, not ${body.sizeBytes}`);
    }
    for await (const piece of readPieces(source, 0, size, doing, signal)) await writeAll(target, piece, writing);
  } finally {
    await source.close();
  }
}

/**
 * The bytes `[start, end)` of an open file, which is closed at the end or when the reader leaves. Every piece lies in the
 * same memory: fresh memory costs more than reading.
 */
async function* readPieces(
  handle: FileHandle,
  start: number,
  end: number,
  doing: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - start));
    for (let at = start; at < end; ) {
      checkInterrupted(signal, doing);
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, end - at), at);
      if (bytesRead === 0) throw new StoreError("transient", `${doing}: the file became shorter while it was read`);
      at += bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  } catch (error) {
    if (error instanceof ColdkeepError) throw error;
    throw directoryError(error, doing);
  } finally {
    await handle.close();
  }
}
