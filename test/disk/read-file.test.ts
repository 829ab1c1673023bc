import { closeSync, ftruncateSync, lstatSync, openSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { libc } from "../../src/disk/libc.ts";
import { dataRegions, openForReading, ReadRace, readFully, readXattrs } from "../../src/disk/read-file.ts";
import { lstatText, type Stat } from "../../src/disk/stat.ts";
import { tempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";
import { posixAcl } from "./attribute-values.ts";

function statOf(path: string): Stat {
  const stat = lstatText(path);
  if (!stat) throw new Error(`${path} is missing`);
  return stat;
}

function raceOf(path: string, expected: Stat): { kind: string; code: string } {
  try {
    closeSync(openForReading(path, expected).fd);
  } catch (error) {
    if (error instanceof ReadRace) return { kind: error.kind, code: error.code };
    throw error;
  }
  return { kind: "opened", code: "" };
}

describe("openForReading", () => {
  test("gives the file the walk saw and leaves its access time alone", () => {
    const path = join(tempDir(), "file");
    writeFileSync(path, "content");
    utimesSync(path, 1000, 2000);
    const { fd, stat } = openForReading(path, statOf(path));
    const buffer = Buffer.alloc(10);
    expect(readFully(fd, buffer, 1, 9, 3)).toBe(4);
    expect(buffer.toString("latin1", 1, 5)).toBe("tent");
    expect(stat).toMatchObject({ type: "file", size: 7 });
    closeSync(fd);
    expect(lstatSync(path).atimeMs).toBe(1_000_000);
  });

  test("a file swapped for a FIFO, a link, a socket, a directory or another file is not read, and nothing hangs", () => {
    const dir = tempDir();
    const path = join(dir, "file");
    writeFileSync(path, "old");
    const seen = statOf(path);
    renameSync(path, join(dir, "kept"));
    expect(raceOf(path, seen)).toEqual({ kind: "vanished", code: "ENOENT" });
    makeTree(dir, { file: { type: "fifo" } });
    expect(raceOf(path, seen)).toEqual({ kind: "swapped", code: "ESTALE" });
    rmSync(path);
    symlinkSync("kept", path);
    expect(raceOf(path, seen)).toEqual({ kind: "swapped", code: "ELOOP" });
    rmSync(path);
    makeTree(dir, { file: { type: "directory" } });
    expect(raceOf(path, seen)).toEqual({ kind: "swapped", code: "ESTALE" });
    rmSync(path, { recursive: true });
    writeFileSync(path, "new");
    expect(raceOf(path, seen)).toEqual({ kind: "swapped", code: "ESTALE" });
    expect(raceOf(join(path, "x"), seen)).toEqual({ kind: "vanished", code: "ENOTDIR" });
  });
});

describe("dataRegions", () => {
  test("are where the data is", () => {
    const fd = openSync(join(tempDir(), "sparse"), "w+");
    const block = Buffer.alloc(65_536, 1);
    ftruncateSync(fd, 100 * 65_536);
    expect(dataRegions(fd, 100 * 65_536)).toEqual([]);
    for (const at of [3, 4, 50]) writeSync(fd, block, 0, block.length, at * 65_536);
    expect(dataRegions(fd, 100 * 65_536)).toEqual([{ offset: 3 * 65_536, length: 2 * 65_536 }, { offset: 50 * 65_536, length: 65_536 }]);
    // A file that grew since its size was taken.
    expect(dataRegions(fd, 51 * 65_536 - 10).at(-1)).toEqual({ offset: 50 * 65_536, length: 65_526 });
    expect(dataRegions(fd, 0)).toEqual([]);
    closeSync(fd);
  });
});

describe("readXattrs", () => {
  test("attributes and ACLs, by path and by descriptor; none of a link's target", () => {
    const dir = tempDir();
    makeTree(dir, { file: "", link: { type: "symlink", target: "file" } });
    libc?.setXattr(join(dir, "file"), "user.note", Buffer.from("hello"));
    libc?.setXattr(join(dir, "file"), "system.posix_acl_access", posixAcl(12_345));
    const fd = openSync(join(dir, "file"), "r");
    const reading = readXattrs(fd);
    closeSync(fd);
    expect(reading.problem).toBeUndefined();
    expect(reading.xattrs.map(({ name }) => name).toSorted()).toEqual(["system.posix_acl_access", "user.note"]);
    expect(reading.xattrs.find(({ name }) => name === "user.note")?.value.toString()).toBe("hello");
    expect(readXattrs(join(dir, "file"))).toEqual(reading);
    expect(readXattrs(join(dir, "link"))).toEqual({ xattrs: [] });
    expect(readXattrs("/proc/version")).toEqual({ xattrs: [] });
    expect(readXattrs(join(dir, "gone")).problem).toMatch(/ENOENT/);
  });
});
