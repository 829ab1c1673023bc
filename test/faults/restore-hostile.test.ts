/**
 * Archives that a taken-over host may have signed, and what an independent writer makes: nothing is ever written outside the
 * target, nothing hangs, and every refusal is one a person can read.
 */
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addArchive, type ArchiveOptions, createVault, type Item, type Line, newId, type Vault, zstd } from "../recovery/make-region.ts";
import { expectedTree, noise, oddTree, seenTree } from "../recovery/tree.ts";
import { setUpHost } from "../support/host.ts";
import { runColdkeep, tempDir, treeDigest } from "../support/program.ts";
import { leftovers, restore, type RestoreRun } from "../support/restore.ts";

const isRoot = process.getuid?.() === 0;
const MIB = 1024 * 1024;

const HARMLESS: Item[] = [
  { path: "/etc", type: "dir" },
  { path: "/etc/first", type: "file", content: Buffer.from("first") },
  { path: "/etc/hard", type: "file", hardlink: "/etc/first" },
  { path: "/etc/link", type: "symlink", target: "first" },
  { path: "/etc/second", type: "file", content: noise(2000, 1) },
  { path: "/srv", type: "dir" },
  { path: "/srv/large", type: "file", parts: { size: 700_000, data: [{ at: 0, bytes: noise(600_000, 2) }] } },
];

type Made = { vault: Vault; around: string };

function makeVault(): Made {
  const around = tempDir();
  const vault = createVault(around);
  chmodSync(vault.kit, 0o600);
  return { vault, around };
}

