import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Parser } from "tar";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesFromText, textFromBytes } from "../../src/format/byte-text.ts";
import { encodeChunkMember, encodeMember, endOfArchive, memberHeaderBound, paddedSize, type TarMember } from "../../src/format/tar-member.ts";

const PLAIN: TarMember = { path: "/etc/hosts", mode: 0o644, uid: 0, gid: 0, user: "root", group: "root", mtime: "1700000000.123456789", size: 5 };

function header(member: TarMember): Buffer {
  const target = Buffer.alloc(memberHeaderBound(member) + 512, 0xee);
  const end = encodeMember(member, target, 7);
  expect(end - 7).toBeLessThanOrEqual(memberHeaderBound(member));
  return target.subarray(7, end);
}

/** A whole tar of members whose bytes are all `x`. */
function archive(members: readonly TarMember[]): Buffer {
  const parts = members.flatMap((member) => [header(member), Buffer.alloc(member.size, "x"), Buffer.alloc(paddedSize(member.size) - member.size)]);
  return Buffer.concat([...parts, endOfArchive()]);
}

/** What a program lists; `name` as hex of its bytes. */
type Listed = { name: string; size: number; mode: number; uid: number; gid: number; user: string; group: string; mtime: string };

const PYTHON = `
import sys, tarfile, json, io
tarfile.ENCODING = "utf-8"
data = sys.stdin.buffer.read()
with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape", errorlevel=2) as tar:
    def raw(text): return text.encode("utf-8", "surrogateescape").hex()
    print(json.dumps([dict(name=raw(m.name), size=m.size, mode=m.mode, uid=m.uid, gid=m.gid, user=raw(m.uname), group=raw(m.gname),
        mtime=m.pax_headers["mtime"]) for m in tar.getmembers()]))
`;

function listByPython(tar: Buffer): Listed[] {
  return JSON.parse(execFileSync("python3", ["-c", PYTHON], { input: tar, encoding: "utf8" })) as Listed[];
}

/** Names only, as their programs print them, and what they complained of. */
function listBy(program: string, args: readonly string[], tar: Buffer): { stdout: Buffer; stderr: string; status: number | null } {
  const run = spawnSync(program, args, { input: tar, env: { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC" }, maxBuffer: 2 ** 26 });
  return { stdout: run.stdout, stderr: run.stderr.toString(), status: run.status };
}

/** Names, as bytes in hex, of a listing with `\\n`, `\\\\` and octal escapes. */
function unescapeNames(listing: Buffer): string[] {
  const lines = listing.toString("latin1").trimEnd().split("\n");
  return lines.map((line) => {
    const bytes = line.replace(/\\(n|\\| |[0-7]{3})/g, (_all, escaped: string) => {
      if (escaped === "n") return "\n";
      return escaped.length === 3 ? String.fromCharCode(Number.parseInt(escaped, 8)) : escaped;
    });
    return Buffer.from(bytes, "latin1").toString("hex");
  });
}

function listByNodeTar(tar: Buffer): { name: string; size: number; mtime: number; uid: number }[] {
  const seen: { name: string; size: number; mtime: number; uid: number }[] = [];
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      seen.push({ name: entry.path, size: entry.size, mtime: entry.mtime?.getTime() ?? Number.NaN, uid: entry.uid ?? -1 });
      entry.resume();
    },
  });
  parser.end(tar);
  return seen;
}

const long = (...components: string[]): string => `/${components.join("/")}`;
const raw = (hex: string): string => textFromBytes(Buffer.from(hex, "hex"));

