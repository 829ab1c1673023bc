/**
 * Directories below a root, held open, each reached from its parent's handle and never through a symbolic link. What is
 * done to `/proc/self/fd/<N>/<name>` happens in the held directory, whatever its path has been swapped for since.
 */
import { chmodSync, closeSync, constants, fstatSync, mkdirSync, openSync } from "node:fs";
import { ColdkeepError, systemCode } from "../errors.ts";
import { childPath } from "./long-path.ts";

const HELD_MAX = 64;
/** Of a long way from the root only the last directories are kept, so that a handle just given out is never closed. */
const HELD_OF_ONE_WAY_MAX = 16;
/** O_PATH needs no right to read the directory, and with O_DIRECTORY and O_NOFOLLOW fails on a link. */
export const HOLD_FLAGS = 0o10000000 | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Runs `act` in a held directory; where its mode keeps its own owner out, as after an interrupted restore, opens that up. */
export function asOwner<T>(fd: number, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (systemCode(error) !== "EACCES") throw error;
    const user = process.geteuid?.();
    const { uid, mode } = fstatSync(fd);
    if (user === 0 || uid !== user || (mode & 0o700) === 0o700) throw error;
    chmodSync(`/proc/self/fd/${fd}`, (mode & 0o7777) | 0o700);
    return act();
  }
}

/** Takes away what stands where a directory is to be: `child` as this process reaches it, `path` below the root. */
export type GiveWay = (child: string | Buffer, path: string) => void;

export class HeldDirectories {
  readonly #root: number;
  readonly #giveWay: GiveWay | null;
  /** Path → descriptor, least recently used first. */
  readonly #held = new Map<string, number>();
  #lastPath = "/";
  #lastFd: number;

  /** `root` is an open directory, closed by `close`. With `giveWay`, whatever is no directory gives way to one. */
  constructor(root: number, giveWay: GiveWay | null) {
    this.#root = root;
    this.#giveWay = giveWay;
    this.#lastFd = root;
  }

  /** A held directory, valid until some others have been opened; null when it does not exist and is not to be made. */
  open(path: string, make: boolean): number | null {
    if (path === this.#lastPath) return this.#lastFd;
    const missing: string[] = [];
    let known = path;
    let fd = this.#find(known);
    while (fd === undefined) {
      const slash = known.lastIndexOf("/");
      missing.push(known.slice(slash + 1));
      known = known.slice(0, slash);
      fd = this.#find(known);
    }
    return this.#descend(fd, known, missing, make);
  }

  #find(path: string): number | undefined {
    if (path === "" || path === "/") return this.#root;
    const fd = this.#held.get(path);
    if (fd === undefined) return undefined;
    this.#held.delete(path);
    this.#held.set(path, fd);
    return fd;
  }

  /** `names` come last first. */
  #descend(from: number, path: string, names: string[], make: boolean): number | null {
    let fd = from;
    let own = false;
    for (let i = names.length - 1; i >= 0; i--) {
      const name = names[i] ?? "";
      let next: number | null;
      try {
        next = this.#openChild(fd, name, `${path}/${name}`, make);
      } finally {
        if (own) closeSync(fd);
      }
      if (next === null) return null;
      path += `/${name}`;
      fd = next;
      own = i >= HELD_OF_ONE_WAY_MAX;
      if (!own) this.#hold(path, fd);
    }
    this.#lastPath = path === "" ? "/" : path;
    this.#lastFd = fd;
    return fd;
  }

  #hold(path: string, fd: number): void {
    this.#held.set(path, fd);
    if (this.#held.size <= HELD_MAX) return;
    for (const [oldest, oldFd] of this.#held) {
      this.#held.delete(oldest);
      closeSync(oldFd);
      if (oldFd === this.#lastFd) this.#resetLast();
      return;
    }
  }

  #openChild(parent: number, name: string, path: string, make: boolean): number | null {
    const child = childPath(parent, name);
    // Another thread may make or replace the same directory at the same moment, hence more than one try.
    for (let tries = 0; tries < 4; tries++) {
      try {
        return asOwner(parent, () => openSync(child, HOLD_FLAGS));
      } catch (error) {
        const code = systemCode(error);
        if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "ELOOP") throw error;
        if (!make) return null;
        if (code !== "ENOENT") this.#takeAway(child, path, error);
      }
      makeChild(parent, child);
    }
    throw new ColdkeepError("E_DISK", `${path} keeps changing in the target`);
  }

  #takeAway(child: string | Buffer, path: string, cause: unknown): void {
    if (this.#giveWay === null) throw new ColdkeepError("E_DISK", `${path} is not a directory in the target`, { cause });
    try {
      this.#giveWay(child, path);
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw error;
    }
  }

  /** Closes a directory that is about to be removed, and all below it. */
  forget(path: string): void {
    for (const [held, fd] of this.#held) {
      if (held !== path && !held.startsWith(`${path}/`)) continue;
      this.#held.delete(held);
      closeSync(fd);
    }
    this.#resetLast();
  }

  #resetLast(): void {
    this.#lastPath = "/";
    this.#lastFd = this.#root;
  }

  close(): void {
    for (const fd of this.#held.values()) closeSync(fd);
    this.#held.clear();
    closeSync(this.#root);
  }
}

function makeChild(parent: number, child: string | Buffer): void {
  try {
    asOwner(parent, () => mkdirSync(child, 0o700));
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
}
