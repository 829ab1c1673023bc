import { expect, test } from "vitest";
import { decodeFile, encodeFile } from "../../../src/engine/restore/file-line.ts";
import type { Entry } from "../../../src/format/entry.ts";

const ENTRY: Entry = { path: "/a", type: "file", mode: 0o644, uid: 1, gid: 2, mtime: "-5.500000000", ctime: "1.000000000", ino: "1", dev: "1", size: 0 };
const SHA256 = "0123456789abcdef".repeat(4);

test("a file comes back as what its entry says, raw names and attributes included", () => {
  const xattrs = [{ name: "user.\udcff", value: Buffer.from([0, 255]) }, { name: "user.empty", value: Buffer.alloc(0) }];
  const extents = [{ volume: "20261123t184112345z-aaaaaaaaaaaaaaaa", frame: [7, 9] as const, offset: 512, length: 5 }];
  const line = encodeFile({ ...ENTRY, path: '/raw\udcff\n"\\', user: "root", group: "g\udc80", size: 5, sha256: SHA256, extents, xattrs });
  expect(line).not.toContain("\n");
  expect(decodeFile(line)).toEqual({
    path: '/raw\udcff\n"\\', mode: 0o644, uid: 1, gid: 2, user: "root", group: "g\udc80", mtime: "-5.500000000", size: 5, xattrs,
    piece: { frame: [7, 9], offset: 512, sha256: SHA256 },
  });
});

test("an empty file has no piece; other lines are no files", () => {
  expect(decodeFile(encodeFile(ENTRY))).toMatchObject({ path: "/a", size: 0, piece: null, user: undefined, xattrs: undefined });
  expect(decodeFile('{"path":"/a"}')).toBeNull();
});
