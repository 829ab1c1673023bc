/** What is archived comes back: every kind of member, every boundary of sizes, and random trees under random changes. */
import { spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, closeSync, constants, linkSync, lstatSync, lutimesSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemCode } from "../../src/errors.ts";
import { noise, setUpHost, TestHost } from "../support/host.ts";
import { makeTree, type ProgramOptions, type ProgramResult, tempDir, treeDigest } from "../support/program.ts";
import type { TreeMember, TreeSpec } from "../support/tree.ts";

const isRoot = process.getuid?.() === 0;
const USER = 54321;
const KIB = 1024;
const MIB = 1024 * KIB;

const bytes = (...values: number[]): Buffer => Buffer.from(values);
const everyByte = Buffer.from(Array.from({ length: 254 }, (_, i) => (i < 46 ? i + 1 : i + 2)));

/** Members any user can make for himself. */
function oddMembers(): [string | Uint8Array, TreeMember][] {
  return [
    ["plain", { type: "file", content: "plain\n", mode: 0o644, mtime: "1600000000.123456789" }],
    [bytes(0x72, 0x61, 0x77, 0xff, 0xfe, 0x80), "raw bytes in the name"],
    [Buffer.concat([bytes(0xc3, 0x28), Buffer.from("/"), bytes(0xed, 0xa0, 0x80), bytes(0xf0, 0x9f)]), "below a raw directory, nearly UTF-8"],
    [everyByte, { type: "symlink", target: everyByte }],
    ["new\nline\r\ttab", "control"],
    ["line\u2028paragraph\u2029bom\ufeff", { type: "directory", mtime: "1500000000.000000001" }],
    ["line\u2028separator link", { type: "symlink", target: "a\u2028b" }],
    ["-rf", "dash"],
    [" ", "space"],
    ["back\\slash \\0101 %s $(id) `id` '\"", "shell"],
    ["nai\u0308ve and na\u00efve", "composed"],
    ["x".repeat(255), "255 bytes"],
    [`${"\u00e9".repeat(127)}y`, { type: "directory", mode: 0o750 }],
    [Buffer.alloc(255, 0xfe), "255 raw bytes"],
    ["links/first", { type: "file", content: "shared", mtime: "1234567890.000000009" }],
    ["links/second", { type: "hardlink", target: "links/first" }],
    ["a hard link before its siblings", { type: "hardlink", target: "links/first" }],
    ["links/dangling", { type: "symlink", target: "no/such/thing", mtime: "1111111111.987654321" }],
    ["links/dangling again", { type: "hardlink", target: "links/dangling" }],
    ["links/absolute", { type: "symlink", target: "/etc/passwd" }],
    ["links/up", { type: "symlink", target: "../../../../../../tmp" }],
    ["links/self", { type: "symlink", target: "self" }],
    ["links/long", { type: "symlink", target: "t/".repeat(2000) }],
    ["pipe", { type: "fifo", mode: 0o622 }],
    ["pipe again", { type: "hardlink", target: "pipe" }],
    ["modes/none", { type: "file", content: "nobody may read this", mode: 0o000 }],
    ["modes/setuid", { type: "file", content: "#!/bin/sh\n", mode: 0o6755 }],
    ["modes/sticky", { type: "directory", mode: 0o1777 }],
    ["modes/setgid", { type: "directory", mode: 0o2750 }],
    ["modes/readonly/sub/file", { type: "file", content: "in directories without write permission", mode: 0o444 }],
    ["modes/readonly/sub", { type: "directory", mode: 0o555 }],
    ["modes/readonly", { type: "directory", mode: 0o555 }],
    ["times/before 1970", { type: "file", content: "old", mtime: "-1.250000000" }],
    ["times/long ago", { type: "file", content: "older", mtime: "-2000000000.000000001" }],
    ["times/epoch", { type: "file", content: "epoch", mtime: "0.000000000" }],
    ["times/future", { type: "file", content: "later", mtime: "4102444800.999999999" }],
    ["times", { type: "directory", mtime: "-86400.500000000" }],
    ["empty/file", { type: "file", content: "" }],
    ["empty/directory", { type: "directory" }],
    ["xattrs/file", { type: "file", content: "x", xattrs: { "user.note": "a note", "user.empty": "", "user.bytes": "0x00ff800a" } }],
    ["xattrs/directory", { type: "directory", xattrs: { "user.note": "on a directory" } }],
    ["holes/whole", { type: "file", sizeBytes: 3 * MIB }],
    ["holes/small", { type: "file", sizeBytes: 100 * KIB }],
    ["holes/behind", { type: "file", content: noise(100 * KIB, 2), sizeBytes: 20 * MIB }],
    ["same/one", { type: "file", content: noise(70_000, 3), mode: 0o600 }],
    ["same/two", { type: "file", content: noise(70_000, 3), mode: 0o644, mtime: "1.000000001" }],
    ["same/large one", { type: "file", content: noise(3 * MIB, 4) }],
    ["same/large two", { type: "file", content: noise(3 * MIB, 4) }],
  ];
}

