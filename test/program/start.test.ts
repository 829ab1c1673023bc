/** What `bin/coldkeep.js` does before the program proper: the Node check, which code it loads, and silence about Node's experiments. */
import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { tempDir } from "../support/temp-dir.ts";
import { makeTree, type TreeSpec } from "../support/tree.ts";

const root = resolve(import.meta.dirname, "../..");

/** Runs a copy of the starter beside the given files. */
function start(files: TreeSpec, ...nodeOptions: string[]): { status: number | null; stdout: string; stderr: string } {
  const dir = tempDir();
  makeTree(dir, { bin: { type: "directory" } });
  makeTree(dir, files);
  for (const path of ["package.json", "bin/coldkeep.js"]) copyFileSync(join(root, path), join(dir, path));
  const env = { PATH: process.env["PATH"] ?? "", HOME: dir, NODE_COMPILE_CACHE: join(dir, "cache") };
  return spawnSync(process.execPath, [...nodeOptions, join(dir, "bin/coldkeep.js")], { encoding: "utf8", env });
}

const built = { "dist/cli/main.js": 'console.log("built");' };
const sources = { "src/cli/main.ts": 'const what: string = "sources"; console.log(what);' };

test("an older Node gets one line with the ways out, and exit status 2", () => {
  const pretend = 'data:text/javascript,Object.defineProperty(process.versions, "node", { value: "25.9.1" })';
  const { status, stdout, stderr } = start(built, "--import", pretend);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^coldkeep: error: Node 26 is needed .*install Node 26 or newer.*single-file executable.*\n$/);
});

test("runs what was built, the sources under the condition `dev` or where nothing was built", () => {
  expect(start({ ...built, ...sources }).stdout).toBe("built\n");
  expect(start({ ...built, ...sources }, "-C", "dev").stdout).toBe("sources\n");
  expect(start(sources)).toMatchObject({ status: 0, stdout: "sources\n", stderr: "" });
});

test("an installation without its code is said to be incomplete", () => {
  const { status, stderr } = start({});
  expect(status).toBe(1);
  expect(stderr).toMatch(/^coldkeep: error: the installation is incomplete: .*\ncoldkeep: hint: In a clone run `npm ci` and `npm run build`.*\n$/);
});

test("drops notices about experimental parts of Node, and no other warning", () => {
  const main = 'import "node:ffi"; import "node:sqlite"; process.emitWarning("a real one");';
  const { stderr } = start({ "dist/cli/main.js": main });
  expect(stderr).toContain("Warning: a real one");
  expect(stderr).not.toContain("Experimental");
});

test("a defect of the program is shown as such, not as a broken installation", () => {
  const { status, stderr } = start({ "dist/cli/main.js": 'throw new TypeError("defect");' });
  expect(status).toBe(1);
  expect(stderr).toContain("TypeError: defect");
  expect(stderr).not.toContain("incomplete");
});
