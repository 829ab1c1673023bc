import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { runColdkeep, startColdkeep, tempDir, waitUntil } from "../support/program.ts";
import { onTerminal } from "../support/terminal-session.ts";

const RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const VERSION: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;

function writeConfig(folder: string, sources: string): string {
  const path = join(folder, "coldkeep.yaml");
  writeFileSync(
    path,
    `vault: "00112233445566778899aabbccddeeff"\nhost: web1\nregions:\n  - {name: a, url: "file://${folder}/a"}\nrecipients: [${RECIPIENT}]\nsources:\n${sources}\nstate: ${folder}/state\n`,
  );
  return path;
}

// What it loads, and where its modules lie, is asked of an installation.
vi.stubEnv("COLDKEEP_TEST_PROGRAM", "");

describe("--version", () => {
  test("loads next to nothing", async () => {
    const hook = 'import {registerHooks} from "node:module"; registerHooks({load(url, context, next) { process.stderr.write(url + "\\n"); return next(url, context); }});';
    const run = await runColdkeep(["--version"], { env: { NODE_OPTIONS: `--import="data:text/javascript,${encodeURIComponent(hook)}"` } });
    expect(run).toMatchObject({ status: 0, stdout: `${String(VERSION)}\n` });
    const loaded = run.stderr.trim().split("\n").filter((url) => url.startsWith("file:"));
    expect(loaded.map((url) => url.replace(/^.*\//, ""))).toEqual(["coldkeep.js", expect.stringMatching(/^main\.[jt]s$/)]);
  });

  test("takes at most three times what Node itself takes to start", async () => {
    const program = fileURLToPath(new URL("../../bin/coldkeep.js", import.meta.url));
    const fastest = (args: string[]): number =>
      Math.min(
        ...Array.from({ length: 8 }, () => {
          const before = performance.now();
          expect(spawnSync(process.execPath, args, { env: { PATH: process.env["PATH"] ?? "" } }).status).toBe(0);
          return performance.now() - before;
        }),
      );
    expect(fastest(["-C", "dev", program, "--version"])).toBeLessThan(3 * fastest(["-e", "0"]));
  });
});

describe("the ways a run ends", () => {
  test("help is data, and no verb at all is wrong usage", async () => {
    const help = await runColdkeep(["--help"]);
    expect(help).toMatchObject({ status: 0, stderr: "" });
    expect(help.stdout).toMatch(/^Usage: coldkeep/);
    const nothing = await runColdkeep([]);
    expect(nothing).toMatchObject({ status: 2, stdout: "" });
    expect(nothing.stderr).toMatch(/^Usage: coldkeep/);
  });

  test("wrong usage is exit 2, with a hint, and with --json one document", async () => {
    const plain = await runColdkeep(["bakup"]);
    expect(plain).toMatchObject({ status: 2, stdout: "" });
    expect(plain.stderr).toMatch(/^coldkeep: error: unknown command 'bakup'\ncoldkeep: hint: .*Did you mean "backup"\?\n$/);
    const json = await runColdkeep(["backup", "--dryrun", "--json"]);
    expect(json.status).toBe(2);
    expect(json.json()).toEqual({ schemaVersion: 1, error: { code: "E_USAGE", message: expect.stringContaining("--dryrun"), hint: expect.stringContaining("--dry-run") } });
  });

  test("a wrong configuration is exit 2 at its line, and its name cannot command the terminal", async () => {
    const folder = join(tempDir(), "e\x1b[2Jvil");
    mkdirSync(folder);
    const config = writeConfig(folder, "  - /etc\nsuorces: []");
    const run = await runColdkeep(["config", "check", "--config", config]);
    expect(run.status).toBe(2);
    expect(run.stderr).toMatch(/e\\u001b\[2Jvil\/coldkeep\.yaml:8:1: suorces: is not a known key\ncoldkeep: hint: Did you mean "sources"\?\n$/);
    expect(run.stderr).not.toContain("\x1b");
  });

  test("a run that waits for what can never come is no success", async () => {
    const folder = tempDir();
    mkdirSync(join(folder, "a"));
    const hook = 'import fs from "node:fs/promises"; import { syncBuiltinESMExports } from "node:module"; fs.open = () => new Promise(() => undefined); syncBuiltinESMExports();';
    const env = { NODE_OPTIONS: `--import="data:text/javascript,${encodeURIComponent(hook)}"` };
    const run = await runColdkeep(["list", "--region", `file://${folder}/a`, "--signer", "ed25519:7ra07JVGsZ7pzUxu78hRpY8SF8DZYinwScZ5UyGTd2A="], { env });
    expect(run).toMatchObject({ status: 1, stdout: "" });
    expect(run.stderr).toMatch(/the run broke off/);
  });

  test("a stack is shown with --debug only", async () => {
    const args = ["config", "show", "--config", "/nonexistent/c.yaml"];
    expect((await runColdkeep(args)).stderr).not.toMatch(/\bat .*\.[jt]s:/);
    expect((await runColdkeep([...args, "--debug"])).stderr).toMatch(/\bat .*load\.[jt]s:/);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s is exit 130, also with --json", async (signal) => {
    const folder = tempDir();
    const running = startColdkeep(["config", "check", "--json", "--config", writeConfig(folder, "  - /usr")]);
    const pid = running.child.pid ?? 0;
    // SIGHUP, the lowest bit, is caught by nobody but the program; Node itself catches the other two from its start.
    const listens = (): boolean => /^SigCgt:\s*[0-9a-f]*[13579bdf]$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    await waitUntil("the program listens for signals", listens);
    running.child.kill(signal);
    const run = await running.result;
    expect(run).toMatchObject({ status: 130, signal: null });
    expect(run.json()).toMatchObject({ error: { code: "E_INTERRUPTED", message: `interrupted by ${signal}` } });
  });

  test("a reader that goes away is met with silence", async () => {
    const running = startColdkeep(["--help"]);
    running.child.stdout?.destroy();
    const run = await running.result;
    expect(run.stderr).toBe("");
    expect(run.signal).toBeNull();
  });

  test("a full disk behind stdout is a failure", async () => {
    const run = await runColdkeep(["config", "schema"], { wrapper: ["sh", "-c", 'exec "$@" > /dev/full', "sh"] });
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^coldkeep: error: cannot write to standard output: .*ENOSPC/);
  });
});

describe("on a terminal", () => {
  const wrapper = onTerminal(80);
  const args = ["config", "show", "--config", "/nonexistent/c.yaml"];

  test("errors are coloured, but for NO_COLOR", async () => {
    const colored = await runColdkeep(args, { wrapper, env: { TERM: "xterm" } });
    expect(colored.stdout).toContain("coldkeep: \x1b[31merror\x1b[0m: there is no configuration");
    const plain = await runColdkeep(args, { wrapper, env: { TERM: "xterm", NO_COLOR: "1" } });
    expect(plain.stdout).toContain("coldkeep: error: there is no configuration");
    expect(plain.stdout).not.toContain("\x1b[3");
  });

  test("progress shows, and with -q or --json it does not", async () => {
    const config = writeConfig(tempDir(), "  - /usr");
    const run = (...more: string[]) => runColdkeep(["config", "check", "--config", config, ...more], { wrapper, env: { TERM: "xterm" } });
    const shown = (await run()).stdout;
    expect(shown).toMatch(/\/usr: \d+ entries/);
    expect(shown).toContain("\x1b[?25l");
    expect((await run("-q")).stdout).not.toContain("\x1b[?25l");
    expect((await run("--json")).stdout).not.toContain("\x1b[?25l");
    const blind = await runColdkeep(["config", "check", "--config", config], { wrapper: onTerminal(0), env: { TERM: "xterm" } });
    expect(blind.stdout).not.toContain("\x1b[?25l");
  });
});

describe("config", () => {
  test("check counts what every pattern decides, without entering what is left out", async () => {
    const folder = tempDir();
    for (const name of ["src/a.o", "src/b.o", "src/keep.o", "src/main.c", "cache/x/a.o", "cache/y"]) {
      mkdirSync(join(folder, "data", name, ".."), { recursive: true });
      writeFileSync(join(folder, "data", name), "12345");
    }
    const config = writeConfig(folder, `  - path: ${folder}/data\n    exclude: ["*.o", "!keep.o", "${folder}/data/cache", "*.nothing"]`);
    const json = await runColdkeep(["config", "check", "--json", "--config", config]);
    expect(json.status).toBe(0);
    expect(json.json()).toMatchObject({
      schemaVersion: 1,
      path: config,
      sources: [
        {
          path: `${folder}/data`,
          sizeBytes: 10,
          patterns: [
            { pattern: "*.o", matches: 2 },
            { pattern: "!keep.o", matches: 1 },
            { pattern: `${folder}/data/cache`, matches: 1 },
            { pattern: "*.nothing", matches: 0 },
          ],
          problemsTotal: 0,
        },
      ],
    });
    const text = await runColdkeep(["config", "check"], { env: { COLDKEEP_CONFIG: config } });
    expect(text.stdout).toMatch(/\n {10}2 {2}\*\.o\n/);
    expect(text.stderr).toMatch(/"\*\.nothing" matches nothing\ncoldkeep: hint: /);
  });

  test("check is partial where a source is missing, and names it", async () => {
    const folder = tempDir();
    const run = await runColdkeep(["config", "check", "--config", writeConfig(folder, `  - ${folder}/gone`)]);
    expect(run.status).toBe(3);
    expect(run.stderr).toContain(`${folder}/gone`);
  });

  test("schema and show", async () => {
    const schema = await runColdkeep(["config", "schema"]);
    expect(schema.json()).toMatchObject({ title: "coldkeep configuration", additionalProperties: false });
    const config = writeConfig(tempDir(), "  - /etc");
    const shown = await runColdkeep(["config", "show", "--json", "--config", config]);
    expect(shown.json()).toMatchObject({ schemaVersion: 1, path: config, config: { host: "web1", copies: 1, memoryBytes: null, readers: null } });
    expect((await runColdkeep(["config", "show", "--config", config])).stdout).toMatch(/^memory {9}by the cores$/m);
  });
});
