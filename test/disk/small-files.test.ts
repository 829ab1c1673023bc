import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createFileExclusive, writeFileDurable } from "../../src/disk/atomic-write.ts";
import { freeSpace } from "../../src/disk/free-space.ts";
import { Owners } from "../../src/disk/owners.ts";
import { tempDir } from "../support/temp-dir.ts";

describe("durable files", () => {
  test("replace what was there, with the mode given, and leave nothing else behind", () => {
    const dir = tempDir();
    const path = join(dir, "file");
    writeFileDurable(path, Buffer.from("one"), 0o640);
    writeFileDurable(path, Buffer.from("two"), 0o600);
    expect(readFileSync(path, "utf8")).toBe("two");
    expect(statSync(path).mode & 0o7777).toBe(0o600);
    mkdirSync(join(dir, "taken"));
    expect(() => writeFileDurable(join(dir, "taken"), Buffer.from("x"), 0o600)).toThrow(/EISDIR/);
    expect(readdirSync(dir).toSorted()).toEqual(["file", "taken"]);
  });

  test("exclusive ones never follow or replace", () => {
    const dir = tempDir();
    createFileExclusive(join(dir, "new"), Buffer.from("one"), 0o644);
    symlinkSync("elsewhere", join(dir, "dangling"));
    for (const name of ["new", "dangling"]) expect(() => createFileExclusive(join(dir, name), Buffer.from("two"), 0o600)).toThrow(/EEXIST/);
    expect(readFileSync(join(dir, "new"), "utf8")).toBe("one");
    expect(statSync(join(dir, "new")).mode & 0o777).toBe(0o644);
    expect(readdirSync(dir).toSorted()).toEqual(["dangling", "new"]);
  });
});

test("owners are looked up both ways, the first line of a name or number counting", () => {
  const root = tempDir();
  mkdirSync(join(root, "etc"));
  const lines = ["root:x:0:0::/root:/bin/sh", "toor:x:0:0::/:", "web:x:33:33::/:", "web:x:34:34::/:", "odd\xff:x:50:50::/:", "bad:x:-1:0::/:", "+::::::", ""];
  writeFileSync(join(root, "etc/passwd"), lines.join("\n"), "latin1");
  const owners = new Owners(root);
  expect([owners.userName(0), owners.uidOf("toor"), owners.uidOf("web"), owners.userName(34), owners.userName(50)]).toEqual(["root", 0, 33, "web", "odd\udcff"]);
  expect([owners.uidOf("odd\udcff"), owners.uidOf("bad"), owners.userName(99), owners.groupName(0)]).toEqual([50, undefined, undefined, undefined]);
  writeFileSync(join(root, "etc/group"), "wheel:x:0:root\n");
  owners.reload();
  expect([owners.groupName(0), owners.gidOf("wheel")]).toEqual(["wheel", 0]);
});

test("free space is what the file system says", () => {
  const { bytes, inodes } = freeSpace("/proc");
  expect([bytes, inodes]).toEqual([0, undefined]);
  expect(freeSpace(tempDir()).bytes).toBeGreaterThan(0);
});
