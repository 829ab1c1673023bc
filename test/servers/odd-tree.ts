/** A tree of everything that is rare, as root can make it; and what no path of 4096 bytes leads to. */
import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeTree, type TreeSpec } from "../support/tree.ts";

const raw = (...bytes: (string | number)[]): Buffer => Buffer.concat(bytes.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part))));

/** Repeatable bytes that do not compress. */
export function noise(bytes: number, seed: number): Buffer {
  const out = Buffer.alloc(bytes);
  let state = seed >>> 0 || 1;
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out.writeUInt32LE(state >>> 0, at);
  }
  return out;
}

const MEMBERS: TreeSpec = [
  ["plain", { type: "file", content: "plain\n", mode: 0o640, uid: 1234, gid: 5678, mtime: "1700000000.123456789" }],
  ["empty", ""],
  ["before 1970", { type: "file", content: "old", mtime: "-86400.500000001" }],
  ["far future", { type: "file", content: "new", mtime: "4102444800.999999999" }],
  [raw("latin1-", 0xe9, 0xff, "-name"), { type: "file", content: "not UTF-8", mode: 0o600 }],
  [raw("dir-", 0x80, "/below-", 0xc3), "in a folder that is not UTF-8"],
  ["new\nline\tand\x01control \\ back\\slash '\"$`*?[", "shell and terminal food"],
  [" leading and trailing ", "blanks"],
  ["-rf", "looks like an option"],
  ["n".repeat(255), "the longest name"],
  ["ünïcödé-名前-\u{1f600}", "more than ASCII"],
  ["\ufffd-is-a-name-too", "the replacement character itself"],
  ["setuid", { type: "file", content: "#!/bin/sh\n", mode: 0o4755 }],
  ["setgid", { type: "file", content: "#!/bin/sh\n", mode: 0o2755, uid: 33, gid: 33 }],
  ["no-access", { type: "file", content: "secret", mode: 0o000 }],
  ["sticky/inner", { type: "directory", mode: 0o3777, mtime: "1600000000.000000001" }],
  ["closed", { type: "directory", mode: 0o555, mtime: "1500000000.5" }],
  ["closed/in it", { type: "file", content: "there", mtime: "1500000001.25" }],
  ["fifo", { type: "fifo", mode: 0o622, uid: 7, gid: 8, mtime: "1400000000.000000007" }],
  ["null", { type: "device", kind: "c", major: 1, minor: 3, mode: 0o666 }],
  ["disk", { type: "device", kind: "b", major: 259, minor: 70_000, mode: 0o660 }],
  ["link", { type: "symlink", target: "plain", mtime: "1300000000.000000003", uid: 5, gid: 6 }],
  ["dangling", { type: "symlink", target: "/nowhere/at all" }],
  ["outward", { type: "symlink", target: "../../../../etc/passwd" }],
  ["raw-target", { type: "symlink", target: raw("to-", 0xfe, "\n") }],
  ["hard-1", { type: "file", content: "one inode, three names", mode: 0o604 }],
  ["deeper/down/hard-2", { type: "hardlink", target: "hard-1" }],
  ["a-hard-0", { type: "hardlink", target: "hard-1" }],
  ["link-again", { type: "hardlink", target: "link" }],
  ["fifo-again", { type: "hardlink", target: "fifo" }],
  ["attributes", { type: "file", content: "x", xattrs: { "user.note": "hello", "user.binary": "0x00ff0a", "trusted.root": "only" } }],
  ["attributes-dir", { type: "directory", xattrs: { "user.note": "on a folder" } }],
  ["large", { type: "file", content: noise(5_000_000, 3) }],
  ["large-twin", { type: "file", content: noise(5_000_000, 3), mode: 0o755 }],
  ["repeats", { type: "file", content: Buffer.alloc(3_000_000, "the same line again and again\n") }],
  ["hole-at-end", { type: "file", content: noise(10_000, 4), sizeBytes: 4_000_000 }],
  ["only-hole", { type: "file", sizeBytes: 1_000_000_000 }],
];

/** Data, a hole, data, a hole; 64 KiB blocks, so that every file system keeps the holes. */
function makeSparse(path: string): void {
  const descriptor = openSync(path, "wx");
  try {
    for (const at of [0, 1_048_576, 50_331_648]) writeSync(descriptor, noise(65_536, at + 1), 0, 65_536, at);
    ftruncateSync(descriptor, 67_108_864);
  } finally {
    closeSync(descriptor);
  }
}

/** Needs root, `setfattr`, `setfacl` and `setcap`. Throws when a member cannot be made. */
export function makeOddTree(dir: string): void {
  makeTree(dir, MEMBERS);
  makeSparse(join(dir, "sparse"));
  makeTree(dir, { capable: { type: "file", content: "#!/bin/sh\n", mode: 0o755 }, shared: "x", "shared-dir": { type: "directory" } });
  execFileSync("setcap", ["cap_net_bind_service=+ep", join(dir, "capable")]);
  execFileSync("setfacl", ["-m", "u:1234:rwx,g:5678:r,m::rwx", join(dir, "shared")]);
  execFileSync("setfacl", ["-m", "u:4321:rx,d:u:4321:rwx,d:g::r", join(dir, "shared-dir")]);
  makeTree(dir, { "many/0": "0" });
  for (let i = 1; i < 300; i++) makeTree(join(dir, "many"), { [String(i)]: `file ${i}\n`.repeat(i) });
}

/** Folders inside each other until the path is about 6,000 bytes long, with a file at the bottom. */
export function makeLongPath(dir: string): void {
  const script = 'set -e; mkdir "$1"; cd "$1"; i=0; while [ $i -lt 30 ]; do mkdir "$2"; cd -P "./$2"; i=$((i + 1)); done; echo bottom > file; ln file other; chmod 0750 .';
  execFileSync("bash", ["-c", script, "bash", dir, "d".repeat(200)]);
}
