/** Reading a source leaves the page cache as it was: asked of the kernel through fincore. */
import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { libc } from "../../src/disk/libc.ts";
import { readQuietly } from "../../src/disk/read-quietly.ts";

const SIZE = 8 * 1024 * 1024;
/** Beside the tests, not in the temporary folder, which may lie in memory. */
const dir = mkdtempSync(join(import.meta.dirname, "page-cache-"));
const path = join(dir, "file");
const content = randomBytes(SIZE);
afterAll(() => rmSync(dir, { recursive: true }));

const READ_HOT = "import os, sys\nfd = os.open(sys.argv[1], os.O_RDONLY)\nos.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)\nfor at in sys.argv[2:]: os.pread(fd, 8192, int(at))";

function cachedBytes(): number {
  return Number(execFileSync("fincore", ["-b", "-n", "-o", "RES", path], { encoding: "utf8" }));
}

function withFile<T>(flags: string, work: (fd: number) => T): T {
  const fd = openSync(path, flags);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

function writeUncached(bytes = SIZE): void {
  withFile("w", (fd) => {
    writeSync(fd, content, 0, bytes);
    fsyncSync(fd);
    libc?.adviseDontNeed(fd, 0, 0);
  });
}

/** The kernel may take any page back when somebody else needs memory: an answer that such a moment can spoil is asked for again. */
describe("readQuietly", { retry: 3 }, () => {
  test("a file that was not cached is not cached afterwards", () => {
    writeUncached();
    expect(cachedBytes()).toBe(0);
    const target = Buffer.alloc(SIZE + 10);
    expect(withFile("r", (fd) => readQuietly(fd, target.subarray(10), 0))).toBe(SIZE);
    expect(target.subarray(10).equals(content)).toBe(true);
    expect(cachedBytes()).toBe(0);
  });

  test("what a service keeps in use stays", () => {
    writeUncached();
    withFile("r", (fd) => readSync(fd, Buffer.alloc(SIZE), 0, SIZE, 0));
    expect(cachedBytes()).toBe(SIZE);
    const target = Buffer.alloc(SIZE);
    expect(withFile("r", (fd) => readQuietly(fd, target, 0))).toBe(SIZE);
    expect(cachedBytes()).toBe(SIZE);
  });

  test("of a large file that is hot in places, those places stay and the rest goes", () => {
    writeUncached();
    const hot = [0, 1_000_000, 5_000_000];
    // Read as a database does, which the kernel does not read ahead of.
    execFileSync("python3", ["-c", READ_HOT, path, ...hot.map(String)]);
    const before = cachedBytes();
    expect(before).toBeGreaterThanOrEqual(hot.length * 8192);
    expect(before).toBeLessThan(SIZE / 4);
    const target = Buffer.alloc(SIZE);
    expect(withFile("r", (fd) => readQuietly(fd, target, 0))).toBe(SIZE);
    expect(target.equals(content)).toBe(true);
    expect(cachedBytes()).toBe(before);
  });

  test("of a small file the same", () => {
    writeUncached(600_000);
    const target = Buffer.alloc(600_000);
    const read = (): number => withFile("r", (fd) => readQuietly(fd, target, 0));
    expect(read()).toBe(600_000);
    expect(cachedBytes()).toBe(0);
    withFile("r", (fd) => readSync(fd, Buffer.alloc(600_000), 0, 600_000, 0));
    const before = cachedBytes();
    expect(read()).toBe(600_000);
    expect(cachedBytes()).toBe(before);
    expect(before).toBeGreaterThanOrEqual(600_000);
  });

  test("past the end there is nothing", () => {
    writeUncached();
    expect(withFile("r", (fd) => readQuietly(fd, Buffer.alloc(100), SIZE - 30))).toBe(30);
    expect(withFile("r", (fd) => readQuietly(fd, Buffer.alloc(100), SIZE + 30))).toBe(0);
  });
});