const MEMBERS: TarMember[] = [
  PLAIN,
  { ...PLAIN, path: "/empty", size: 0, mode: 0o4755 },
  { ...PLAIN, path: `/${"a".repeat(100)}`, size: 512 },
  { ...PLAIN, path: `/${"b".repeat(101)}`, size: 513 },
  { ...PLAIN, path: long(..."c".repeat(30).split("").map((c) => c.repeat(255))), size: 1 },
  { ...PLAIN, path: "/new\nline" },
  { ...PLAIN, path: `/long new\nline${"d".repeat(120)}` },
  { ...PLAIN, path: "/ünïcödé/名前/😀", user: "jürgen", group: "g".repeat(32) },
  { ...PLAIN, path: `/raw/${raw("ff")}x${raw("c328")}`, user: raw("fe") },
  { ...PLAIN, path: `/${raw("80").repeat(255)}/${raw("e282")}` },
  { ...PLAIN, path: "/ends in space " },
  { ...PLAIN, path: "/-option", user: undefined, group: undefined },
  { ...PLAIN, path: "/huge ids", uid: 4_294_967_295, gid: 2_097_152 },
  { ...PLAIN, path: "/largest octal ids", uid: 2_097_151, gid: 2_097_151 },
  { ...PLAIN, path: "/year 9999", mtime: "253402300799.999999999" },
  { ...PLAIN, path: "/before 1970", mtime: "-2.500000000" },
  { ...PLAIN, path: "/long before 1970", mtime: "-86400.000000000" },
  { ...PLAIN, path: "/just before 1970", mtime: "-1.999999999" },
  { ...PLAIN, path: "/last" },
];
const PAX_TIMES = new Map([
  ["-2.500000000", "-1.500000000"],
  ["-1.999999999", "-0.000000001"],
]);
const names = MEMBERS.map((member) => bytesFromText(member.path.slice(1)).toString("hex"));

describe("odd members are listed alike", () => {
  const tar = archive(MEMBERS);

  test("by Python's tarfile, field by field", () => {
    const expected = MEMBERS.map((member, i) => ({
      name: names[i],
      size: member.size,
      mode: member.mode,
      uid: member.uid,
      gid: member.gid,
      user: bytesFromText(member.user ?? "").toString("hex"),
      group: bytesFromText(member.group ?? "").toString("hex"),
      mtime: PAX_TIMES.get(member.mtime) ?? member.mtime,
    }));
    expect(listByPython(tar)).toEqual(expected);
  });

  test("by GNU tar, whose only complaint is the charset keyword it ignores", () => {
    const { stdout, stderr, status } = listBy("tar", ["--quoting-style=escape", "-t"], tar);
    expect(status).toBe(0);
    expect(stderr.replaceAll("tar: Ignoring unknown extended header keyword 'hdrcharset'\n", "")).toBe("");
    expect(unescapeNames(stdout)).toEqual(names);
  });

  test("by bsdtar, without a complaint", () => {
    const { stdout, stderr, status } = listBy("bsdtar", ["-tf", "-"], tar);
    expect([status, stderr]).toEqual([0, ""]);
    expect(unescapeNames(stdout)).toEqual(names);
  });

  test("by the strict parser of node-tar, which knows no raw bytes and no line feed in pax", () => {
    const listed = listByNodeTar(tar);
    expect(listed.map(({ size, uid }) => [size, uid])).toEqual(MEMBERS.map(({ size, uid }) => [size, uid]));
    let compared = 0;
    for (const [i, member] of MEMBERS.entries()) {
      const name = member.path.slice(1);
      if (!name.isWellFormed() || (name.includes("\n") && name.length > 100)) continue;
      expect(listed[i]?.name).toBe(name);
      const [seconds, nanoseconds] = member.mtime.split(".").map(Number);
      expect(Math.abs((listed[i]?.mtime ?? 0) - (seconds ?? 0) * 1000 - (nanoseconds ?? 0) / 1e6)).toBeLessThanOrEqual(1);
      compared++;
    }
    expect(compared).toBe(MEMBERS.length - 3);
  });
});

test("any path, owner and size come back through Python's tarfile", () => {
  const component = fc.uint8Array({ minLength: 1, maxLength: 140 }).map((bytes) => textFromBytes(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x61 : byte))));
  const owner = fc.oneof(fc.constantFrom("", "root", "x".repeat(31), "x".repeat(32)), component);
  const member: fc.Arbitrary<TarMember> = fc.record({
    path: fc.array(component, { minLength: 1, maxLength: 3 }).map((components) => `/${components.join("/")}`),
    mode: fc.nat({ max: 0o7777 }),
    uid: fc.nat({ max: 2 ** 31 - 1 }),
    gid: fc.nat({ max: 2 ** 31 - 1 }),
    user: owner,
    group: owner,
    mtime: fc.tuple(fc.nat({ max: 2 ** 31 - 1 }), fc.nat({ max: 999_999_999 })).map(([s, ns]) => `${s}.${String(ns).padStart(9, "0")}`),
    size: fc.nat({ max: 1500 }),
  });
  fc.assert(
    fc.property(fc.array(member, { minLength: 20, maxLength: 40 }), (members) => {
      const bytes = (text: string | undefined): string => bytesFromText(text ?? "").toString("hex");
      expect(listByPython(archive(members))).toEqual(
        members.map(({ path, user, group, ...rest }) => ({ name: bytes(path.slice(1)), user: bytes(user), group: bytes(group), ...rest })),
      );
    }),
    { numRuns: 8 },
  );
});

