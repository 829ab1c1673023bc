import { spawnSync } from "node:child_process";
import { closeSync, linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, readSync, renameSync, statSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { EntryMeta } from "../../src/disk/entry-meta.ts";
import { libc } from "../../src/disk/libc.ts";
import { Losses } from "../../src/disk/losses.ts";
import { openTarget, prepareTarget } from "../../src/disk/open-target.ts";
import { readXattrs } from "../../src/disk/read-file.ts";
import type { RestoreTarget } from "../../src/disk/restore-target.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";
import { netRawCapability, posixAcl } from "./attribute-values.ts";

const isRoot = process.geteuid?.() === 0;
const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

function meta(changes: Partial<EntryMeta> = {}): EntryMeta {
  return { mode: 0o644, ...own, mtime: "1700000000.123456789", ...changes };
}

function open(dir: string, merge = false): { target: RestoreTarget; losses: Losses } {
  const losses = new Losses();
  const target = openTarget(dir, { merge, losses });
  afterUse(() => target.close());
  return { target, losses };
}

function contentOf(target: RestoreTarget, path: string): string | null {
  const fd = target.readBack(path);
  if (fd === null) return null;
  const buffer = Buffer.alloc(100);
  const length = readSync(fd, buffer, 0, buffer.length, 0);
  closeSync(fd);
  return buffer.toString("utf8", 0, length);
}

describe("what is written", () => {
  test("files, links and FIFOs with their metadata, and nothing else", () => {
    const dir = tempDir();
    const { target, losses } = open(dir);
    const xattrs = [{ name: "user.note", value: Buffer.from([0, 1, 255]) }];
    target.makeDirectory("/etc/d");
    target.writeFile("/etc/d/file", Buffer.from("content"), meta({ mode: 0o4755, mtime: "-5.500000001", xattrs }));
    target.writeFile("/etc/closed", Buffer.from("x"), meta({ mode: 0, xattrs }));
    target.makeHardLink("/etc/hard", "/etc/d/file");
    target.makeSymlink("/etc/link", "/nowhere/\udcff", meta({ mtime: "12.000000007" }));
    target.makeNode("/etc/pipe", "fifo", "0:0", meta({ mode: 0o620 }));
    target.applyDirectoryMeta("/etc/d", meta({ mode: 0o1751, mtime: "99.000000001", xattrs }));
    expect(target.lookup("/etc/d/file")).toMatchObject({ type: "file", mode: 0o4755, size: 7, mtime: "-5.500000001", nlink: 2 });
    expect(target.lookup("/etc/hard")?.ino).toBe(target.lookup("/etc/d/file")?.ino);
    expect(target.lookup("/etc/link")).toMatchObject({ type: "symlink", mtime: "12.000000007" });
    expect(target.lookup("/etc/pipe")).toMatchObject({ type: "fifo", mode: 0o620, mtime: "1700000000.123456789" });
    expect(target.lookup("/etc/d")).toMatchObject({ type: "dir", mode: 0o1751, mtime: "99.000000001" });
    expect(target.lookup("/etc/closed")).toMatchObject({ mode: 0, size: 1 });
    expect(readlinkSync(join(dir, "etc/link"), { encoding: "latin1" })).toBe("/nowhere/\xff");
    for (const path of ["etc/d/file", "etc/d"]) expect(readXattrs(join(dir, path)).xattrs).toEqual(xattrs);
    expect(contentOf(target, "/etc/hard")).toBe("content");
    expect([target.readBack("/etc/link"), target.readBack("/etc/pipe"), target.readBack("/etc/gone"), target.lookup("/gone/x")]).toEqual([null, null, null, null]);
    expect(losses.list()).toEqual([]);
    expect(readdirSync(join(dir, "etc")).toSorted()).toEqual(["closed", "d", "hard", "link", "pipe"]);
  });

  test("names of any bytes, and paths of 12,000 bytes and a thousand levels", () => {
    const { target } = open(tempDir());
    const long = `${`/${"d".repeat(254)}`.repeat(47)}${"/e".repeat(1000)}`;
    for (const path of ["/raw\udcff\udc80/a\nb", `${long}/file`, `${long}/other`, "/-rf"]) {
      target.writeFile(path, Buffer.from(`content ${path.length}`), meta());
      expect(contentOf(target, path)).toBe(`content ${path.length}`);
    }
    target.makeHardLink(`${long}/hard`, "/raw\udcff\udc80/a\nb");
    target.makeSymlink(`${long}/link`, "x", meta());
    target.applyDirectoryMeta(long, meta({ mode: 0o700, mtime: "5.000000000" }));
    expect(target.lookup(long)?.mtime).toBe("5.000000000");
    expect(target.lookup(`${long}/hard`)?.nlink).toBe(2);
  });

  test("more directories than are held at once, also after looking for many that are missing", () => {
    const { target } = open(tempDir());
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 200; i++) {
        expect(target.lookup(`/x/d${i}/missing/deep/f`)).toBeNull();
        target.writeFile(`/x/d${i}/f${round}`, Buffer.from(`${i}`), meta());
      }
    }
    expect(contentOf(target, "/x/d7/f1")).toBe("7");
    expect(readdirSync("/proc/self/fd").length).toBeLessThan(150);
  });

  test("a large file in pieces, by two threads' handles, holes and all", () => {
    const dir = tempDir();
    const [one, two] = [open(dir).target, open(dir).target];
    const size = 64 << 20;
    const fds = [one.openPartial("/big", "id", size), two.openPartial("/big", "id", size)] as const;
    writeSync(fds[0], Buffer.from("start"), 0, 5, 0);
    writeSync(fds[1], Buffer.from("end"), 0, 3, size - 3);
    for (const fd of fds) closeSync(fd);
    expect(one.lookup("/big")).toBeNull();
    two.finishPartial("/big", "id", meta({ mtime: "7.000000007" }));
    expect(one.lookup("/big")).toMatchObject({ size, mtime: "7.000000007", mode: 0o644 });
    expect(one.lookup("/big")?.blocks).toBeLessThan(100);
    closeSync(one.openPartial("/other", "id", 5));
    one.removePartial("/other", "id");
    expect(readdirSync(dir)).toEqual(["big"]);
  });

  test("leftovers of a killed run are removed, and only those", () => {
    const dir = tempDir();
    const { target } = open(dir, true);
    closeSync(target.openPartial("/d/big", "id", 5));
    for (const name of [".coldkeep-0123456789abcdef.partial", ".coldkeep-fedcba9876543210.partial", ".coldkeep-x.partial", "file"]) writeFileSync(join(dir, "d", name), "");
    target.removeLeftovers("/d", (name) => name.includes("fedc"));
    expect(readdirSync(join(dir, "d")).toSorted()).toEqual([".coldkeep-fedcba9876543210.partial", ".coldkeep-x.partial", "file"]);
  });

  test.runIf(isRoot)("as root: owners, setuid bits, ACLs, capabilities, devices", () => {
    const dir = tempDir();
    const xattrs = [{ name: "security.capability", value: netRawCapability }, { name: "system.posix_acl_access", value: posixAcl(12_345) }];
    const { target, losses } = open(dir);
    const recorded = meta({ mode: 0o6775, uid: 1234, gid: 5678, xattrs });
    target.writeFile("/file", Buffer.from("x"), recorded);
    target.makeDirectory("/dir");
    target.applyDirectoryMeta("/dir", meta({ mode: 0o2770, uid: 1234, gid: 5678 }));
    target.makeSymlink("/link", "x", meta({ uid: 1234, gid: 5678 }));
    expect(target.makeNode("/null", "char", "1:3", meta({ mode: 0o666, uid: 1234 }))).toBe(true);
    expect(target.makeNode("/disk", "block", "259:300000", meta({ mode: 0o660 }))).toBe(true);
    expect(target.lookup("/file")).toMatchObject({ mode: 0o6775, uid: 1234, gid: 5678 });
    expect(readXattrs(join(dir, "file")).xattrs.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual(xattrs);
    expect(target.lookup("/dir")).toMatchObject({ mode: 0o2770, uid: 1234, gid: 5678 });
    expect(target.lookup("/link")).toMatchObject({ uid: 1234, gid: 5678 });
    expect(target.lookup("/null")).toMatchObject({ type: "char", rdev: "1:3", mode: 0o666, uid: 1234 });
    expect(target.lookup("/disk")).toMatchObject({ type: "block", rdev: "259:300000", mode: 0o660 });
    expect(losses.list()).toEqual([]);
  });

  test("as another user: what may not be given is counted, and setuid bits go with the owner", () => {
    const dir = tempDir(isRoot ? 65_534 : undefined);
    const done = spawnSync(process.execPath, [...process.execArgv, join(import.meta.dirname, "restore-as-user.ts"), dir], { encoding: "utf8" });
    expect(done.stderr).toBe("");
    expect(JSON.parse(done.stdout)).toEqual({
      losses: {
        group: ["/own/foreign"], owner: ["/own/foreign"], "setuid and setgid bits": ["/own/foreign"], "device node": ["/own/null"], "extended attributes": ["/own/trusted"],
      },
      modes: { "/own/foreign": 0o755, "/own/mine": 0o4755 },
      // The directory was made read-only, as by a run killed after it: its owner goes on all the same.
      resumed: "again",
      note: "kept",
    });
  });
});

