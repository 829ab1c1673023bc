/**
 * Reading that leaves the page cache as it was: a backup of a whole server must not push out what its services work with. What
 * was not cached is given back after it was read; pages that were there stay.
 */
import { libc } from "./libc.ts";
import { readFully } from "./read-file.ts";

/** From here on the cached pages are asked for one by one: a database's file is hot in places. */
const LARGE_BYTES = 1024 * 1024;

/** A read that was begun: of what is not cached, the disk is asked for already. */
export type BegunRead = {
  readonly fd: number;
  /** As long as the read. */
  readonly target: Buffer;
  readonly position: number;
  /** Bytes at the beginning that were cached, and are in `target`. */
  readonly taken: number;
  /** Which pages were cached, of a large read; null where that is not known. */
  readonly pages: Buffer | null;
};

/** Begins to fill `target` from `position` on, and has the disk work on many such reads at once. */
export function beginRead(fd: number, target: Buffer, position: number): BegunRead {
  const nothing = { fd, target, position, taken: 0, pages: null };
  if (!libc || target.length === 0) return nothing;
  if (target.length >= LARGE_BYTES) {
    const pages = libc.cachedPages(fd, position, target.length);
    if (pages !== null && hasUncached(pages)) libc.adviseWillNeed(fd, position, target.length);
    return { ...nothing, pages };
  }
  // Small files are mostly cached whole or not at all, and the read itself tells which.
  const taken = libc.readCached(fd, target, target.length, position);
  if (taken < target.length) libc.adviseWillNeed(fd, position + taken, target.length - taken);
  return { ...nothing, taken };
}

/** Ends a read. Returns its bytes, fewer than asked for where the file ends. */
export function endRead({ fd, target, position, taken, pages }: BegunRead): number {
  const rest = taken === target.length ? 0 : readFully(fd, target, taken, target.length - taken, position + taken);
  if (libc && pages !== null) giveBackPages(fd, position, pages);
  else if (libc && rest > 0 && target.length < LARGE_BYTES) libc.adviseDontNeed(fd, position + taken, rest);
  return taken + rest;
}

/** Fills `target` from `position` on, as far as the file goes. */
export function readQuietly(fd: number, target: Buffer, position: number): number {
  return endRead(beginRead(fd, target, position));
}

function giveBackPages(fd: number, position: number, pages: Buffer): void {
  if (!libc) return;
  const first = position - (position % libc.pageBytes);
  for (let page = 0; page < pages.length; page++) {
    if (isCached(pages, page)) continue;
    const start = page;
    while (page < pages.length && !isCached(pages, page)) page++;
    libc.adviseDontNeed(fd, first + start * libc.pageBytes, (page - start) * libc.pageBytes);
  }
}

function hasUncached(pages: Buffer): boolean {
  return pages.some((page) => (page & 1) === 0);
}

function isCached(pages: Buffer, page: number): boolean {
  return ((pages[page] ?? 1) & 1) === 1;
}