test("times before 1970 are written as GNU tar reads them: extracted, they are exact", () => {
  const folder = mkdtempSync(join(tmpdir(), "coldkeep-tar-"));
  try {
    const old = MEMBERS.filter(({ path }) => path.includes("1970"));
    execFileSync("tar", ["-x", "--no-same-owner", "-C", folder], { input: archive(old), stdio: ["pipe", "ignore", "ignore"] });
    const times = old.map(({ path }) => statSync(join(folder, path), { bigint: true }).mtimeNs);
    expect(times).toEqual([-1_500_000_000n, -86_400_000_000_000n, -1n]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a size over 8 GiB is in the pax header", () => {
  for (const size of [8 ** 11 - 1, 8 ** 11, 2 ** 43 + 1]) {
    const { stdout, stderr } = listBy("tar", ["-tv"], header({ ...PLAIN, size }));
    expect(stdout.toString()).toContain(` ${size} `);
    expect(stderr).toContain("Unexpected EOF");
    const listed: number[] = [];
    const parser = new Parser({ onReadEntry: (entry) => listed.push(entry.size) });
    parser.write(header({ ...PLAIN, size }));
    expect(listed).toEqual([size]);
  }
});

test("a plain member is the exact pax and ustar blocks", () => {
  const bytes = header({ ...PLAIN, uid: 1000 });
  expect(bytes.length).toBe(3 * 512);
  expect(bytes.subarray(512, 542).toString()).toBe("30 mtime=1700000000.123456789\n");
  expect(bytes.subarray(542, 1024).every((byte) => byte === 0)).toBe(true);
  const block = bytes.subarray(1024);
  expect(block.toString("latin1", 0, 10)).toBe("etc/hosts\0");
  expect(block.toString("latin1", 100, 157)).toBe("0000644\x000001750\x000000000\x0000000000005\x0014524770400\x00012725\x00 0");
  expect(block.toString("latin1", 257, 270)).toBe("ustar\x0000root\0");
});

test("chunks are plain blocks that every program lists", () => {
  const target = Buffer.alloc(2048, 0xee);
  expect(encodeChunkMember("chunks/0000000123", 3, target, 0)).toBe(512);
  target.fill(0, 512);
  target.write("abc", 512);
  for (const [program, args] of [
    ["tar", ["-tv"]],
    ["bsdtar", ["-tvf", "-"]],
  ] as const) {
    const { stdout, stderr } = listBy(program, args, target);
    expect(stderr).toBe("");
    expect(stdout.toString()).toMatch(/^-rw-r--r-- .* 3 .*chunks\/0000000123\n$/);
  }
  expect(listByNodeTar(target)).toEqual([{ name: "chunks/0000000123", size: 3, mtime: 0, uid: 0 }]);
});

test("what no header can say, or the target cannot hold, is refused", () => {
  const target = Buffer.alloc(4096);
  const wrong: Partial<TarMember>[] = [
    { path: "/" },
    { path: "" },
    { path: "/directory/" },
    { path: "/nul\0" },
    { uid: -1 },
    { gid: 1.5 },
    { size: -1 },
    { size: 2 ** 53 },
    { mtime: "1700000000" },
    { mtime: "1700000000.5" },
  ];
  for (const fields of wrong) expect(() => encodeMember({ ...PLAIN, ...fields }, target, 0)).toThrow(expect.objectContaining({ code: "E_INTERNAL" }));
  for (const [name, size] of [["", 1], ["x".repeat(101), 1], ["ä", 1], ["x", -1], ["x", 8 ** 11]] as const) {
    expect(() => encodeChunkMember(name, size, target, 0)).toThrow(expect.objectContaining({ code: "E_INTERNAL" }));
  }
  expect(() => encodeMember(PLAIN, target, target.length - 1535)).toThrow(RangeError);
  expect(() => encodeChunkMember("x", 1, target, target.length - 511)).toThrow(RangeError);
});

test("sizes are padded to blocks, and two zero blocks end the archive", () => {
  expect([0, 1, 512, 513, 2 ** 40 + 1].map(paddedSize)).toEqual([0, 512, 512, 1024, 2 ** 40 + 512]);
  expect(endOfArchive().equals(Buffer.alloc(1024))).toBe(true);
});