describe("what is refused", () => {
  test.each(["", "etc/x", "/", "/a/../b", "/..", "/a//b", "/a/", "/./a", "/a\0b", `/${"é".repeat(128)}`, "/a\ud800"])("the path %j", (path) => {
    const dir = tempDir();
    const { target } = open(dir, true);
    expect(() => target.writeFile(path, Buffer.from("x"), meta())).toThrow();
    expect(() => target.makeSymlink(path, "x", meta())).toThrow();
    expect(() => target.makeHardLink("/hard", path)).toThrow();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("a target that is not empty, unless merging", () => {
    const dir = tempDir();
    prepareTarget(join(dir, "new"), false);
    expect(statSync(join(dir, "new")).mode & 0o7777).toBe(0o700);
    prepareTarget(join(dir, "new"), false);
    mkdirSync(join(dir, "new/lost+found"));
    prepareTarget(join(dir, "new"), false);
    expect(() => prepareTarget(dir, false)).toThrow(expect.objectContaining({ code: "E_REFUSED" }));
    prepareTarget(dir, true);
    expect(() => prepareTarget(join(dir, "no/parent"), true)).toThrow(expect.objectContaining({ code: "E_DISK" }));
  });

  test("without merge, anything that is there already", () => {
    const dir = tempDir();
    const { target } = open(dir);
    target.writeFile("/a", Buffer.from("one"), meta());
    expect(() => target.writeFile("/a", Buffer.from("two"), meta())).toThrow(/exists already/);
    expect(() => target.makeSymlink("/a", "x", meta())).toThrow(/exists already/);
    expect(() => target.makeDirectory("/a")).toThrow(/not a directory/);
    expect(() => target.writeFile("/a/b", Buffer.from("two"), meta())).toThrow(/not a directory/);
    expect([readFileSync(join(dir, "a"), "utf8"), readdirSync(dir)]).toEqual(["one", ["a"]]);
  });

  test("hard links to links, directories and what is missing", () => {
    const { target } = open(tempDir());
    target.makeSymlink("/link", "/etc/passwd", meta());
    target.makeDirectory("/dir");
    for (const existing of ["/link", "/dir", "/gone", "/link/x", "/gone/x"]) expect(() => target.makeHardLink("/hard", existing)).toThrow(/cannot link/);
    expect(target.lookup("/hard")).toBeNull();
  });

  test("a partial file that has another name outside", () => {
    const [dir, outside] = [tempDir(), join(tempDir(), "outside")];
    const { target } = open(dir, true);
    closeSync(target.openPartial("/big", "id", 5));
    const [name = ""] = readdirSync(dir);
    writeFileSync(outside, "untouched");
    target.removePartial("/big", "id");
    linkSync(outside, join(dir, name));
    expect(() => target.openPartial("/big", "id", 5)).toThrow(expect.objectContaining({ code: "E_REFUSED" }));
    target.removePartial("/big", "id");
    symlinkSync(outside, join(dir, name));
    expect(() => target.openPartial("/big", "id", 5)).toThrow(/ELOOP/);
    expect(readFileSync(outside, "utf8")).toBe("untouched");
  });
});

describe("links planted in the target", () => {
  /** A directory whose content must never change, and a target in which links to it stand in all places. */
  function planted(): { dir: string; outside: string } {
    const outside = mkdtempSync(join(tempDir(), "outside-"));
    writeFileSync(join(outside, "file"), "untouched");
    const dir = tempDir();
    symlinkSync(outside, join(dir, "parent"));
    symlinkSync(join(outside, "file"), join(dir, "file"));
    return { dir, outside };
  }

  function untouched(outside: string): void {
    expect([readdirSync(outside), readFileSync(join(outside, "file"), "utf8"), statSync(outside).mode & 0o777]).toEqual([["file"], "untouched", 0o700]);
  }

  test("are an error without merge", () => {
    const { dir, outside } = planted();
    const { target } = open(dir);
    for (const act of [
      (): unknown => target.writeFile("/parent/x", Buffer.from("x"), meta()),
      (): unknown => target.writeFile("/file", Buffer.from("x"), meta()),
      (): unknown => target.makeDirectory("/parent"),
      (): unknown => target.applyDirectoryMeta("/parent", meta({ mode: 0o777 })),
      (): unknown => target.openPartial("/parent/x", "id", 1),
      (): unknown => target.makeHardLink("/hard", "/parent/file"),
    ]) expect(act).toThrow();
    expect([target.lookup("/parent/file"), target.readBack("/parent/file"), target.readBack("/file"), target.lookup("/file")?.type]).toEqual([null, null, null, "symlink"]);
    expect(target.applyFileMeta("/file", meta())).toBe(false);
    untouched(outside);
  });

  test("give way to what the archive has when merging", () => {
    const { dir, outside } = planted();
    const { target } = open(dir, true);
    target.writeFile("/parent/file", Buffer.from("new"), meta());
    target.writeFile("/file", Buffer.from("new"), meta());
    target.applyDirectoryMeta("/parent", meta({ mode: 0o777 }));
    expect([contentOf(target, "/parent/file"), contentOf(target, "/file"), target.lookup("/parent")?.type]).toEqual(["new", "new", "dir"]);
    untouched(outside);
  });

  test("a directory swapped for a link while it is held is not left through it", () => {
    const { dir, outside } = planted();
    const { target } = open(dir);
    target.writeFile("/held/one", Buffer.from("1"), meta());
    renameSync(join(dir, "held"), join(dir, "moved"));
    symlinkSync(outside, join(dir, "held"));
    target.writeFile("/held/two", Buffer.from("2"), meta());
    expect(readdirSync(join(dir, "moved")).toSorted()).toEqual(["one", "two"]);
    untouched(outside);
  });
});

describe("merge", () => {
  test("replaces other kinds, but no directory that holds something, and drops attributes nobody recorded", () => {
    const dir = tempDir();
    const { target } = open(dir, true);
    mkdirSync(join(dir, "empty"));
    mkdirSync(join(dir, "full"));
    writeFileSync(join(dir, "full/x"), "kept");
    writeFileSync(join(dir, "file"), "");
    libc?.setXattr(dir, "system.posix_acl_default", posixAcl(12_345));
    mkdirSync(join(dir, "inherits"));
    expect(readXattrs(join(dir, "inherits")).xattrs).toHaveLength(2);
    target.makeDirectory("/empty/below");
    target.makeDirectory("/gone");
    target.writeFile("/gone", Buffer.from("now a file"), meta());
    expect(() => target.writeFile("/empty", Buffer.from("x"), meta())).toThrow(/not empty/);
    expect(() => target.makeSymlink("/full", "x", meta())).toThrow(/not empty/);
    target.makeDirectory("/file");
    target.writeFile("/plain", Buffer.from("x"), meta());
    target.makeHardLink("/linked", "/plain");
    target.makeHardLink("/linked", "/plain");
    target.makeHardLink("/gone", "/plain");
    target.applyDirectoryMeta("/full", meta({ mode: 0o755 }));
    expect([target.lookup("/file")?.type, target.lookup("/plain")?.nlink, readFileSync(join(dir, "full/x"), "utf8")]).toEqual(["dir", 3, "kept"]);
    expect(readXattrs(join(dir, "plain")).xattrs).toEqual([]);
    expect(readdirSync(dir).toSorted()).toEqual(["empty", "file", "full", "gone", "inherits", "linked", "plain"]);
  });

  test("right bytes under wrong metadata are put right in place", () => {
    const { target } = open(tempDir(), true);
    target.writeFile("/a", Buffer.from("same"), meta());
    const { ino } = target.lookup("/a") ?? {};
    expect(target.applyFileMeta("/a", meta({ mode: 0o600, mtime: "1.000000001" }))).toBe(true);
    expect(target.lookup("/a")).toMatchObject({ ino, mode: 0o600, mtime: "1.000000001" });
  });
});

test("losses are counted, not collected", () => {
  const losses = new Losses();
  for (let i = 0; i < 100; i++) losses.add(`/${i}`, "owner");
  const sum = new Losses();
  for (let i = 0; i < 2; i++) sum.merge(losses.list());
  expect(sum.list()).toMatchObject([{ what: "owner", count: 200 }]);
  expect(sum.list()[0]?.examples).toHaveLength(20);
});
