/** What `restore` gives back, where to, and how it treats what lies there already. */
import { chmodSync, copyFileSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { runColdkeep, tempDir, treeDigest } from "../support/program.ts";
import { flip, leftovers, restore } from "../support/restore.ts";

const MIB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;

let host: TestHost;
let first: string;
let latest: string;
let whole: string;

beforeAll(async () => {
  host = await setUpHost({
    tree: {
      "early/first": { type: "file", content: "many names", mode: 0o640, mtime: "1500000000.000000005" },
      "early/large first": { type: "file", content: noise(3 * MIB, 1), mode: 0o604 },
      "late/second": { type: "hardlink", target: "early/first" },
      "late/third": { type: "hardlink", target: "early/first" },
      "late/large second": { type: "hardlink", target: "early/large first" },
      "early/link first": { type: "symlink", target: "first" },
      "late/link second": { type: "hardlink", target: "early/link first" },
      "early/pipe": { type: "fifo" },
      "late/pipe": { type: "hardlink", target: "early/pipe" },
      "docs/a.txt": "alpha",
      "docs/sub/b.txt": "beta",
      "docs.txt": "begins like the directory",
      "tables/large": { type: "file", content: noise(5 * MIB + 7, 2), mode: 0o600 },
      "tables/sparse": { type: "file", content: noise(1000, 3), sizeBytes: 9 * MIB },
      "link": { type: "symlink", target: "docs" },
      "empty": { type: "directory", mode: 0o711 },
    },
  });
  first = (await host.backup()).document.archive ?? "";
  writeFileSync(join(host.source, "docs/a.txt"), "alpha, changed");
  latest = (await host.backup()).document.archive ?? "";
  whole = treeDigest(host.source);
});

const inSource = (path: string): string => join(host.source, path);

describe("some paths", () => {
  test("a file, with the directories that lead there and nothing else", async () => {
    const run = await restore(host, [inSource("docs/a.txt")]);
    expect(run).toMatchObject({ status: 0, stderr: "", document: { archive: latest, status: "complete", files: 1, bytes: 14, bytesWritten: 14, lost: [], resumed: false } });
    expect(readFileSync(run.out + inSource("docs/a.txt"), "utf8")).toBe("alpha, changed");
    expect(readdirSync(run.out + host.source)).toEqual(["docs"]);
    expect(readdirSync(run.out + inSource("docs"))).toEqual(["a.txt"]);
    for (const path of ["", "docs"]) expect(statSync(run.out + inSource(path))).toMatchObject({ mode: statSync(inSource(path)).mode, mtimeMs: statSync(inSource(path)).mtimeMs });
  });

  test("a directory, also with a slash at its end, without what only begins with its name", async () => {
    const run = await restore(host, [`${inSource("docs")}/`]);
    expect(run.status).toBe(0);
    expect(readdirSync(run.out + host.source)).toEqual(["docs"]);
    expect(treeDigest(run.out + inSource("docs"))).toBe(treeDigest(inSource("docs")));
  });

  test("several at once: a large file in chunks, a symbolic link, an empty directory", async () => {
    const run = await restore(host, [inSource("tables/large"), inSource("link"), inSource("empty")]);
    expect(run.status).toBe(0);
    expect(readdirSync(run.out + host.source)).toEqual(["empty", "link", "tables"]);
    expect(readFileSync(run.out + inSource("tables/large")).equals(readFileSync(inSource("tables/large")))).toBe(true);
    expect(readlinkSync(run.out + inSource("link"))).toBe("docs");
    expect(statSync(run.out + inSource("empty")).mode & 0o7777).toBe(0o711);
  });

  test("hard links whose first name is not wanted are files of their own, linked with each other", async () => {
    const run = await restore(host, [inSource("late")]);
    expect(run).toMatchObject({ status: 0, document: { lost: [], notKept: [] } });
    expect(readdirSync(run.out + host.source)).toEqual(["late"]);
    const members = (dir: string): string => treeDigest(dir).replaceAll(/ same-as=.*/g, "");
    expect(members(run.out + inSource("late"))).toBe(members(inSource("late")));
    expect(statSync(run.out + inSource("late/second"))).toMatchObject({ nlink: 2, ino: statSync(run.out + inSource("late/third")).ino });
    const single = await restore(host, [inSource("late/third")]);
    expect(single.status).toBe(0);
    expect(readFileSync(single.out + inSource("late/third"), "utf8")).toBe("many names");
    const large = await restore(host, [inSource("late/large second")]);
    expect(readFileSync(large.out + inSource("late/large second")).equals(readFileSync(inSource("early/large first")))).toBe(true);
    expect(readdirSync(large.out + inSource("late"))).toEqual(["large second"]);
  });

  test("one that is not there is exit 1 by name, and nothing is made", async () => {
    const run = await restore(host, [inSource("docs/a.txt"), inSource("docs/nope")]);
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_NOT_FOUND", message: `archive ${latest} does not hold ${inSource("docs/nope")}`, hint: expect.stringContaining("coldkeep files") } } });
    expect(existsSync(run.out)).toBe(false);
  });

  test("none that could not be an entry's", async () => {
    for (const path of ["relative", "/a/../b", "/a//b"]) expect(await restore(host, [path])).toMatchObject({ status: 2, document: { error: { code: "E_USAGE" } } });
  });
});

describe("which archive, from where", () => {
  test("--archive takes an id or the start of one, and says when it fits none or several", async () => {
    const run = await restore(host, ["--archive", first.slice(0, 22), inSource("docs")]);
    expect(run).toMatchObject({ status: 0, document: { archive: first } });
    expect(readFileSync(run.out + inSource("docs/a.txt"), "utf8")).toBe("alpha");
    expect(await restore(host, ["--archive", first.slice(0, 4)])).toMatchObject({ status: 1, document: { error: { code: "E_NOT_FOUND", message: expect.stringContaining("2 archives start with") } } });
    expect(await restore(host, ["--archive", "1999"])).toMatchObject({ status: 1, document: { error: { code: "E_NOT_FOUND" } } });
  });

  test("the one before the newest where no region has that one's manifest right: named, and no success", async () => {
    const [a = "", b = ""] = ["a", "b"].map((region) => join(host.region(region), `hosts/web1/archives/${latest}.manifest`));
    const kept = readFileSync(a);
    try {
      flip(a, 40);
      expect(await restore(host, [inSource("docs")])).toMatchObject({ status: 0, document: { archive: latest, passedOver: [] } });
      flip(b, 40);
      const run = await restore(host, [inSource("docs")]);
      expect(run).toMatchObject({ status: 3, document: { archive: first, status: "partial", passedOver: [latest] } });
      expect(readFileSync(run.out + inSource("docs/a.txt"), "utf8")).toBe("alpha");
      expect(await restore(host, ["--archive", first, inSource("docs")])).toMatchObject({ status: 0 });
    } finally {
      for (const path of [a, b]) writeFileSync(path, kept);
    }
  });

  test("a machine with only the kit: each region by name, and by URL", async () => {
    for (const region of ["a", "b", host.regions["b"] ?? ""]) {
      const run = await restore(host, ["--region", region]);
      expect(run).toMatchObject({ status: 0, stderr: "" });
      expect(treeDigest(run.out + host.source)).toBe(whole);
      expect(leftovers(run.out)).toEqual([]);
    }
    expect(await restore(host, ["--region", "c"])).toMatchObject({ status: 2, document: { error: { code: "E_USAGE", hint: "Known are: a, b." } } });
  });

  test("a URL the kit does not know: a copy of a region on a disk", async () => {
    const copy = tempDir();
    const { status } = await runColdkeep([], { wrapper: ["sh", "-c", `cp -a '${host.region("a")}/.' '${copy}' #`] });
    expect(status).toBe(0);
    const run = await restore(host, ["--region", `file://${copy}`]);
    expect(run.status).toBe(0);
    expect(treeDigest(run.out + host.source)).toBe(whole);
  });
});

describe("the kit", () => {
  test("missing, open to others, of another vault, or with another identity", async () => {
    const folder = tempDir();
    expect(await restore(host, ["--kit", join(folder, "kit.txt")])).toMatchObject({ status: 2, document: { error: { code: "E_KIT", message: expect.stringContaining("there is no kit") } } });

    const open = join(folder, "open.txt");
    copyFileSync(host.movedKit, open);
    chmodSync(open, 0o644);
    expect(await restore(host, ["--kit", open])).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED", message: expect.stringMatching(/open\.txt .*\(mode 0644\)/), hint: expect.stringMatching(/^Run: chmod 600 \S*open\.txt/) } } });

    const other = await setUpHost();
    expect(await restore(host, ["--kit", other.movedKit, "--region", host.regions["a"] ?? ""])).toMatchObject({ status: 1, document: { error: { code: "E_REGION", message: expect.stringMatching(/holds the vault [0-9a-f]{32}, not [0-9a-f]{32}/) } } });

    const identityOf = (path: string): string => /^AGE-SECRET-KEY.*$/m.exec(readFileSync(path, "utf8"))?.[0] ?? "";
    const mixed = join(folder, "mixed.txt");
    writeFileSync(mixed, readFileSync(host.movedKit, "utf8").replace(identityOf(host.movedKit), identityOf(other.movedKit)), { mode: 0o600 });
    const run = await restore(host, ["--kit", mixed]);
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_IDENTITY", message: expect.stringContaining("no identity matches") } } });
    expect(existsSync(run.out)).toBe(false);
    expect(JSON.stringify(run.document)).not.toContain("AGE-SECRET");
  });
});

describe("the target", () => {
  test("that holds anything is refused and left alone; an empty one is taken", async () => {
    const out = tempDir();
    writeFileSync(join(out, "mine"), "mine");
    expect(await restore(host, ["--to", out])).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED", message: `${out} is not empty`, hint: expect.stringContaining("--merge") } } });
    expect(readdirSync(out)).toEqual(["mine"]);
    rmSync(join(out, "mine"));
    expect((await restore(host, ["--to", out, inSource("docs")])).status).toBe(0);
  });

  test("whose parent is missing, that is a file, or that may not be written", async () => {
    const folder = tempDir();
    expect(await restore(host, ["--to", join(folder, "no/such")])).toMatchObject({ status: 1, document: { error: { code: "E_DISK", message: expect.stringContaining("ENOENT"), hint: expect.stringContaining("Make the directory it lies in") } } });
    writeFileSync(join(folder, "file"), "");
    expect(await restore(host, ["--to", join(folder, "file")])).toMatchObject({ status: 1, document: { error: { code: "E_DISK" } } });
  });

  test.runIf(isRoot)("on a file system that is mounted read-only", async () => {
    const mount = tempDir();
    const wrapper = ["unshare", "-m", "sh", "-c", `mount -t tmpfs -o ro none '${mount}' && exec "$@"`, "sh"];
    const run = await restore(host, ["--to", mount], { wrapper });
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_DISK", message: expect.stringContaining("EROFS") } } });
  });
});

describe("--merge", () => {
  test("overwrites what differs, also in type, and deletes nothing", async () => {
    const out = tempDir();
    const at = (path: string): string => out + inSource(path);
    expect((await restore(host, ["--to", out])).status).toBe(0);
    writeFileSync(at("docs/a.txt"), "changed here");
    utimesSync(at("docs/a.txt"), 1, 1);
    chmodSync(at("tables/sparse"), 0o777);
    rmSync(at("docs/sub"), { recursive: true });
    writeFileSync(at("docs/sub"), "a file in place of a directory");
    rmSync(at("docs.txt"));
    mkdirSync(at("docs.txt"));
    rmSync(at("early/first"));
    symlinkSync("/etc/passwd", at("early/first"));
    const large = readFileSync(at("tables/large"));
    large.fill(0, 2 * MIB, 2 * MIB + 10);
    writeFileSync(at("tables/large"), large);
    rmSync(at("early/pipe"));
    writeFileSync(at("early/pipe"), "a file in place of a FIFO");
    writeFileSync(at("docs/unrelated"), "not in the archive");
    writeFileSync(join(out, "beside"), "nor this");
    const passwd = readFileSync("/etc/passwd");

    const run = await restore(host, ["--to", out, "--merge"]);
    expect(run).toMatchObject({ status: 0, document: { status: "complete" } });
    expect(readFileSync(at("docs/unrelated"), "utf8")).toBe("not in the archive");
    expect(readFileSync(join(out, "beside"), "utf8")).toBe("nor this");
    rmSync(at("docs/unrelated"));
    expect(treeDigest(out + host.source, { omit: ["root"] }).split("\n").filter((line) => !line.startsWith("./docs directory"))).toEqual(
      treeDigest(host.source, { omit: ["root"] }).split("\n").filter((line) => !line.startsWith("./docs directory")),
    );
    expect(readFileSync("/etc/passwd").equals(passwd)).toBe(true);
    expect(leftovers(out)).toEqual([]);
  });

  test("a directory with something in it is not replaced by a file: named, nothing deleted", async () => {
    const out = tempDir();
    mkdirSync(join(out + inSource("docs.txt"), "full"), { recursive: true });
    writeFileSync(join(out + inSource("docs.txt"), "full/mine"), "mine");
    const run = await restore(host, ["--to", out, "--merge"]);
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_DISK", message: expect.stringMatching(/docs\.txt is a directory in the target and not empty/) } } });
    expect(readFileSync(join(out + inSource("docs.txt"), "full/mine"), "utf8")).toBe("mine");
    // Moved away, the same command goes on.
    renameSync(out + inSource("docs.txt"), join(out, "moved"));
    expect(await restore(host, ["--to", out, "--merge"])).toMatchObject({ status: 0, document: { resumed: true } });
    expect(treeDigest(out + host.source)).toBe(whole);
  });

  test("leaves an archived file alone whose name looks like a temporary one", async () => {
    const name = "d/.coldkeep-0123456789abcdef.partial";
    const host = await setUpHost({ tree: { [name]: "kept", other: "x" } });
    await host.backup();
    const { out } = await restore(host);
    expect((await restore(host, ["--to", out, "--merge"])).status).toBe(0);
    expect(readFileSync(join(out, host.source, name), "utf8")).toBe("kept");
  });

  test("never follows a link that lies in the target, nor writes through another name of a file", async () => {
    const out = tempDir();
    const outside = tempDir();
    writeFileSync(join(outside, "a.txt"), "outside");
    writeFileSync(join(outside, "large"), "outside");
    mkdirSync(join(outside, "sub"));
    const canary = treeDigest(outside);
    mkdirSync(out + host.source, { recursive: true });
    symlinkSync(outside, out + inSource("docs"));
    symlinkSync(outside, out + inSource("empty"));
    mkdirSync(out + inSource("tables"));
    symlinkSync(join(outside, "large"), out + inSource("tables/large"));
    symlinkSync(join(outside, "new"), out + inSource("tables/sparse"));
    mkdirSync(out + inSource("early"));
    // The same bytes under two names, one of them outside the target.
    writeFileSync(join(outside, "named twice"), "many names", { mode: 0o600 });
    linkSync(join(outside, "named twice"), out + inSource("early/first"));
    const before = lstatSync(join(outside, "named twice"));

    expect((await restore(host, ["--to", out, "--merge"])).status).toBe(0);
    expect(treeDigest(out + host.source)).toBe(whole);
    const after = lstatSync(join(outside, "named twice"));
    expect(after).toMatchObject({ mode: before.mode, mtimeMs: before.mtimeMs, nlink: 1 });
    rmSync(join(outside, "named twice"));
    expect(treeDigest(outside, { omit: ["root"] })).toBe(canary.split("\n").slice(1).join("\n"));
  });

  test("onto an equal tree fetches no volume, hard links and chunked files included", async () => {
    const fake = await startFakeS3({ buckets: ["vault"] });
    try {
      const cloud = await setUpHost({ ...s3Options({ a: fake }), tree: { "x/one": "one", "x/two": { type: "hardlink", target: "x/one" }, "x/large": noise(3 * MIB, 8), "x/none": "" } });
      await cloud.backup();
      const { out } = await restore(cloud);
      const asked = fake.requests.length;
      rmSync(out + join(cloud.source, "x/none"));
      const run = await restore(cloud, ["--to", out, "--merge"]);
      expect(run).toMatchObject({ status: 0, document: { bytesWritten: 0 } });
      expect(treeDigest(out + cloud.source)).toBe(treeDigest(cloud.source));
      expect(fake.requests.slice(asked).filter(({ operation, key }) => operation === "GetObject" && key.includes("/volumes/"))).toEqual([]);
      expect(fake.requests.length).toBeGreaterThan(asked);
    } finally {
      await fake.stop();
    }
  });

  test("of a newer archive fetches what differs, and nothing else", async () => {
    const fake = await startFakeS3({ buckets: ["vault"] });
    try {
      const files = Array.from({ length: 40 }, (_, i): [string, Buffer] => [`files/${i}`, noise(100 * 1024, 100 + i)]);
      const cloud = await setUpHost({ ...s3Options({ a: fake }), tree: { ...Object.fromEntries(files), large: noise(6 * MIB, 9) } });
      await cloud.backup();
      const { out } = await restore(cloud);
      writeFileSync(join(cloud.source, "files/7"), noise(100 * 1024, 500));
      writeFileSync(join(cloud.source, "files/new"), noise(100 * 1024, 501));
      const large = readFileSync(join(cloud.source, "large"));
      noise(1000, 502).copy(large, 3 * MIB);
      writeFileSync(join(cloud.source, "large"), large);
      const volumesOf = (): Set<string> => new Set([...fake.bucket("vault").keys()].filter((key) => key.includes("/volumes/")));
      const old = volumesOf();
      await cloud.backup();
      const added = volumesOf().difference(old).size;
      const asked = fake.requests.length;
      const run = await restore(cloud, ["--to", out, "--merge"]);
      expect(run).toMatchObject({ status: 0 });
      expect(run.document.bytesWritten).toBeLessThan(0.6 * MIB);
      expect(treeDigest(out + cloud.source)).toBe(treeDigest(cloud.source));
      const ranges = fake.requests.slice(asked).flatMap(({ operation, key, headers }) => (operation === "GetObject" && key.includes("/volumes/") ? [headers["range"] ?? ""] : []));
      const lengths = ranges.map((range) => /^bytes=(\d+)-(\d+)$/.exec(range) ?? []).map(([, first, last]) => Number(last) - Number(first) + 1);
      expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThan(MIB);
      // Of each new volume its head and one range; of the old ones nothing.
      expect(lengths.length).toBe(2 * added);
    } finally {
      await fake.stop();
    }
  });
});
