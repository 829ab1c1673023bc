/** ACLs as the kernel shows them, checked with real ones. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { libc } from "../../src/disk/libc.ts";
import { remapAcl } from "../../src/format/posix-acl.ts";
import { tempDir } from "../support/temp-dir.ts";

const MAP = { users: new Map([[1000, 1005]]), groups: new Map([[1000, 2000]]) };

test("named users and groups get their new numbers, everything else stays, as getfacl reads it back", () => {
  const path = join(tempDir(), "d");
  mkdirSync(path);
  execFileSync("setfacl", ["-m", "u:1000:rw,u:1001:r,g:1000:x,d:u:1000:r", path]);
  for (const name of ["system.posix_acl_access", "system.posix_acl_default"]) {
    const value = libc?.getXattr(path, name);
    if (value === undefined) throw new Error("no ACL to read");
    libc?.setXattr(path, name, remapAcl(value, MAP));
  }
  const acl = execFileSync("getfacl", ["-nc", path], { encoding: "utf8" });
  expect(acl).toContain("user:1005:rw-");
  expect(acl).toContain("user:1001:r--");
  expect(acl).toContain("group:2000:--x");
  expect(acl).toContain("default:user:1005:r--");
  expect(acl).not.toMatch(/user:1000:|group:1000:/);
});

test.each([Buffer.alloc(0), Buffer.from([1, 0, 0, 0]), Buffer.from([2, 0, 0, 0, 2, 0, 7]), Buffer.alloc(12, 3)])("what has another form comes back as it is", (value) => {
  expect(remapAcl(value, MAP)).toEqual(value);
});
