import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { withReachablePath } from "../../src/disk/long-path.ts";
import { readMounts } from "../../src/disk/mounts.ts";
import { walk, type WalkItem, type WalkOptions } from "../../src/disk/walk.ts";
import { comparePaths } from "../../src/format/path-order.ts";
import { tempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";

const isRoot = process.geteuid?.() === 0;

function collect(sources: string[], options: Partial<WalkOptions> = {}): WalkItem[] {
  return [...walk({ sources, skip: () => false, mounts: readMounts(), excludedDirs: [], ...options })];
}

/** Kept paths below `dir`, `*` after a bare directory; all else as `kind path`. */
function brief(items: WalkItem[], dir: string): string[] {
  return items
    .filter((item) => item.path.startsWith(dir))
    .map((item) => {
      const path = item.path.slice(dir.length) || "/";
      if (item.kind === "entry") return item.bare ? `${path}*` : path;
      return `${item.kind}${item.kind === "problem" && item.source ? " of source" : ""} ${path}`;
    });
}

describe("walk", () => {
  test("keeps all names in the order of a catalog, bytes and all", () => {
    const dir = tempDir();
    const raw = Buffer.concat([Buffer.from("raw-"), Buffer.of(0xff, 0xc3)]);
    makeTree(dir, [
      ["a/x", "1"], ["a-b", "2"], ["a!", "3"], ["new\nline", "4"], [raw, "5"], ["\u{1f600}", "6"], ["\ufffd", "7"], ["\uffee", "8"],
      ["n".repeat(255), "9"], ["link", { type: "symlink", target: Buffer.of(0x2f, 0xfe) }], ["pipe", { type: "fifo" }],
    ]);
    const items = collect([dir]);
    const paths = items.map((item) => item.path);
    expect(paths).toEqual(paths.toSorted(comparePaths));
    expect(brief(items, dir)).toEqual([
      "/", "/a", "/a/x", "/a!", "/a-b", "/link", "/new\nline", `/${"n".repeat(255)}`, "/pipe", "/raw-\udcff\udcc3", "/\uffee", "/\ufffd", "/\u{1f600}",
    ]);
    expect(items.find((item) => item.path.endsWith("/link"))).toMatchObject({ target: "/\udcfe", stat: { type: "symlink" } });
    // The way down to the source is kept, without "/" itself.
    expect(paths).not.toContain("/");
    expect(paths).toContain(dirname(dir));
  });

  test("sources in each other are walked once, and none is lost where its parent is left out", () => {
    const dir = tempDir();
    makeTree(dir, { "s/a/keep/f": "", "s/a/other": "", "s/b/f": "", "s/file": "" });
    const sources = ["s", "s/a/keep", "s/b", "s/nope/x", "s/file/x", "gone"].map((path) => join(dir, path));
    const items = collect([...sources, `${dir}/s//b/`], { skip: (path) => path === join(dir, "s/a") });
    expect(brief(items, dir)).toEqual([
      "/*", "problem of source /gone", "/s", "/s/a*", "/s/a/keep", "/s/a/keep/f", "/s/b", "/s/b/f", "/s/file", "problem of source /s/file/x", "problem of source /s/nope/x",
    ]);
  });

  test("files and links as sources, parents that are links, the vault's own directories, sockets", async () => {
    const dir = tempDir();
    makeTree(dir, { "s/f": "", "s/vault/x": "", "real/d/f": "", "s/l": { type: "symlink", target: "f" }, via: { type: "symlink", target: "real" } });
    const server = createServer().listen(join(dir, "s/socket"));
    await once(server, "listening");
    const items = collect([`${dir}/s`, `${dir}/s/l`, `${dir}/via/d`, `${dir}/s/vault/x`], { excludedDirs: [`${dir}/s/vault/`] });
    server.close();
    expect(brief(items, dir)).toEqual([
      "note /via/d", "problem of source /s/vault/x", "/*", "/real*", "/real/d", "/real/d/f", "/s", "/s/f", "/s/l", "note /s/l", "socket /s/socket",
    ]);
    expect(() => collect(["relative"])).toThrow(/not an absolute path/);
  });

  test("paths beyond 4,096 bytes and a thousand levels", () => {
    const dir = tempDir();
    let path = dir;
    for (let i = 0; i < 60; i++) path += `/${"d".repeat(200)}`;
    for (let i = 0; i < 1000; i++) path += "/e";
    const names = path.slice(dir.length + 1).split("/");
    let made = dir;
    for (const name of names) {
      made += `/${name}`;
      withReachablePath(made, (reachable) => mkdirSync(reachable));
    }
    withReachablePath(`${made}/end`, (reachable) => symlinkSync("there", reachable));
    const items = collect([dir]).filter((item) => item.path.startsWith(dir));
    expect(items).toHaveLength(1 + names.length + 1);
    expect(items.at(-1)).toMatchObject({ kind: "entry", path: `${made}/end`, target: "there" });
  });

  test("an unreadable directory is named and the rest goes on", () => {
    const dir = tempDir(isRoot ? 65_534 : undefined);
    makeTree(dir, { "closed/f": "", "open/f": "" });
    spawnSync("chmod", ["0", join(dir, "closed")]);
    if (isRoot) spawnSync("chown", ["-R", "65534:65534", dir]);
    const done = spawnSync(process.execPath, [...process.execArgv, join(import.meta.dirname, "walk-as-user.ts"), dir], { encoding: "utf8" });
    expect(done.stderr).toBe("");
    const items = JSON.parse(done.stdout) as WalkItem[];
    expect(brief(items, dir)).toEqual(["/", "/closed*", "problem /closed", "/open", "/open/f"]);
    expect(items.find((item) => item.kind === "problem")).toMatchObject({ code: "EACCES" });
  });

  test.runIf(isRoot && spawnSync("unshare", ["--mount", "true"]).status === 0)("mounts below a source: temporary ones are named, bound ones kept once", () => {
    const dir = tempDir();
    makeTree(dir, { "s/data/f": "", "s/bound/": { type: "directory" }, "s/tmp/hidden": "", "s/other/": { type: "directory" }, "elsewhere/g": "" });
    const script = `cd ${dir} && mount -t tmpfs none s/tmp && touch s/tmp/t && mount --bind s/data s/bound && mount --bind elsewhere s/other && exec "$@"`;
    const node = [process.execPath, ...process.execArgv, join(import.meta.dirname, "walk-as-user.ts"), join(dir, "s"), "root"];
    const done = spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", ...node], { encoding: "utf8" });
    expect(done.stderr).toBe("");
    expect(brief(JSON.parse(done.stdout) as WalkItem[], `${dir}/s`)).toEqual([
      "/", "skipped-mount /bound", "/bound*", "/data", "/data/f", "/other", "/other/g", "skipped-mount /tmp", "/tmp*",
    ]);
  });

  test("what vanishes between listing and look is said to have vanished", () => {
    const dir = tempDir();
    makeTree(dir, { a: "", b: "", "c/f": "" });
    const items: WalkItem[] = [];
    for (const item of walk({ sources: [dir], skip: () => false, mounts: readMounts(), excludedDirs: [] })) {
      items.push(item);
      if (item.path === join(dir, "a")) {
        spawnSync("rm", ["-r", join(dir, "b"), join(dir, "c")]);
        writeFileSync(join(dir, "new"), "");
      }
    }
    expect(brief(items, dir)).toEqual(["/", "/a", "vanished /b", "vanished /c"]);
  });
});
