import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { configPath, defaultStateDir, formatConfig, loadConfig, type NewConfig } from "../../src/config/load.ts";
import { CONFIG_BYTES_MAX } from "../../src/config/parse.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coldkeep-load-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const KEY = `ed25519:${Buffer.alloc(32, 1).toString("base64")}`;
const WANTED: NewConfig = {
  // Digits alone, and one e: without quotes YAML would read a number.
  vault: "111222333444555666777888999000e1",
  host: "1e5",
  regions: [
    { name: "a", url: "file:///mnt/with%20blank" },
    { name: "b", url: "s3://bucket/p?endpoint=http://127.0.0.1:7480&path-style=true" },
  ],
  recipients: ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
  signers: [{ role: "operator", key: KEY }],
  sources: [
    { path: '/srv/quote"back\\slash: #x', exclude: ["!keep", "# no comment", "*.\u00e9"] },
    { path: "/etc", exclude: [] },
  ],
  state: "/var/lib/coldkeep",
};

test("a new configuration loads again as what was wanted", () => {
  const path = join(folder, "coldkeep.yaml");
  writeFileSync(path, formatConfig(WANTED));
  const loaded = loadConfig(path);
  expect(loaded.config).toMatchObject({ ...WANTED, copies: 1 });
  expect(loaded).toMatchObject({ path, dir: folder });
});

test("a new configuration that would be wrong, or hold a secret, is not made", () => {
  expect(() => formatConfig({ ...WANTED, copies: 5 })).toThrow(/copies/);
  expect(() => formatConfig({ ...WANTED, sources: [{ path: "/x/AGE-SECRET-KEY-1QQ", exclude: [] }] })).toThrow(/secret/);
});

describe("which file", () => {
  test("flag, then environment, then the user's default", () => {
    const env = { COLDKEEP_CONFIG: "/env.yaml", XDG_CONFIG_HOME: "/xdg", HOME: "/home/eva" };
    expect(configPath("/flag.yaml", env, 0)).toBe("/flag.yaml");
    expect(configPath(undefined, env, 0)).toBe("/env.yaml");
    expect(configPath(undefined, { ...env, COLDKEEP_CONFIG: "" }, 0)).toBe("/etc/coldkeep/coldkeep.yaml");
    expect(configPath(undefined, { XDG_CONFIG_HOME: "/xdg" }, 1000)).toBe("/xdg/coldkeep/coldkeep.yaml");
    expect(configPath(undefined, { XDG_CONFIG_HOME: "rel", HOME: "/home/eva" }, 1000)).toBe("/home/eva/.config/coldkeep/coldkeep.yaml");
  });

  test("the state is beside the configuration, but for root's default", () => {
    expect(defaultStateDir("/etc/coldkeep/coldkeep.yaml", 0)).toBe("/var/lib/coldkeep");
    expect(defaultStateDir("/etc/coldkeep/coldkeep.yaml", 1000)).toBe("/etc/coldkeep/state");
    expect(defaultStateDir("/x/c.yaml", 0)).toBe("/x/state");
  });
});

test("what is no readable text file is refused, and a FIFO does not hang", () => {
  const path = join(folder, "c.yaml");
  expect(() => loadConfig(path)).toThrow(expect.objectContaining({ code: "E_CONFIG", hint: expect.stringContaining("coldkeep init") }));
  expect(() => loadConfig(folder)).toThrow(/not a regular file/);
  execFileSync("mkfifo", [path]);
  expect(() => loadConfig(path)).toThrow(/not a regular file/);
  rmSync(path);
  writeFileSync(path, Buffer.from("host: \xff\n", "latin1"));
  expect(() => loadConfig(path)).toThrow(/UTF-8/);
  writeFileSync(path, Buffer.alloc(CONFIG_BYTES_MAX + 1, "#"));
  expect(() => loadConfig(path)).toThrow(/longer than/);
});
