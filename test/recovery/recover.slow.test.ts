/** `recover.sh` against regions that make-region.ts wrote: a second writer, a second reader, no code of the program. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync,
  symlinkSync, writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readRecoveryFiles } from "../../src/recovery/recovery-files.ts";
import { addArchive, type Archive, type ArchiveOptions, createVault, type Item, type Line, newId, type Vault } from "./make-region.ts";
import { expectedTree, noise, oddTree, seenTree } from "./tree.ts";

const onPath = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));

vi.setConfig({ testTimeout: 240_000 });
const shells = [["sh"], ...(onPath("dash") ? [["dash"]] : []), ...(onPath("busybox") ? [["busybox", "sh"]] : [])];
const root = process.getuid?.() === 0;
const work = mkdtempSync(join(tmpdir(), "recover-test-"));
let counter = 0;

afterAll(() => {
  execFileSync("chmod", ["-R", "u+rwX", work]);
  rmSync(work, { recursive: true, force: true });
});

function newVault(hosts?: string[]): Vault {
  const folder = join(work, `vault${counter++}`);
  mkdirSync(folder);
  const vault = createVault(folder, hosts);
  for (const { key, bytes } of readRecoveryFiles()) writeFileSync(join(vault.region, key), bytes);
  return vault;
}

type Run = { status: number | null; said: string; target: string; report: string };

type RunOptions = { args?: string[]; shell?: string[]; kit?: string; target?: string; path?: string };

/** Runs the script of the region, and checks that it left no scratch behind. */
function recover(vault: Vault, options: RunOptions = {}): Run {
  const target = options.target ?? join(work, `target${counter++}`);
  const scratch = join(work, `scratch${counter++}`);
  mkdirSync(scratch);
  const [shell = "sh", ...applet] = options.shell ?? ["sh"];
  const args = [...applet, "recover.sh", ...(options.args ?? []), "--scratch", scratch, options.kit ?? vault.kit, target];
  const shellPath = execFileSync("sh", ["-c", `command -v ${shell}`], { encoding: "utf8" }).trim();
  const env = { ...process.env, PATH: options.path ?? process.env["PATH"] };
  const { status, stderr } = spawnSync(shellPath, args, { cwd: vault.region, env, encoding: "utf8" });
  expect(readdirSync(scratch)).toEqual([]);
  const file = `${target}.not-restored.txt`;
  return { status, said: stderr, target, report: existsSync(file) ? readFileSync(file, "utf8") : "" };
}

const keysOf = (items: Item[]): Set<string> => new Set(items.map((item) => Buffer.from(item.path).toString("latin1")));

