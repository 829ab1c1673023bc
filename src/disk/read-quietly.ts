/**
 * Reading that leaves the page cache as it was: a backup of a whole server must not push out what its services work with. What
 * was not cached is given back after it was read; pages that were there stay.
 */
import { libc, type Libc } from "./libc.ts";
import { readFully } from "./read-file.ts";

/** From here on the cached pages are asked for one by one: a database's file is hot in places. */
const LARGE_BYTES = 1024 * 1024;

/** As `readFully`. */
export function readQuietly(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
  if (!libc || length === 0) return readFully(fd, buffer, offset, length, position);
  return (length < LARGE_BYTES ? readSmall : readLarge)(libc, fd, buffer, offset, length, position);
}

/** Small files are mostly cached whole or not at all, and the read itself tells which. */
function readSmall(calls: Libc, fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
  const cached = calls.readCached(fd, buffer.subarray(offset), length, position);
  if (cached === length) return length;
  const rest = readFully(fd, buffer, offset + cached, length - cached, position + cached);
  if (rest > 0) calls.adviseDontNeed(fd, position + cached, rest);
  return cached + rest;
}

function readLarge(calls: Libc, fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
  const before = calls.cachedPages(fd, position, length);
  const got = readFully(fd, buffer, offset, length, position);
  if (before === null) return got;
  const first = position - (position % calls.pageBytes);
  for (let page = 0; page < before.length; page++) {
    if (isCached(before, page)) continue;
    const start = page;
    while (page < before.length && !isCached(before, page)) page++;
    calls.adviseDontNeed(fd, first + start * calls.pageBytes, (page - start) * calls.pageBytes);
  }
  return got;
}

function isCached(pages: Buffer, page: number): boolean {
  return ((pages[page] ?? 1) & 1) === 1;
}