/** Members only root can make. */
const rootMembers: [string, TreeMember][] = [
  ["root/null", { type: "device", kind: "c", major: 1, minor: 3 }],
  ["root/disk", { type: "device", kind: "b", major: 259, minor: 70_000 }],
  ["root/owner", { type: "file", content: "mine", uid: 1234, gid: 4321, mode: 0o4755 }],
  ["root/nobody", { type: "symlink", target: "x", uid: 65_534, gid: 65_534 }],
  ["root/trusted", { type: "file", content: "t", xattrs: { "trusted.note": "secret" } }],
  ["root/ping", { type: "file", content: "#!/bin/true\n", mode: 0o755 }],
  ["root/acl", { type: "directory" }],
];

/** A way of directories far beyond PATH_MAX, with a file at its end. */
function makeDeep(dir: string, levels: number): void {
  let fd = openSync(dir, constants.O_RDONLY);
  for (let i = 0; i < levels; i++) {
    const child = `/proc/self/fd/${fd}/${"d".repeat(200)}`;
    mkdirSync(child);
    const next = openSync(child, constants.O_RDONLY);
    closeSync(fd);
    fd = next;
  }
  writeFileSync(`/proc/self/fd/${fd}/bottom`, "at the bottom");
  symlinkSync("bottom", `/proc/self/fd/${fd}/link`);
  closeSync(fd);
}

/** A file with data at its second, third and last MiB only. */
function makeSparse(path: string): void {
  const fd = openSync(path, "w");
  writeSync(fd, noise(MIB, 5), 0, MIB, MIB);
  writeSync(fd, noise(4096, 6), 0, 4096, 2 * MIB + 64 * KIB);
  writeSync(fd, noise(4096, 7), 0, 4096, 40 * MIB - 4096);
  closeSync(fd);
}

function makeOddTree(dir: string, more: [string, TreeMember][] = []): void {
  makeTree(dir, [...oddMembers(), ...more]);
  mkdirSync(join(dir, "deep"));
  makeDeep(join(dir, "deep"), 25);
  makeSparse(join(dir, "holes/sparse"));
}

function run(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: "latin1", maxBuffer: 1 << 28 });
  if (done.error) throw done.error;
  return done.stdout + done.stderr;
}

/** What other programs see of the difference between two trees. rsync and getfattr cannot go below `deep`. */
function expectNoDifference(before: string, after: string): void {
  expect(treeDigest(after)).toBe(treeDigest(before));
  expect(run("rsync", "-aHAXnci", "--delete", "--modify-window=-1", "--exclude=/deep/*", `${before}/`, `${after}/`)).toBe("");
  const attributes = (dir: string): string[] => run("sh", "-c", 'cd "$1" && find . -path ./deep -prune -o -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex', "sh", dir).split("\n");
  expect(attributes(after)).toEqual(attributes(before));
  run("sync", "-f", after);
  const blocks = (dir: string): string => run("sh", "-c", 'cd "$1" && stat -c "%n %b" holes/*', "sh", dir);
  expect(blocks(after)).toBe(blocks(before));
}

