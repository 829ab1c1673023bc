/** What a terminal, a narrow one, and a pipe that closes get to see. */
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { setUpHost } from "../support/host.ts";
import { runColdkeep } from "../support/program.ts";
import { onTerminal } from "../support/terminal-session.ts";

describe("verdicts on a terminal", () => {
  test("have a colour beside their word, but where colours are not wanted", async () => {
    const host = await setUpHost();
    const doctor = (env: Record<string, string>, ...more: string[]) => host.run(["doctor", "--config", host.config, ...more], { wrapper: onTerminal(80), env: { TERM: "xterm", ...env } });
    const { stdout } = await doctor({});
    expect(stdout).toMatch(/\x1b\[32mOK\x1b\[0m {4}configuration: /);
    expect(stdout).toMatch(/\x1b\[33mWARN\x1b\[0m {2}recipients: /);
    for (const plain of [await doctor({ NO_COLOR: "1" }), await doctor({ TERM: "dumb" }), await doctor({}, "--no-color")]) {
      expect(plain.stdout).toMatch(/OK {4}configuration: /);
      expect(plain.stdout).not.toContain("\x1b[3");
    }
    const status = await host.run(["status", "--config", host.config], { wrapper: onTerminal(80), env: { TERM: "xterm" } });
    expect(status.stdout).toMatch(/web1: \x1b\[31mAT RISK\x1b\[0m\r?\n/);
    expect(status.stdout).toMatch(/\x1b\[31mCRITICAL\x1b\[0m {2}/);
  });
});

test("progress stays on one line of a narrow terminal", async () => {
  const host = await setUpHost({ tree: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`directory-${i % 7}/file-${i}`, "x".repeat(2000)])) });
  for (const verb of ["backup", "verify"]) {
    const { status, stdout } = await host.run([verb, "--config", host.config], { wrapper: onTerminal(60), env: { TERM: "xterm" } });
    expect(status).toBe(0);
    const frames = stdout.split(/[\r\n]|\x1b\[\d*[GKAJ]/).map(stripVTControlCharacters).filter((line) => /^[⠀-⣿]/u.test(line));
    expect(frames.length).toBeGreaterThan(0);
    for (const frame of frames) expect(frame.length).toBeLessThan(60);
  }
});

test("a pipe that closes ends a listing in silence", async () => {
  const host = await setUpHost({ tree: Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`${"long-name-".repeat(10)}${i}`, ""])) });
  await host.backup();
  const head = ["bash", "-c", '"$@" | head -n 1', "bash"];
  const first = await runColdkeep(["files", "--config", host.config], { env: host.env, wrapper: head });
  expect(first).toMatchObject({ status: 0, stderr: "" });
  expect(first.stdout.trimEnd().split("\n")).toHaveLength(1);
  const gone = await runColdkeep(["files", "--config", host.config], { env: host.env, wrapper: ["bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "bash"] });
  expect(gone).toMatchObject({ signal: null, stderr: "" });
});
