/** A tree of odd members for tests of restores, and what a restored tree looks like, to compare it with. */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Item } from "./make-region.ts";

const root = process.getuid?.() === 0;
const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const owner = (uid: number, gid: number): { uid: number; gid: number } => (root ? { uid, gid } : me);

/** Bytes that look random but are the same in each run. */
export function noise(length: number, seed: number): Buffer {
  const blocks = [];
  for (let block = 0; block * 32 < length; block++) blocks.push(createHash("sha256").update(`${seed} ${block}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

const everyByte = Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1).filter((byte) => byte !== 47));

/** Members of every kind: odd names, links, FIFOs, holes, chunks, setuid, times before 1970; devices where root runs it. */
export function oddTree(): Item[] {
  const table = noise(300_000, 1);
  const items: Item[] = [
    { path: "/etc", type: "dir", mode: "0755", mtime: "1600000000.000000001" },
    { path: "/etc/motd", type: "file", content: Buffer.from("welcome\n"), mtime: "-1.250000000" },
    { path: "/etc/same as motd", type: "file", content: Buffer.from("welcome\n"), ...owner(33, 34) },
    { path: "/etc/old", type: "file", content: noise(4096, 2), mtime: "-2000000000.000000000" },
    { path: "/etc/empty", type: "file", mode: "0600" },
    { path: "/etc/sudo", type: "file", content: noise(513, 3), mode: root ? "6755" : "0755" },
    { path: "/etc/-rf", type: "file", content: noise(512, 4) },
    { path: "/etc/a b", type: "file", content: noise(511, 5) },
    { path: "/etc/a\\0101\\b%s$(id)`'\"", type: "file", content: noise(1, 6) },
    { path: "/etc/ends in newline\n", type: "file", content: noise(2000, 7) },
    { path: "/etc/\n", type: "dir", mode: "0700" },
    { path: "/etc/\n/\t\r x", type: "file", content: noise(77, 8) },
    { path: "/etc/größe-日本-🗝", type: "file", content: noise(99, 9) },
    { path: Buffer.concat([Buffer.from("/etc/"), everyByte]), type: "file", content: noise(100, 10) },
    { path: Buffer.concat([Buffer.from("/etc/"), Buffer.alloc(255, 0xff)]), type: "symlink", target: everyByte },
    { path: "/etc/motd, too", type: "file", hardlink: "/etc/motd" },
    { path: "/etc/dangling", type: "symlink", target: "-no/such", mtime: "1500000000.999999999", ...owner(1, 1) },
    { path: "/etc/outside", type: "symlink", target: "/usr/bin" },
    { path: "/etc/outside-hard", type: "symlink", hardlink: "/etc/outside" },
    { path: "/etc/newline-target", type: "symlink", target: "a\n\n" },
    { path: "/etc/pipe", type: "fifo", mode: "0622" },
    { path: "/etc/pipe-hard", type: "fifo", hardlink: "/etc/pipe" },
    { path: "/locked", type: "dir", mode: "0500" },
    { path: "/locked/in", type: "dir", mode: "3711" },
    { path: "/locked/in/file", type: "file", content: noise(10, 11), mode: "0400" },
    { path: "/no/parent/of/this/file", type: "file", content: noise(12, 12) },
    { path: "/srv", type: "dir" },
    { path: "/srv/table", type: "file", parts: { size: 700_000, data: [{ at: 0, bytes: noise(700_000, 13) }] } },
    { path: "/srv/sparse", type: "file", parts: { size: 5_000_000, data: [
      { at: 262_144, bytes: table },
      { at: 3_000_001, bytes: noise(9000, 14) },
      { at: 3_100_000, bytes: table.subarray(0, 50_000) },
    ] } },
    { path: "/srv/all hole", type: "file", parts: { size: 1_000_000, data: [] } },
  ];
  if (root) items.push({ path: "/srv/null", type: "char", rdev: "1:3" }, { path: "/srv/disk", type: "block", rdev: "259:70000" });
  return items;
}

type Seen = Record<string, unknown>;

/** What stands on disk below `folder`, by path in Latin-1 so that no byte is lost; folders in no catalog carry no facts. */
export function seenTree(folder: string, catalogued: ReadonlySet<string>): Map<string, Seen> {
  const found = new Map<string, Seen>();
  const groups = new Map<bigint, string>();
  const visit = (path: Buffer): void => {
    for (const name of readdirSync(Buffer.concat([Buffer.from(folder), path]), { encoding: "buffer" }).sort((a, b) => a.compare(b))) {
      const below = Buffer.concat([path, Buffer.from("/"), name]);
      const key = below.toString("latin1");
      const full = Buffer.concat([Buffer.from(folder), below]);
      const stat = lstatSync(full, { bigint: true });
      const type = stat.isDirectory() ? "dir" : stat.isSymbolicLink() ? "symlink" : stat.isFIFO() ? "fifo"
        : stat.isCharacterDevice() ? "char" : stat.isBlockDevice() ? "block" : "file";
      const seen: Seen = { type };
      if (catalogued.has(key)) {
        Object.assign(seen, { uid: Number(stat.uid), gid: Number(stat.gid), mtimeNs: stat.mtimeNs });
        if (type !== "symlink") seen["mode"] = (stat.mode & 0o7777n).toString(8).padStart(4, "0");
      }
      if (type === "file") {
        seen["sha256"] = createHash("sha256").update(readFileSync(full)).digest("hex");
        seen["size"] = Number(stat.size);
      }
      if (type === "symlink") seen["target"] = readlinkSync(full, { encoding: "buffer" }).toString("latin1");
      if (type === "char" || type === "block") seen["rdev"] = stat.rdev;
      if (type !== "dir") {
        seen["first"] = groups.get(stat.ino) ?? key;
        if (stat.nlink > 1n && !groups.has(stat.ino)) groups.set(stat.ino, key);
      }
      found.set(key, seen);
      if (type === "dir") visit(below);
    }
  };
  visit(Buffer.alloc(0));
  return found;
}

function wholeContent(item: Item): Buffer {
  if (!item.parts) return item.content ?? Buffer.alloc(0);
  const bytes = Buffer.alloc(item.parts.size);
  for (const part of item.parts.data) part.bytes.copy(bytes, part.at);
  return bytes;
}

/** Linux's number of a device (gnu_dev_makedev). */
function device(text: string): bigint {
  const [major = 0, minor = 0] = text.split(":").map(Number);
  return (BigInt(major) << 8n) | (BigInt(minor) & 0xffn) | ((BigInt(minor) & ~0xffn) << 12n);
}

/** The same facts as `seenTree`, from what was archived; `folders` are parents that no item names. */
export function expectedTree(items: Item[], folders: string[] = []): Map<string, Seen> {
  const latin = (path: string | Buffer): string => Buffer.from(path).toString("latin1");
  const byPath = new Map(items.map((item) => [latin(item.path), item]));
  const expected = new Map<string, Seen>(folders.map((path) => [path, { type: "dir" }]));
  for (const [key, item] of byPath) {
    const first = item.hardlink === undefined ? item : byPath.get(latin(item.hardlink)) ?? item;
    const [, sec = "", nsec = ""] = /^(-?\d+)\.(\d{9})$/.exec(first.mtime ?? "1700000000.123456789") ?? [];
    const content = wholeContent(first);
    expected.set(key, {
      type: item.type, uid: first.uid ?? me.uid, gid: first.gid ?? me.gid, mtimeNs: BigInt(sec) * 1_000_000_000n + BigInt(nsec),
      ...(item.type === "symlink" ? { target: latin(first.target ?? "") } : { mode: first.mode ?? (item.type === "dir" ? "0755" : "0644") }),
      ...(item.type === "file" ? { sha256: createHash("sha256").update(content).digest("hex"), size: content.length } : {}),
      ...(item.rdev === undefined ? {} : { rdev: device(item.rdev) }),
      ...(item.type === "dir" ? {} : { first: firstOfGroup(items, first).map(latin).sort()[0] }),
    });
  }
  return expected;
}

function firstOfGroup(items: Item[], first: Item): (string | Buffer)[] {
  return [first.path, ...items.filter((item) => item.hardlink === first.path).map((item) => item.path)];
}