/** A host whose program runs as an ordinary user. */
class UserHost extends TestHost {
  override run(args: string[], options: ProgramOptions = {}): Promise<ProgramResult> {
    return super.run(args, { uid: USER, ...options });
  }

  giveAll(): void {
    run("chown", "-Rh", `${USER}:${USER}`, this.dir);
  }
}

describe("a tree of odd members", () => {
  test("as root, from each region", async () => {
    const host = await setUpHost({ tree: {} });
    makeOddTree(host.source, isRoot ? rootMembers : []);
    if (isRoot) {
      run("setcap", "cap_net_raw+ep", join(host.source, "root/ping"));
      run("setfacl", "-m", "u:1234:rwx,g:99:r-x", "-d", "-m", "u:1234:rwx", join(host.source, "root/acl"));
      writeFileSync(join(host.source, "root/acl/inherits"), "an ACL nobody set");
    }
    const backup = await host.backup();
    expect(backup.document).toMatchObject({ status: "complete", problems: [] });
    for (const region of ["a", "b"]) expectNoDifference(host.source, await host.restored("--region", region));
  });

  test.runIf(isRoot)("as an ordinary user: everything he owns; what is another's comes without owner and setuid bits, and is named", async () => {
    const host = new UserHost({ dir: tempDir(USER), tree: {} });
    makeOddTree(host.source);
    // Without the right to read it, a user's program cannot archive his file.
    chmodSync(join(host.source, "modes/none"), 0o400);
    host.giveAll();
    // A change of owner cleared them.
    chmodSync(join(host.source, "modes/setuid"), 0o6755);
    await host.init();
    run("chown", "-R", `${USER}:${USER}`, join(host.dir, "safe"));
    expect((await host.backup()).document).toMatchObject({ status: "complete", problems: [] });
    const out = join(tempDir(USER), "out");
    const restore = await host.run(["restore", "--json", "--kit", host.movedKit, "--to", out]);
    // The directories above the source are root's.
    expect(restore).toMatchObject({ status: 3, stderr: "" });
    expect(restore.json()).toMatchObject({ status: "partial", lost: [], notKept: expect.arrayContaining([expect.objectContaining({ what: "owner" })]) });
    expectNoDifference(host.source, out + host.source);

    const other = USER + 1;
    const kit = join(tempDir(other), "kit.txt");
    run("cp", host.movedKit, kit);
    chownSync(kit, other, other);
    run("chmod", "-R", "go+rX", join(host.dir, "regions"));
    chmodSync(host.dir, 0o755);
    const foreign = join(tempDir(other), "out");
    const taken = await host.run(["restore", "--json", "--kit", kit, "--to", foreign], { uid: other });
    expect(taken.status).toBe(3);
    const whats = taken.json<{ notKept: { what: string; examples: string[] }[] }>().notKept.map(({ what }) => what);
    expect(whats).toEqual(expect.arrayContaining(["owner", "group", "setuid and setgid bits"]));
    expect(lstatSync(join(foreign + host.source, "modes/setuid"))).toMatchObject({ uid: other, gid: other });
    expect(lstatSync(join(foreign + host.source, "modes/setuid")).mode & 0o7777).toBe(0o755);
    const bare = { omit: ["owner", "mode"] } as const;
    expect(treeDigest(foreign + host.source, { omit: [...bare.omit] })).toBe(treeDigest(host.source, { omit: [...bare.omit] }));
  });
});

