/** A restore that moves aside what it replaces: nothing that was there is lost. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { EntryMeta } from "../../src/disk/entry-meta.ts";
import { Losses } from "../../src/disk/losses.ts";
import { openTarget } from "../../src/disk/open-target.ts";
import type { RestoreTarget } from "../../src/disk/restore-target.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";

const META: EntryMeta = { mode: 0o644, uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, mtime: "1700000000.000000000" };

type Scene = { dir: string; target: RestoreTarget; moved: () => { path: string; movedTo: string }[] };

function scene(tree: Parameters<typeof makeTree>[1]): Scene {
  const dir = join(tempDir(), "root");
  mkdirSync(dir);
  makeTree(dir, tree);
  const log = join(dir, "../replaced.ndjson");
  const target = openTarget(dir, { merge: true, losses: new Losses(), aside: { root: dir, folder: ".aside/one", log } });
  afterUse(() => target.close());
  const moved = (): { path: string; movedTo: string }[] => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { path: string; movedTo: string }) : []);
  return { dir, target, moved };
}

test("a replaced file lies below the aside folder with its full path, and the log says so", () => {
  const { dir, target, moved } = scene({ "etc/app.conf": "mine" });
  target.writeFile("/etc/app.conf", Buffer.from("archived"), META);
  target.writeFile("/etc/new.conf", Buffer.from("new"), META);
  expect(readFileSync(join(dir, "etc/app.conf"), "utf8")).toBe("archived");
  expect(readFileSync(join(dir, ".aside/one/etc/app.conf"), "utf8")).toBe("mine");
  expect(moved()).toEqual([{ path: "/etc/app.conf", movedTo: join(dir, ".aside/one/etc/app.conf") }]);
});

test("a directory that is in the way goes with all that lies in it, and so does a link where a directory belongs", () => {
  const { dir, target } = scene({ "srv/www/deep/index.html": "page" });
  mkdirSync(join(dir, "elsewhere"));
  symlinkSync("elsewhere", join(dir, "data"));
  target.writeFile("/srv/www", Buffer.from("a file now"), META);
  target.writeFile("/data/x", Buffer.from("x"), META);
  expect(readFileSync(join(dir, ".aside/one/srv/www/deep/index.html"), "utf8")).toBe("page");
  expect(readlinkSync(join(dir, ".aside/one/data"))).toBe("elsewhere");
  expect(readdirSync(join(dir, "elsewhere"))).toEqual([]);
  expect(readFileSync(join(dir, "data/x"), "utf8")).toBe("x");
});

test("a link that says the same is nothing to keep; one that says something else is", () => {
  const { dir, target, moved } = scene({});
  symlinkSync("/usr/share/zoneinfo/UTC", join(dir, "localtime"));
  symlinkSync("/old", join(dir, "other"));
  target.makeSymlink("/localtime", "/usr/share/zoneinfo/UTC", META);
  target.makeSymlink("/other", "/new", META);
  expect(moved().map(({ path }) => path)).toEqual(["/other"]);
  expect(readlinkSync(join(dir, "other"))).toBe("/new");
});

test("the same path twice keeps both", () => {
  const { dir, target } = scene({ f: "first" });
  target.writeFile("/f", Buffer.from("second"), META);
  target.writeFile("/f", Buffer.from("third"), META);
  expect([".aside/one/f", ".aside/one/f.1"].map((name) => readFileSync(join(dir, name), "utf8"))).toEqual(["first", "second"]);
});

test.skipIf(process.geteuid?.() !== 0)("what lies on another file system stays on it", () => {
  const { dir, target } = scene({ "var/.keep": "" });
  execFileSync("mount", ["-t", "tmpfs", "tmpfs", join(dir, "var")]);
  try {
    mkdirSync(join(dir, "var/lib"));
    writeFileSync(join(dir, "var/lib/state"), "mine");
    target.writeFile("/var/lib/state", Buffer.from("archived"), META);
    expect(readFileSync(join(dir, "var/.aside/one/lib/state"), "utf8")).toBe("mine");
    expect(existsSync(join(dir, ".aside"))).toBe(false);
  } finally {
    // The target still holds directories of it.
    execFileSync("umount", ["--lazy", join(dir, "var")]);
  }
});
