/** The demo on a small tree: that it passes, that it can fail, and that nothing of it stays. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { makeTree, tempDir, waitUntil } from "../support/program.ts";

const demo = fileURLToPath(new URL("../demo/demo.ts", import.meta.url));

type Ended = { status: number | null; stdout: string; stderr: string; left: string[] };

function startDemo(...args: string[]): { child: ChildProcess; folder: string; ended: Promise<Ended> } {
  const source = tempDir();
  const files = Array.from({ length: 60 }, (_, i) => [`d${i % 7}/file ${i}`, { type: "file" as const, content: `content ${i}\n`.repeat(i * 10) }] as const);
  makeTree(source, { ...Object.fromEntries(files), "d0/link": { type: "symlink", target: "file 0" }, "d1/twin": { type: "hardlink", target: "d1/file 1" } });
  const folder = tempDir();
  const env = { ...process.env, TMPDIR: folder, HOME: folder };
  const child = spawn(process.execPath, [demo, "--source", source, "--entries", "50", ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (piece: Buffer) => (text.stdout += piece.toString()));
  child.stderr.on("data", (piece: Buffer) => (text.stderr += piece.toString()));
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (status) => resolve({ status, ...text, left: readdirSync(folder).filter((name) => name.startsWith("coldkeep-demo")) }));
  });
  return { child, folder, ended };
}

test("passes, and shows each step with the proof that it can fail", async () => {
  const { status, stdout, stderr, left } = await startDemo().ended;
  expect({ status, stderr, left }).toEqual({ status: 0, stderr: "", left: [] });
  for (const what of [/backup +\d+ entries/, /damaged in north, whole in south \(exit 3\)/, /taken from south/, /is the same/, /lost, in every region \(exit 1\)/, /^passed: /m]) {
    expect(stdout).toMatch(what);
  }
});

test("a byte flipped in both regions makes it fail, with the lost file named", async () => {
  const { status, stdout, stderr, left } = await startDemo("--damage-both").ended;
  expect({ status, left }).toEqual({ status: 1, left: [] });
  expect(stderr).toMatch(/demo failed: .*could not be restored from any region/);
  expect(stderr).toContain("/server/orders.db");
  expect(stdout).not.toContain("passed");
});

test("leaves nothing behind when it is stopped", async () => {
  const { child, folder, ended } = startDemo();
  await waitUntil("the demo has its folder", () => readdirSync(folder).some((name) => name.startsWith("coldkeep-demo") && readdirSync(join(folder, name)).includes("server")));
  child.kill("SIGINT");
  const { status, stdout, left } = await ended;
  expect({ status, left }).toEqual({ status: 130, left: [] });
  expect(stdout).not.toContain("passed");
});