function flipByte(file: string): void {
  const bytes = readFileSync(file);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

describe("a whole archive", () => {
  const items = oddTree();
  const vault = newVault();
  let archive: Archive;

  beforeAll(() => {
    archive = addArchive(vault, items, { frameSize: 65_536, framesPerVolume: 3, linesPerSegment: 3 });
  });

  test.each(shells)("comes back exactly as it was, by %s %s", (...shell) => {
    const run = recover(vault, { shell });
    expect(run).toMatchObject({ status: 0, report: "" });
    expect(run.said).toMatch(/needs up to \d+ MiB of scratch space/);
    expect(seenTree(run.target, keysOf(items))).toEqual(expectedTree(items, ["/no", "/no/parent", "/no/parent/of", "/no/parent/of/this"]));
    expect(statSync(join(run.target, "srv/all hole")).blocks).toBe(0);
    expect(statSync(join(run.target, "srv/sparse")).blocks * 512).toBeLessThan(500_000);
  });

  test("its volumes are what age, zstd and tar read", () => {
    const listed = archive.volumes.flatMap((volume) => execFileSync("sh", [
      "-c", 'age -d -i "$1" "$2" | zstd -dc | tar -tf - 2>/dev/null', "sh", vault.kit, join(vault.region, volume),
    ], { encoding: "utf8" }).trim().split("\n"));
    expect(listed).toEqual(expect.arrayContaining(["etc/motd", "etc/-rf", "chunks/0"]));
    expect(archive.volumes.length).toBeGreaterThan(2);
    expect(archive.catalogs.length).toBe(2);
  });

  test("runs from elsewhere, by the folder the script lies in", () => {
    const target = join(work, `target${counter++}`);
    execFileSync("sh", [join(vault.region, "recover.sh"), vault.kit, target], { cwd: work, stdio: "ignore" });
    expect(readFileSync(join(target, "etc/motd"), "utf8")).toBe("welcome\n");
  });

  test.runIf(root)("by an ordinary user comes back without owners and setuid bits, and says so", () => {
    const open = join(work, `open${counter++}`);
    mkdirSync(open);
    chmodSync(open, 0o777);
    chmodSync(work, 0o711);
    const kit = join(open, "kit");
    copyFileSync(vault.kit, kit);
    chmodSync(kit, 0o644);
    execFileSync("chmod", ["-R", "go+rX", vault.region]);
    chmodSync(join(vault.region, ".."), 0o711);
    const { status } = spawnSync("sh", ["recover.sh", "--scratch", open, kit, join(open, "out")], { cwd: vault.region, uid: 65534, gid: 65534 });
    const report = readFileSync(join(open, "out.not-restored.txt"), "utf8");
    expect(status).toBe(3);
    expect(report).toContain("*\towners: only root can set them");
    expect(report).toContain("/etc/sudo\tmode 6755, without setuid and setgid");
    expect(report).toContain("/srv/null\tlost: c 1 could not be made");
    expect(lstatSync(join(open, "out/etc/sudo")).mode & 0o7777).toBe(0o755);
    expect(lstatSync(join(open, "out/locked")).mode & 0o7777).toBe(0o500);
  });

  test("xattrs are listed by name, with status 3", () => {
    const other = newVault();
    addArchive(other, [{ path: "/ping", type: "file", content: noise(9, 1), xattrs: [{ name: "security.capability", value: "x" }] }]);
    const run = recover(other);
    expect(run.status).toBe(3);
    expect(run.report).toBe("/ping\textended attributes (also ACLs, capabilities) not set: security.capability\n");
    expect(readFileSync(join(run.target, "ping"))).toEqual(noise(9, 1));
  });

  test("a path too long for the system is listed, the rest restored", () => {
    const other = newVault();
    const long = `/d${`/${"x".repeat(200)}`.repeat(25)}`;
    addArchive(other, [{ path: `${long}/f`, type: "file", content: noise(9, 1) }, { path: "/e", type: "file", content: noise(9, 2) }]);
    const run = recover(other);
    expect(run.status).toBe(3);
    expect(run.report).toContain(`${long}/f\tlost: it could not be put there`);
    expect(readFileSync(join(run.target, "e"))).toEqual(noise(9, 2));
  });
});

describe("damage", () => {
  const items: Item[] = [
    { path: "/a", type: "file", content: noise(40_000, 1) },
    { path: "/b", type: "file", content: noise(40_000, 2) },
    { path: "/b-hard", type: "file", hardlink: "/b" },
    { path: "/c", type: "file", content: noise(40_000, 3) },
    { path: "/d", type: "file", parts: { size: 60_000, data: [{ at: 0, bytes: noise(60_000, 4) }] } },
  ];
  const store = (): { vault: Vault; archive: Archive } => {
    const vault = newVault();
    return { vault, archive: addArchive(vault, items, { frameSize: 41_500, framesPerVolume: 1 }) };
  };

  test.each(["flipped", "missing"])("a %s volume stops it before anything is written, or costs its files alone", (how) => {
    const { vault, archive } = store();
    const bad = archive.volumes[1] ?? "";
    if (how === "flipped") flipByte(join(vault.region, bad));
    else rmSync(join(vault.region, bad));
    const stopped = recover(vault);
    expect(stopped.status).toBe(1);
    expect(stopped.said).toContain(`missing or damaged: ${bad}`);
    expect(readdirSync(stopped.target)).toEqual([]);

    for (const shell of shells) {
      const run = recover(vault, { args: ["--keep-going"], shell });
      expect(run.status).toBe(3);
      expect(readdirSync(run.target)).toEqual(["a", "c", "d"]);
      expect(run.report.split("\n").map((line) => line.split("\t")[0])).toEqual(["/b", "/b-hard", ""]);
      expect(readFileSync(join(run.target, "d"))).toEqual(noise(60_000, 4));
    }
  });

  test("a file that lacks one chunk is not put under its name", () => {
    const { vault, archive } = store();
    flipByte(join(vault.region, archive.volumes.at(-1) ?? ""));
    const run = recover(vault, { args: ["--keep-going"] });
    expect(run.status).toBe(3);
    expect(readdirSync(run.target)).toEqual(["a", "b", "b-hard", "c"]);
    expect(run.report).toMatch(/^\/d\tlost: volume .* is missing or damaged\n$/);
  });

  test("a damaged catalog object stops it", () => {
    const { vault, archive } = store();
    flipByte(join(vault.region, archive.catalogs[0] ?? ""));
    expect(recover(vault)).toMatchObject({ status: 1 });
    expect(recover(vault, { args: ["--keep-going"] })).toMatchObject({ status: 1 });
  });

  test("bytes that do not have the catalog's digest are never put under a name", () => {
    const vault = newVault();
    const wrong = (line: Line): Line => (line["path"] === "/a" ? { ...line, sha256: "0".repeat(64) } : line);
    addArchive(vault, items, { alter: (lines) => lines.map(wrong) });
    const run = recover(vault);
    expect(run.status).toBe(3);
    expect(readdirSync(run.target)).toEqual(["b", "b-hard", "c", "d"]);
    expect(run.report).toContain("/a\tlost: its bytes do not have the digest");
  });
});

describe("whom it believes", () => {
  const file: Item = { path: "/f", type: "file", content: Buffer.from("first") };
  const stranger = generateKeyPairSync("ed25519").privateKey;

  test("takes the newest complete archive, and names a partial one it passes over", () => {
    const vault = newVault();
    addArchive(vault, [file]);
    addArchive(vault, [{ ...file, content: Buffer.from("second") }]);
    const partial = addArchive(vault, [{ ...file, content: Buffer.from("third") }], { status: "partial" });
    const run = recover(vault);
    expect(readFileSync(join(run.target, "f"), "utf8")).toBe("second");
    expect(run.said).toContain(`${partial.id} is partial`);
    const named = recover(vault, { args: ["--archive", partial.id] });
    expect(readFileSync(join(named.target, "f"), "utf8")).toBe("third");
  });

  test("an unknown signer's newer archive is refused, unless an older one is named", () => {
    const vault = newVault();
    const good = addArchive(vault, [file]);
    const forged = addArchive(vault, [file], { signer: stranger });
    const run = recover(vault);
    expect(run).toMatchObject({ status: 5 });
    expect(run.said).toContain(`${forged.id}: unknown signer`);
    expect(existsSync(run.target)).toBe(false);
    expect(recover(vault, { args: ["--archive", forged.id] }).status).toBe(5);
    const older = recover(vault, { args: ["--archive", good.id] });
    expect(older.status).toBe(0);
    expect(older.said).toContain(`${forged.id}: unknown signer`);
  });

  test("a changed header is a bad signature; a changed object list is damage", () => {
    const vault = newVault();
    const { manifest } = addArchive(vault, [file]);
    const path = join(vault.region, manifest);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"make-region"', '"make-regiom"'));
    expect(recover(vault).said).toContain("bad signature");
    writeFileSync(path, text.replace(/("kind":"volume","size":)(\d)/, "$19"));
    expect(recover(vault)).toMatchObject({ status: 1 });
  });

  test("a manifest under another id, host or vault is refused although its signature is right", () => {
    const vault = newVault(["web1", "web2"]);
    const { manifest } = addArchive(vault, [file]);
    mkdirSync(join(vault.region, "hosts/web2/archives"), { recursive: true });
    copyFileSync(join(vault.region, manifest), join(vault.region, `hosts/web1/archives/${newId()}.manifest`));
    expect(recover(vault, { args: ["--host", "web1"] }).said).toContain("under the name of another host or archive");
    copyFileSync(join(vault.region, manifest), join(vault.region, manifest.replace("web1", "web2")));
    expect(recover(vault, { args: ["--host", "web2"] }).status).toBe(5);
    const kit = join(work, `kit${counter++}`);
    writeFileSync(kit, readFileSync(vault.kit, "utf8").replace(/vault: .*/, `vault: ${"0".repeat(32)}`));
    expect(recover(vault, { kit, args: ["--host", "web1"] }).said).toContain("another vault");
  });

  test("several hosts need --host, and each has its own signers", () => {
    const vault = newVault(["web1", "web.2"]);
    addArchive(vault, [file], { host: "web1" });
    addArchive(vault, [{ ...file, content: Buffer.from("two") }], { host: "web.2" });
    expect(recover(vault)).toMatchObject({ status: 2 });
    expect(readFileSync(join(recover(vault, { args: ["--host", "web.2"] }).target, "f"), "utf8")).toBe("two");
    const web1 = vault.signers.get("web1");
    addArchive(vault, [file], { host: "web.2", ...(web1 ? { signer: web1 } : {}) });
    expect(recover(vault, { args: ["--host", "web.2"] }).status).toBe(5);
  });

  test("without openssl it stops, unless --unsigned; then no setuid bit is set", () => {
    const vault = newVault();
    addArchive(vault, [{ ...file, mode: "4755" }]);
    const path = join(work, `bin${counter++}`);
    mkdirSync(path);
    for (const program of execFileSync("sh", ["-c", "ls /usr/bin /bin /usr/local/bin"], { encoding: "utf8" }).split("\n")) {
      if (program === "openssl" || existsSync(join(path, program))) continue;
      const folder = ["/usr/bin", "/bin", "/usr/local/bin"].find((each) => existsSync(join(each, program)));
      if (folder && !program.endsWith(":")) symlinkSync(join(folder, program), join(path, program));
    }
    const stopped = recover(vault, { path });
    expect(stopped).toMatchObject({ status: 5 });
    expect(stopped.said).toContain("openssl is missing");
    const run = recover(vault, { path, args: ["--unsigned"] });
    expect(run).toMatchObject({ status: 3 });
    expect(lstatSync(join(run.target, "f")).mode & 0o7777).toBe(0o755);
  });

  test("another's kit, no kit, and a target with something in it are refused", () => {
    const vault = newVault();
    addArchive(vault, [file]);
    const other = newVault();
    const kit = join(work, `kit${counter++}`);
    const key = /AGE-SECRET-KEY-\S+/;
    writeFileSync(kit, readFileSync(vault.kit, "utf8").replace(key, key.exec(readFileSync(other.kit, "utf8"))?.[0] ?? ""));
    const wrong = recover(vault, { kit });
    expect(wrong).toMatchObject({ status: 1 });
    expect(wrong.said).toContain("the kit does not open");
    expect(recover(vault, { kit: join(work, "none") })).toMatchObject({ status: 2 });
    const target = join(work, `full${counter++}`);
    mkdirSync(target);
    writeFileSync(join(target, "mine"), "");
    expect(recover(vault, { target })).toMatchObject({ status: 5 });
    expect(readdirSync(target)).toEqual(["mine"]);
  });
});

describe("hostile catalogs, rightly signed", () => {
  const outside = join(work, "outside");
  const dir = (path: string): Item => ({ path, type: "dir" });
  const file = (path: string): Item => ({ path, type: "file", content: Buffer.from("evil") });
  const link = (path: string, target: string): Item => ({ path, type: "symlink", target });
  const renamed = (fields: Line): ArchiveOptions => ({
    alter: (lines) => lines.map((line) => {
      if (line["path"] !== "/x") return line;
      return { ...Object.fromEntries(Object.entries(line).filter(([name]) => name !== "path")), ...fields };
    }),
  });
  const cases: [string, Item[], ArchiveOptions][] = [
    ["..", [file("/x")], renamed({ path: "/../outside/x" })],
    [".. hidden in escapes", [file("/x")], renamed({ pathRaw: "/\\0056\\0056\\0057outside/x" })],
    [".. at the end", [dir("/x")], renamed({ path: "/a/.." })],
    ["an empty component", [file("/x")], renamed({ path: "//x" })],
    ["an ending slash", [file("/x")], renamed({ path: "/x/" })],
    ["no leading slash", [file("/x")], renamed({ path: "x" })],
    ["an escape printf alone understands", [file("/x")], renamed({ pathRaw: "/x\\c" })],
    ["a NUL", [file("/x")], renamed({ path: "/x\0y" })],
    ["a NUL in escapes", [file("/x")], renamed({ pathRaw: "/x\\0000y" })],
    ["a component of 256 bytes", [file("/x")], renamed({ path: `/${"é".repeat(128)}` })],
    ["a file below a symlink", [link("/l", outside), file("/l/x")], {}],
    ["a file below a file", [file("/l"), file("/l/x")], {}],
    ["a symlink that takes a directory's name", [dir("/d"), file("/d/f"), file("/x")],
      { alter: (lines) => lines.map((line) => (line["path"] === "/x" ? { ...line, path: "/d", type: "symlink", target: outside } : line)) }],
    ["the root as a symlink", [file("/x")], renamed({ path: "/", type: "symlink", target: outside })],
    ["a hard link to what is no entry", [{ path: "/x", type: "file", hardlink: "/etc/passwd" }], {}],
    ["a hard link through a symlink", [link("/l", outside), { path: "/x", type: "symlink", hardlink: "/l/secret" }], {}],
    ["a hard link with ..", [{ path: "/x", type: "file", hardlink: "/../outside/secret" }], {}],
    ["bytes without an entry", [file("/x")], { alter: (lines) => [...lines, { path: "/y", at: 0, extents: [{ zero: 1 }] }] }],
    ["bytes past the end", [{ path: "/x", type: "file", parts: { size: 9, data: [] } }],
      { alter: (lines) => [...lines, { path: "/x", at: 0, extents: [{ zero: 10 }] }] }],
    ["an object that is not listed", [file("/x")], renamed({ path: "/x", extents: [{ volume: newId(), frame: [0, 9], offset: 0, length: 4 }] })],
    ["a mode that is none", [file("/x")], renamed({ path: "/x", mode: "u+s" })],
    ["a time that is none", [file("/x")], renamed({ path: "/x", mtime: "now" })],
    ["an owner that is none", [file("/x")], renamed({ path: "/x", uid: "root" })],
    ["a device that is none", [file("/x")], renamed({ path: "/x", type: "char", rdev: "1:3 x" })],
    ["a type that is none", [file("/x")], renamed({ path: "/x", type: "socket" })],
  ];

  test.each(cases)("%s: nothing is written", (_name, items, options) => {
    mkdirSync(outside, { recursive: true });
    writeFileSync(join(outside, "secret"), "kept");
    const vault = newVault();
    addArchive(vault, items, options);
    const run = recover(vault);
    expect(run).toMatchObject({ status: 1 });
    expect(run.said).toContain("catalog");
    expect(readdirSync(run.target)).toEqual([]);
    expect(readdirSync(outside)).toEqual(["secret"]);
    expect(lstatSync(join(outside, "secret")).nlink).toBe(1);
  });
});

test("when stopped by a signal it clears its plaintext away", async () => {
  const vault = newVault();
  addArchive(vault, Array.from({ length: 3000 }, (_, n): Item => ({ path: `/f${n}`, type: "file", content: noise(64, n) })), { linesPerSegment: 1000 });
  const scratch = join(work, `scratch${counter++}`);
  const target = join(work, `target${counter++}`);
  mkdirSync(scratch);
  const child = spawn("sh", ["recover.sh", "--scratch", scratch, vault.kit, target], { cwd: vault.region, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  const closed = once(child, "close");
  for await (const text of child.stderr) {
    said += String(text);
    if (String(text).includes("volume 1")) child.kill("SIGTERM");
  }
  expect(await closed).toEqual([130, null]);
  expect(said).toContain("is not complete");
  expect(readdirSync(scratch)).toEqual([]);
  expect(readdirSync(target).filter((name) => name.startsWith("."))).toEqual([]);
});

test("the script passes shellcheck", { skip: !onPath("shellcheck") }, () => {
  execFileSync("shellcheck", [join(import.meta.dirname, "../../src/recovery/recover.sh")]);
});
