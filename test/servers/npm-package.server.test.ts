/** The npm package: packed from a clean copy, installed as anybody would, and used. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { setUpHost } from "../support/host.ts";
import { tempDir, treeDigest } from "../support/program.ts";

const root = resolve(import.meta.dirname, "../..");

/** Packing builds: in a copy, so that what is built here stays. */
function packInCopy(): string {
  const copy = tempDir();
  for (const name of ["bin", "docs", "src", "package.json", "package-lock.json", "tsconfig.json", "README.md"]) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  execFileSync("npm", ["pack", "--silent"], { cwd: copy, stdio: ["ignore", "pipe", "inherit"] });
  return join(copy, readdirSync(copy).find((name) => name.endsWith(".tgz")) ?? "no package");
}

test("is installed from its tarball, holds the program and its documents alone, and archives and restores", async () => {
  const target = tempDir();
  mkdirSync(join(target, "lib"));
  execFileSync("npm", ["install", "--global", "--prefix", target, "--prefer-offline", "--no-audit", "--no-fund", "--silent", packInCopy()], { stdio: ["ignore", "pipe", "inherit"] });
  const installed = join(target, "lib/node_modules/coldkeep");
  expect(readdirSync(installed).toSorted()).toEqual(["README.md", "bin", "dist", "docs", "node_modules", "package.json"]);
  expect(readdirSync(join(installed, "bin"))).toEqual(["coldkeep.js"]);

  const program = join(target, "bin/coldkeep");
  expect(execFileSync(program, ["--version"], { encoding: "utf8" })).toBe(`${String(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version)}\n`);
  vi.stubEnv("COLDKEEP_TEST_PROGRAM", program);
  onTestFinished(() => void vi.unstubAllEnvs());
  const host = await setUpHost();
  writeFileSync(join(host.source, "more.txt"), "more");
  expect(await host.backup()).toMatchObject({ status: 0, stderr: "" });
  expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
});
