/** The whole program as one executable, alone on a machine without Node; and its way into regions and back. */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256Hex } from "../../src/codec/digest.ts";
import { noise, setUpHost } from "../support/host.ts";
import { runColdkeep, tempDir, treeDigest } from "../support/program.ts";
import { buildSingleFile, fetchProgram } from "../support/single-file.ts";

/** No Node, and no other program either. */
const ALONE = { PATH: "/nonexistent" };
const root = resolve(import.meta.dirname, "../..");

let program: string;
let sha256: string;

beforeAll(() => {
  program = buildSingleFile();
  sha256 = sha256Hex(readFileSync(program));
  process.env["COLDKEEP_TEST_PROGRAM"] = program;
}, 120_000);
afterAll(() => delete process.env["COLDKEEP_TEST_PROGRAM"]);

test("comes with its digest, and needs no library that a bare Debian lacks", () => {
  expect(readFileSync(`${program}.sha256`, "utf8")).toBe(`${sha256}  coldkeep\n`);
  const needed = execFileSync("ldd", [program], { encoding: "utf8" });
  expect(needed).toContain("libstdc++");
  expect(needed).not.toMatch(/libatomic|not found/);
});

test("prints the version of the sources, whatever Node is told by the environment", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const run = await runColdkeep(["--version"], { env: { ...ALONE, NODE_OPTIONS: "--no-such-option" } });
  expect(run).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: "" });
});

test("archives, lists, verifies and restores without Node on the machine", async () => {
  const host = await setUpHost({ env: ALONE, tree: { "a.txt": "alpha", "sub/b.txt": "beta", "large": noise(9_000_000, 1) } });
  const run = await host.backup();
  expect(run).toMatchObject({ status: 0, stderr: "" });
  expect(run.document).toMatchObject({ status: "complete", regions: { a: "complete", b: "complete" } });
  expect((await host.run(["list", "--config", host.config])).stdout).toContain(run.document.archive);
  for (const level of ["presence", "checksum", "content"]) {
    expect(await host.run(["verify", "--level", level, "--kit", host.movedKit])).toMatchObject({ status: 0, stderr: "" });
  }
  expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
  expect(readFileSync(join(host.region("a"), "recover.sh"), "utf8")).toBe(readFileSync(join(root, "src/recovery/recover.sh"), "utf8"));
});

test("starts in an environment without variables, in a folder that is gone", () => {
  const script = `mkdir gone && cd gone && rmdir ../gone && exec env -i "$1" --help`;
  expect(execFileSync("sh", ["-c", script, "sh", program], { cwd: tempDir(), encoding: "utf8" })).toContain("publish-program");
});

test("publishes itself, and the kit it wrote lets recover.sh take it and no other", async () => {
  const host = await setUpHost({ env: ALONE, regions: { a: `file://${tempDir()}/a` } });
  const published = await host.run(["publish-program", "--config", host.config, "--json"]);
  expect(published.status, published.stderr).toBe(0);
  expect(published.json()).toMatchObject({ sha256, regions: { a: "sent" } });
  expect(readFileSync(host.movedKit, "utf8")).toContain(`\n# program: sha256 ${sha256}\n`);
  const folder = tempDir();
  copyFileSync(join(host.region("a"), "recover.sh"), join(folder, "recover.sh"));
  const fetched = await fetchProgram(folder, host.movedKit);
  expect(fetched, fetched.said).toMatchObject({ status: 0 });
  expect(sha256Hex(readFileSync(fetched.program))).toBe(sha256);
});
