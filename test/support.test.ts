/** The test tools themselves: a comparison that misses a difference would make every test that uses it worthless. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, lchownSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runColdkeep, startColdkeep, waitUntil } from "./support/program.ts";
import { removeTree, tempDir } from "./support/temp-dir.ts";
import { makeTree, treeDigest, type TreeSpec } from "./support/tree.ts";

const isRoot = process.getuid?.() === 0;
const hasXattrTools = spawnSync("setfattr", ["--version"]).status === 0;

const spec: TreeSpec = [
  ["docs/a % 100\n.txt", { type: "file", content: "one", mode: 0o4755, mtime: "1700000000.123456789" }],
  [Buffer.from([0x64, 0x6f, 0x63, 0x73, 0x2f, 0xff, 0x25]), { type: "file", content: "raw name", mtime: "1.000000001" }],
  ["docs/same", { type: "hardlink", target: "docs/a % 100\n.txt" }],
  ["link", { type: "symlink", target: "docs/nowhere", mtime: "1600000000.5" }],
  ["pipe", { type: "fifo", mtime: "1600000000" }],
  ["hole", { type: "file", sizeBytes: 1_000_000, mtime: "1600000000" }],
  ["docs", { type: "directory", mode: 0o2750, mtime: "1500000000.999999999" }],
  ["marked", hasXattrTools ? { type: "file", content: "x", mtime: "2", xattrs: { "user.note": "hello" } } : { type: "file", mtime: "2" }],
];

test("a listing shows every attribute, and equal trees list alike", () => {
  const [first, second] = [tempDir(), tempDir()];
  makeTree(first, spec);
  makeTree(second, spec);
  const listing = treeDigest(first, { omit: ["root"] });
  expect(treeDigest(second, { omit: ["root"] })).toBe(listing);
  expect(listing).toContain("./docs/a\\040%\\040100\\012.txt file mode=4755");
  expect(listing).toContain("mtime=1700000000123456789 size=3 sha256=7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
  expect(listing).toContain("./docs/\\377% file");
  expect(listing).toMatch(/^\.\/docs\/same .* same-as=\.\/docs\/a\\040%\\040100\\012\.txt$/m);
  expect(listing).toMatch(/^\.\/link symlink .*mtime=1600000000500000000 target=docs\/nowhere$/m);
  expect(listing).toMatch(/^\.\/docs directory mode=2750 .*mtime=1500000000999999999$/m);
  if (hasXattrTools) expect(listing).toContain("marked user.note=0x68656c6c6f");
});

const changes: [string, (dir: string) => void][] = [
  ["content of the same length", (dir) => writeFileSync(join(dir, "marked"), "y")],
  ["mode", (dir) => chmodSync(join(dir, "hole"), 0o600)],
  ["a nanosecond of time", (dir) => void spawnSync("touch", ["-d", "@1600000000.000000001", join(dir, "hole")])],
  ["time of a link", (dir) => void spawnSync("touch", ["-h", "-d", "@5", join(dir, "link")])],
  ["link target", (dir) => (unlinkSync(join(dir, "link")), symlinkSync("docs/elsewhere", join(dir, "link")))],
  ["hard link made a copy", (dir) => (unlinkSync(join(dir, "docs/same")), writeFileSync(join(dir, "docs/same"), "one"))],
  ["another hard link", (dir) => linkSync(join(dir, "marked"), join(dir, "marked-too"))],
  ["type", (dir) => (rmSync(join(dir, "pipe")), mkdirSync(join(dir, "pipe")))],
  ["name", (dir) => renameSync(join(dir, "hole"), join(dir, "Hole"))],
  ["time of the root", (dir) => utimesSync(dir, 1, 1)],
  ...(isRoot ? [["owner", (dir: string) => lchownSync(join(dir, "link"), 12, 34)] as [string, (dir: string) => void]] : []),
  ...(hasXattrTools ? [["xattr", (dir: string) => void spawnSync("setfattr", ["-x", "user.note", join(dir, "marked")])] as [string, (dir: string) => void]] : []),
];

test.each(changes)("a listing notices a change of: %s", (_, change) => {
  const dir = tempDir();
  makeTree(dir, spec);
  const before = treeDigest(dir);
  change(dir);
  expect(treeDigest(dir)).not.toBe(before);
});

test("removing a temporary directory never reaches through a mount, and copes with closed and deep directories", () => {
  const dir = tempDir();
  const outside = tempDir();
  makeTree(outside, { precious: "data" });
  makeTree(dir, { "closed/file": "x", "mount point/": { type: "directory" } });
  chmodSync(join(dir, "closed"), 0);
  const deep = spawnSync("sh", ["-c", 'for i in $(seq 60); do d=$(printf "%0200d" $i); mkdir $d && cd -P $d || exit 1; done'], { cwd: dir });
  expect(deep.status).toBe(0);
  // Where mounting is not allowed there is nothing to reach through.
  spawnSync("mount", ["--bind", outside, join(dir, "mount point")]);
  removeTree(dir);
  expect(existsSync(dir)).toBe(false);
  expect(existsSync(join(outside, "precious"))).toBe(true);
});

test("the program runs apart from this process: own HOME, no credentials of the environment, no input", async () => {
  process.env["AWS_SECRET_ACCESS_KEY"] = "leak";
  process.env["COLDKEEP_CONFIG"] = "/leak";
  const result = await runColdkeep([], { wrapper: ["sh", "-c", 'env; cat; exit 7'], env: { EXTRA: "1" } });
  expect(result.status).toBe(7);
  expect(result.stdout).toMatch(/^EXTRA=1$/m);
  expect(result.stdout).not.toMatch(/leak|AWS_|^COLDKEEP_/m);
  const home = /^HOME=(.*)$/m.exec(result.stdout)?.[1] ?? "";
  expect(home).toMatch(/coldkeep-homes-[^/]+\/home-/);
  expect(existsSync(home)).toBe(false);
  expect(() => result.json()).toThrow("not one JSON document");
});

test("a running program can be watched and killed, and one that hangs is ended", async () => {
  const running = startColdkeep([], { wrapper: ["sh", "-c", "echo ready; exec sleep 60"] });
  await waitUntil("the program says it is ready", () => running.output().stdout.includes("ready"));
  running.child.kill("SIGTERM");
  expect(await running.result).toMatchObject({ status: null, signal: "SIGTERM", stdout: "ready\n" });
  await expect(runColdkeep([], { wrapper: ["sh", "-c", "sleep 60; true"], timeoutMs: 100 })).rejects.toThrow("still running after 100 ms");
});

test("input reaches the program", async () => {
  const result = await runColdkeep([], { wrapper: ["sh", "-c", "cat"], input: '{"a":1}' });
  expect(result.json<{ a: number }>().a).toBe(1);
});