/** Restores from the vault's region into a directory with canaries all around it. */
async function restoreFrom({ vault, around }: Made, args: string[] = []): Promise<RestoreRun> {
  const lair = join(around, `lair${readdirSync(around).length}`);
  mkdirSync(join(lair, "canary"), { recursive: true });
  for (const name of ["x", "canary/file", "passwd", "etc"]) writeFileSync(join(lair, name), "untouched");
  const before = treeDigest(lair, { omit: ["root"] });
  const run = await restore({ movedKit: vault.kit, run: runColdkeep }, ["--region", `file://${vault.region}`, "--to", join(lair, "out"), ...args], { timeoutMs: 30_000 });
  const outside = treeDigest(lair, { omit: ["root"] }).split("\n").filter((line) => !/^\.?\/?out[ /]/.test(line.replace(/^\.\//, "")));
  expect(outside.join("\n")).toBe(before);
  expect(run.document.error).not.toMatchObject({ code: "E_INTERNAL" });
  return run;
}

async function hostile(options: ArchiveOptions, items: Item[] = HARMLESS): Promise<RestoreRun> {
  const made = makeVault();
  addArchive(made.vault, items, options);
  return restoreFrom(made);
}

const at = (lines: Line[], path: string): Line => lines.find((line) => line["path"] === path && "type" in line) ?? {};
/** Lines with fields of one entry changed; `undefined` removes a field. */
const change = (path: string, fields: Line) => (lines: Line[]): Line[] => lines.map((line) => (line === at(lines, path) ? { ...line, ...fields } : line));
const rename = (from: string, to: Line): ((lines: Line[]) => Line[]) => change(from, { path: undefined, ...to });
/** The continuation line of the large file, changed. */
const span = (edit: (line: Line) => Line[]) => (lines: Line[]): Line[] => lines.flatMap((line) => ("at" in line ? edit(line) : [line]));
const extents = (line: Line): Line[] => line["extents"] as Line[];

describe("what a catalog must not say is refused before anything is written", () => {
  const cases: Record<string, [alter: (lines: Line[]) => Line[], message: RegExp]> = {
    "a path that climbs out": [rename("/etc/first", { path: "/../x" }), /path has a "\.\." component/],
    "one that climbs out from within": [rename("/etc/first", { path: "/etc/../../x" }), /path has a "\.\." component/],
    "one that climbs in escapes": [rename("/etc/first", { pathRaw: "/\\0056\\0056\\0057x" }), /path has a "\.\." component/],
    "a relative path": [rename("/etc/first", { path: "x" }), /path is not absolute/],
    "an empty path": [rename("/etc/first", { path: "" }), /path is not absolute/],
    "an empty component": [rename("/etc/first", { path: "//x" }), /path has an empty component/],
    "a slash at the end": [rename("/etc/first", { path: "/etc/first/" }), /path has an empty component/],
    "a dot": [rename("/etc/first", { path: "/etc/./x" }), /path has a "\." component/],
    "a NUL": [rename("/etc/first", { path: "/etc/a\0b" }), /path holds a NUL byte/],
    "a NUL in escapes": [rename("/etc/first", { pathRaw: "/etc/a\\0000b" }), /path holds a NUL byte/],
    "a component of 256 bytes": [rename("/etc/first", { path: `/etc/${"a".repeat(256)}` }), /component over 255 bytes/],
    "a lone surrogate": [rename("/etc/first", { path: "/etc/\udcff" }), /path/],
    "an entry below a symbolic link": [
      (lines) => [...lines.slice(0, 3), { ...at(lines, "/etc/link"), target: "/tmp" }, { ...at(lines, "/etc/second"), path: "/etc/link/planted" }, ...lines.slice(4)],
      /\/etc\/link\/planted below \/etc\/link, which is no directory/,
    ],
    "an entry below a file": [rename("/etc/hard", { path: "/etc/first/hard" }), /below \/etc\/first, which is no directory/],
    "a path twice": [rename("/etc/hard", { path: "/etc/first" }), /out of order at \/etc\/first/],
    "a directory that is a link the second time": [(lines) => [lines[0] ?? {}, { ...at(lines, "/etc/link"), path: "/etc", target: "/tmp" }, ...lines.slice(1)], /out of order at \/etc/],
    "entries out of order": [(lines) => [...lines.slice(2, 4), ...lines.slice(0, 2), ...lines.slice(4)], /out of order/],
    "a hard link that climbs out": [change("/etc/hard", { hardlink: "/../x" }), /hardlink has a "\.\." component/],
    "a hard link to a later entry": [change("/etc/hard", { hardlink: "/etc/second" }), /hard link to a later one/],
    "a hard link to itself": [change("/etc/hard", { hardlink: "/etc/hard" }), /hard link to a later one/],
    "a directory that is a hard link": [change("/srv", { hardlink: "/etc" }), /hardlink/],
    "an unknown type": [change("/etc/first", { type: "socket" }), /type/],
    "a size of an exbibyte": [change("/srv/large", { size: 2 ** 60 }), /size/],
    "a negative size": [change("/etc/first", { size: -1 }), /size/],
    "a file longer than its piece": [change("/etc/first", { size: 6 }), /extents/],
    "an owner beyond all numbers": [change("/etc/first", { uid: 2 ** 40 }), /uid/],
    "a mode that is no mode": [change("/etc/first", { mode: "77777" }), /mode/],
    "a time that is no time": [change("/etc/first", { mtime: "now" }), /mtime/],
    "an attribute of two megabytes": [change("/etc/first", { xattrs: [{ name: "user.big", value: "v".repeat(2 * MIB) }] }), /over 2097152 bytes long/],
    "a hole of an exbibyte": [span((line) => [{ ...line, extents: [{ zero: 2 ** 60 }] }]), /zero/],
    "a hole beyond the end": [span((line) => [{ ...line, extents: [{ zero: 2 ** 52 }] }]), /extents up to \d+, and 700000 bytes/],
    "chunks beyond the end": [change("/srv/large", { size: 500_000 }), /extents up to \d+, and 500000 bytes/],
    "chunks at a place far out": [span((line) => [line["at"] === 0 ? { ...line, at: 2 ** 53 - 1 } : line]), /out of order|extents up to|leave a gap/],
    "spans that overlap": [span((line) => (line["at"] === 0 ? [line, { ...line, at: 1000 }] : [line])), /extents that overlap at 1000/],
    "a span without its file": [(lines) => lines.filter((line) => line !== at(lines, "/srv/large")), /is no file in chunks/],
    "a span of another file": [span((line) => [{ ...line, path: "/srv/larger" }]), /has extents and no entry/],
    "a piece among chunks": [span((line) => [{ ...line, extents: extents(line).map(({ chunks: _, ...extent }) => ({ ...extent, length: 10 })) }]), /not in chunks/],
    "a volume nobody lists": [change("/etc/first", { extents: [{ volume: newId(), frame: [0, 100], offset: 0, length: 5 }] }), /do not name the same objects/],
  };

  test.each(Object.keys(cases))("%s", async (name) => {
    const [alter, message] = cases[name] ?? [];
    const run = await hostile({ alter: alter ?? ((lines) => lines), linesPerSegment: 100 });
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_FORMAT", message: expect.stringMatching(message ?? /^$/), hint: expect.stringContaining("--archive") } } });
    expect(readdirSync(join(run.out, "..")).includes("out")).toBe(false);
  });
});

describe("what an archive may say and cannot keep is lost by name", () => {
  const digest = "0".repeat(64);
  const cases: Record<string, [alter: (lines: Line[]) => Line[], lost: string[]]> = {
    "a digest its bytes do not have": [change("/etc/first", { sha256: digest }), ["/etc/first", "/etc/hard"]],
    "a digest of a chunk": [span((line) => [{ ...line, extents: extents(line).map((extent) => (extent["chunks"] === undefined ? extent : { ...extent, chunks: (extent["chunks"] as unknown[]).map((chunk, i) => (i === 3 ? [(chunk as number[])[0], digest] : chunk)) })) }]), ["/srv/large"]],
    "a frame outside the volume": [change("/etc/second", { extents: [] }), []],
    "a hard link to a symbolic link": [change("/etc/second", { hardlink: "/etc/link", size: undefined, sha256: undefined, extents: undefined }), ["/etc/second"]],
    "a hard link to a directory": [change("/etc/second", { hardlink: "/etc", size: undefined, sha256: undefined, extents: undefined }), ["/etc/second"]],
    "a hard link to what the archive does not hold": [change("/etc/second", { hardlink: "/bin/sh", size: undefined, sha256: undefined, extents: undefined }), ["/etc/second"]],
  };
  const place = (fields: Line): ((lines: Line[]) => Line[]) => (lines) => change("/etc/second", { extents: [{ ...(at(lines, "/etc/second")["extents"] as Line[])[0], ...fields }] })(lines);
  cases["a frame outside the volume"] = [place({ frame: [2 ** 40, 100] }), ["/etc/second"]];
  cases["a frame of no bytes"] = [place({ frame: [0, 0] }), ["/etc/second"]];
  cases["a frame that is none"] = [place({ frame: [7, 50] }), ["/etc/second"]];
  cases["a piece outside its frame"] = [place({ offset: 10 * MIB }), ["/etc/second"]];

  test.each(Object.keys(cases))("%s", async (name) => {
    const [alter, lost] = cases[name] ?? [];
    // The volume of a case that uses it no more would be an object too many.
    const run = await hostile({ alter: alter ?? ((lines) => lines), linesPerSegment: 100 });
    expect(run).toMatchObject({ status: 3, document: { status: "partial", lost } });
    for (const path of ["/etc/first", "/etc/hard"].filter((path) => !lost?.includes(path))) expect(readFileSync(run.out + path, "utf8")).toBe("first");
    expect(leftovers(run.out)).toEqual([]);
  });

  test("a frame that claims to be small and is a bomb, one that claims to be huge, one that lies", async () => {
    const made = makeVault();
    const bomb = zstd(Buffer.alloc(64 * MIB));
    const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
    // Windowed frames state their content size in four bytes behind the window.
    const lying = Buffer.from(bomb);
    lying.writeUInt32LE(2000, 6);
    for (const [frame, note] of [[bomb, "says so"], [lying, "lies"], [Buffer.concat([magic, Buffer.from([0xe0]), Buffer.alloc(8, 0xff)]), "huge"]] as const) {
      let length = 0;
      addArchive(made.vault, HARMLESS, {
        linesPerSegment: 100,
        alterVolume: (plain) => {
          length = plain.length;
          return Buffer.concat([plain, frame]);
        },
        alter: (lines) => change("/etc/second", { extents: [{ ...(at(lines, "/etc/second")["extents"] as Line[])[0], frame: [bombAt(), frame.length], offset: 0 }] })(lines),
      });
      const run = await restoreFrom(made);
      expect(run, note).toMatchObject({ status: 3, document: { lost: ["/etc/second"] } });
      expect(length).toBeGreaterThan(0);
    }
    function bombAt(): number {
      return paddedLength;
    }
  });
});

/** Length of the plaintext of the one volume of HARMLESS, found once: catalog lines are written before volumes are. */
const paddedLength = ((): number => {
  const folder = spawnSync("mktemp", ["-d"], { encoding: "utf8" }).stdout.trim();
  let length = 0;
  addArchive(createVault(folder), HARMLESS, {
    alterVolume: (plain) => {
      length = plain.length;
      return plain;
    },
  });
  spawnSync("rm", ["-rf", folder]);
  return length;
})();

describe("roots, manifests and lists", () => {
  const refused: Record<string, [ArchiveOptions, RegExp]> = {
    "segments out of order": [{ alterRoot: (rows) => rows.toReversed() }, /out of order/],
    "a segment twice": [{ alterRoot: (rows) => [...rows, ...rows.slice(-1)] }, /out of order|too few/],
    "a segment that is left out": [{ alterRoot: (rows) => rows.slice(1) }, /too few/],
    "a segment that says to be huge": [{ alterRoot: (rows) => rows.map((row) => ({ ...row, size: 5 * MIB })) }, /malformed/],
    "a segment that is larger than it says": [{ alterRoot: (rows) => rows.map((row) => ({ ...row, size: 10 })) }, /states \d+ bytes of content, 10 are allowed/],
    "a segment with a wrong digest": [{ alterRoot: (rows) => rows.map((row) => ({ ...row, sha256: "0".repeat(64) })) }, /does not match its digest/],
    "a segment far outside its object": [{ alterRoot: (rows) => rows.map((row) => ({ ...row, offset: 2 ** 50 })) }, /outside/],
    "a segment that begins with another path": [{ alterRoot: (rows) => rows.map((row, i) => (i === 0 ? { ...row, first: "/a" } : row)) }, /its root says \/a/],
    "a segment in an object nobody lists": [{ alterRoot: (rows) => rows.map((row) => ({ ...row, object: newId() })) }, /not in the manifest's list/],
    "a volume that is listed and unused": [{ unused: true }, /do not name the same objects/],
    "a root in an object nobody lists": [{ alterHeader: (header) => ({ ...header, root: { ...(header["root"] as Line), object: newId() } }) }, /does not list its own catalog root/],
    "a root that says to be huge": [{ alterHeader: (header) => ({ ...header, root: { ...(header["root"] as Line), length: 2 ** 50, size: 2 ** 50 } }) }, /more than it may be/],
    "a root with a wrong digest": [{ alterHeader: (header) => ({ ...header, root: { ...(header["root"] as Line), sha256: "0".repeat(64) } }) }, /does not match its digest/],
    "a format of tomorrow": [{ alterHeader: (header) => ({ ...header, format: 2 }) }, /has format version 2; this program reads version 1/],
    "another vault's id": [{ alterHeader: (header) => ({ ...header, vault: "f".repeat(32) }) }, /says it is .* in vault f{32}/],
    "another host's name": [{ alterHeader: (header) => ({ ...header, host: "web2" }) }, /says it is .* of web2/],
  };

  test.each(Object.keys(refused))("%s", async (name) => {
    const [options, message] = refused[name] ?? [];
    const run = await hostile({ linesPerSegment: 3, ...options });
    expect(run).toMatchObject({ status: 1, document: { error: { message: expect.stringMatching(message ?? /^$/) } } });
    expect(["E_FORMAT", "E_OBJECT"]).toContain(run.document.error?.code);
  });

  test("an unknown signer: alone nothing is restored; newer than the known ones, refused by fingerprint; older ones by name still come", async () => {
    const made = makeVault();
    const { privateKey } = generateKeyPairSync("ed25519");
    const alone = makeVault();
    addArchive(alone.vault, HARMLESS, { signer: privateKey });
    const known = addArchive(made.vault, HARMLESS);
    addArchive(made.vault, [{ path: "/etc", type: "dir" }], { signer: privateKey });
    for (const vault of [alone, made]) {
      const run = await restoreFrom(vault);
      expect(run).toMatchObject({ status: 5, document: { error: { code: "E_SIGNER", message: expect.stringMatching(/newer archive: .* signed by an unknown signer, \S{8,}/), hint: expect.stringContaining("--archive") } } });
    }
    expect(await restoreFrom(made, ["--archive", known.id])).toMatchObject({ status: 0, document: { archive: known.id } });
  });

  test("partial archives are not the latest while a complete one is there", async () => {
    const made = makeVault();
    const complete = addArchive(made.vault, HARMLESS);
    addArchive(made.vault, [{ path: "/etc", type: "dir" }], { status: "partial" });
    expect(await restoreFrom(made)).toMatchObject({ status: 0, document: { archive: complete.id } });
  });
});

describe("the restore's own place in the target", () => {
  test("cannot be taken by entries: they are left out by name, and nothing waits for a FIFO", async () => {
    const items: Item[] = [
      { path: "/.coldkeep-restore", type: "dir" },
      { path: "/.coldkeep-restore/boot", type: "fifo" },
      { path: "/.coldkeep-restore/done", type: "fifo" },
      { path: "/.coldkeep-restore/plan", type: "symlink", target: "/tmp" },
      ...HARMLESS,
    ];
    const run = await hostile({ linesPerSegment: 100 }, items);
    expect(run).toMatchObject({ status: 3, document: { lost: [], notKept: [{ what: expect.stringContaining("journal"), count: 4 }] } });
    expect(readFileSync(join(run.out, "etc/hard"), "utf8")).toBe("first");
    expect(leftovers(run.out)).toEqual([]);
  });
});

test("attributes too large for the system, and times it cannot hold, are named", async () => {
  const items: Item[] = [
    { path: "/etc", type: "dir" },
    { path: "/etc/big", type: "file", content: Buffer.from("x"), xattrs: [{ name: "user.big", value: "v".repeat(MIB) }] },
    { path: "/etc/when", type: "file", content: Buffer.from("y"), mtime: "999999999999999.000000000" },
  ];
  const run = await hostile({}, items);
  expect(run.status).toBe(3);
  expect(run.document.notKept.map(({ what }) => what).toSorted()).toEqual([expect.stringContaining("modification time"), "extended attributes"].toSorted());
  expect(readFileSync(join(run.out, "etc/big"), "utf8")).toBe("x");
});

describe("two writers, two readers", () => {
  test("what an independent writer archived comes back exactly", async () => {
    const made = makeVault();
    const items = oddTree();
    addArchive(made.vault, items, { linesPerSegment: 5, frameSize: 200_000, framesPerVolume: 2 });
    const run = await restoreFrom(made);
    expect(run).toMatchObject({ status: 0, document: { status: "complete", lost: [], notKept: [] } });
    const catalogued = new Set(items.map(({ path }) => Buffer.from(path).toString("latin1")));
    expect(seenTree(run.out, catalogued)).toEqual(expectedTree(items, ["/no", "/no/parent", "/no/parent/of", "/no/parent/of/this"]));
  });

  test("recover.sh and restore give the same tree back", async () => {
    const host = await setUpHost({
      tree: {
        "plain": { type: "file", content: "plain", mode: 0o640, mtime: "1600000000.123456789" },
        "new\nline": "odd",
        "hard": { type: "hardlink", target: "plain" },
        "link": { type: "symlink", target: "plain", mtime: "1500000000.5" },
        "pipe": { type: "fifo" },
        "large": noise(3 * MIB, 5),
        "sparse": { type: "file", content: noise(5000, 6), sizeBytes: 4 * MIB },
        "closed/in": { type: "file", content: "x", mode: 0o400 },
        "closed": { type: "directory", mode: 0o555 },
        ...(isRoot ? { owned: { type: "file" as const, content: "y", uid: 1234, gid: 5678, mode: 0o4755 } } : {}),
      },
    });
    await host.backup();
    const target = join(tempDir(), "recovered");
    const done = spawnSync("sh", ["recover.sh", host.movedKit, target], { cwd: host.region("b"), encoding: "utf8" });
    expect(done.stderr + done.stdout).not.toMatch(/error/i);
    expect(done.status).toBe(0);
    const { out } = await restore(host);
    expect(treeDigest(target, { omit: ["root"] })).toBe(treeDigest(out, { omit: ["root"] }));
    expect(treeDigest(out + host.source)).toBe(treeDigest(host.source));
  });
});