test("sizes around every boundary of pieces, chunks, frames and spans", async () => {
  const edges = [512, 64 * KIB, MIB, 2 * MIB, 4 * MIB, 16 * MIB];
  const sizes = [1, 2, 1000, 5 * MIB, ...edges.flatMap((edge) => [edge - 1, edge, edge + 1])];
  const tree: TreeSpec = Object.fromEntries(sizes.map((size, i): [string, TreeMember] => [`size-${size}`, i % 2 === 0 ? noise(size, i) : Buffer.alloc(size, `line ${i}\n`)]));
  const host = await setUpHost({ tree, config: "volumeSize: 8MiB" });
  await host.backup();
  expect(host.objects("a", "volumes").length).toBeGreaterThan(2);
  expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
  // The page before, on and behind the edge of a span, and an end that moved.
  const large = join(host.source, `size-${16 * MIB + 1}`);
  const fd = openSync(large, "r+");
  writeSync(fd, noise(8192, 99), 0, 8192, 16 * MIB - 4096);
  closeSync(fd);
  truncateSync(join(host.source, `size-${16 * MIB}`), 16 * MIB - 70_000);
  await host.backup();
  expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
});

const names = ["a", "b", "c\u2028d", "\u00fc", "z\n", "-x", "Z z"];
const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const content = fc.record({ size: fc.constantFrom(0, 1, 511, 5000, 70_000, MIB - 1, MIB + 5000), seed: fc.integer({ min: 1, max: 4 }) });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("write" as const), path, content }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("append" as const), path, content }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("truncate" as const), path, size: fc.constantFrom(0, 100, MIB, 3 * MIB) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("mkdir" as const), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("symlink" as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("link" as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("rename" as const), path, to: path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), path }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("chmod" as const), path, mode: fc.constantFrom(0o600, 0o644, 0o4755, 0o700) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("touch" as const), path, seconds: fc.integer({ min: 1, max: 4_000_000_000 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function apply(root: string, action: Step): void {
  const at = join(root, action.path);
  switch (action.kind) {
    case "write":
      mkdirSync(join(at, ".."), { recursive: true });
      return isLink(at) ? undefined : writeFileSync(at, noise(action.content.size, action.content.seed));
    case "append":
      return isLink(at) ? undefined : appendFileSync(at, noise(action.content.size, action.content.seed));
    case "truncate":
      return lstatSync(at).isFile() ? truncateSync(at, action.size) : undefined;
    case "mkdir":
      mkdirSync(at, { recursive: true });
      return;
    case "symlink":
      return symlinkSync(action.to, at);
    case "link":
      return linkSync(join(root, action.to), at);
    case "rename":
      return renameSync(at, join(root, action.to));
    case "remove":
      return rmSync(at, { recursive: true });
    case "chmod":
      return isLink(at) ? undefined : chmodSync(at, action.mode);
    case "touch":
      return lutimesSync(at, action.seconds, action.seconds);
  }
}

/** A change that makes no sense in this tree is left out. Paths through links could leave the source. */
function tryApply(root: string, action: Step): void {
  const paths = "to" in action && action.kind !== "symlink" ? [action.path, action.to] : [action.path];
  for (const relative of paths) {
    const parts = relative.split("/");
    for (let i = 1; i < parts.length; i++) {
      const above = lstatSync(join(root, ...parts.slice(0, i)), { throwIfNoEntry: false });
      if (above?.isDirectory() === false) return;
      if (above === undefined) break;
    }
  }
  try {
    apply(root, action);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
  }
}

test("random trees under random changes: each archive gives back the tree of its time", async () => {
  const nights = fc.array(fc.array(step, { minLength: 3, maxLength: 25 }), { minLength: 4, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(nights, async (changes) => {
      const host = await setUpHost({ tree: {} });
      const wanted = new Map<string, string>();
      for (const night of changes) {
        for (const action of night) tryApply(host.source, action);
        const { document } = await host.backup();
        expect(document).toMatchObject({ status: "complete", problems: [] });
        wanted.set(document.archive ?? "", treeDigest(host.source));
      }
      for (const [archive, digest] of wanted) expect(treeDigest(await host.restored("--archive", archive))).toBe(digest);
    }),
    { numRuns: 2, endOnFailure: true },
  );
});
