/** What dpkg says it brought, on a made database and on this machine's. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packagedFiles } from "../../src/machine/packaged-files.ts";
import { tempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";

test("files and links, not directories, not configuration; both names of a merged /usr", () => {
  const root = tempDir();
  makeTree(join(root, "var/lib/dpkg/info"), {
    "tool.list": "/.\n/etc\n/etc/tool.conf\n/bin\n/bin/tool\n/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc/tool\n/usr/share/doc/tool/copyright\n",
    "tool.conffiles": "/etc/tool.conf\n",
    "odd.list": "not a path\n",
  });
  expect([...packagedFiles(root)].toSorted()).toEqual(["/bin/tool", "/usr/bin/tool", "/usr/share/doc/tool/copyright"]);
});

test("nothing where there is no dpkg", () => {
  expect(packagedFiles(tempDir()).size).toBe(0);
});

test.skipIf(!existsSync("/var/lib/dpkg/info"))("agrees with dpkg on this machine", () => {
  const files = packagedFiles();
  const dash = execFileSync("dpkg", ["--listfiles", "dash"], { encoding: "utf8" }).split("\n");
  expect(dash.filter((path) => files.has(path)).length).toBeGreaterThan(3);
  expect(files.has("/etc")).toBe(false);
  expect(files.has("/usr/share")).toBe(false);
});
