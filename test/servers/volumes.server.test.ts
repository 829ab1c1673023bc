/** A volume as other programs see it: three readers of tar agree on its members, and standard tools give back small files. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { fileTempDir } from "../support/temp-dir.ts";
import { makeLongPath, makeOddTree } from "./odd-tree.ts";
import { Host } from "./rgw-vault.ts";

const ENV = { ...process.env, LC_ALL: "C.UTF-8" };
const LIMIT = { maxBuffer: 1 << 28, env: ENV };

/** Prints a member's name, size and type a line, the name in hex. */
const PYTHON_LIST = `
import sys, tarfile
with tarfile.open(sys.argv[1], "r:", encoding="utf-8", errors="surrogateescape") as tar:
    for member in tar: print(member.name.encode("utf-8", "surrogateescape").hex())
`;

const ESCAPES: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, "\\": 92, " ": 32 };

/** The bytes of a name that GNU tar or bsdtar printed with backslash escapes. */
function unescape(line: string): string {
  const bytes: number[] = [];
  for (const [, octal, letter, plain] of line.matchAll(/\\([0-7]{3})|\\(.)|([^\\])/gs)) {
    if (octal !== undefined) bytes.push(parseInt(octal, 8));
    else bytes.push(letter === undefined ? (plain ?? "").charCodeAt(0) : (ESCAPES[letter] ?? letter.charCodeAt(0)));
  }
  return Buffer.from(bytes).toString("hex");
}

/** Names as they were printed, one a line, without losing a byte. */
function names(command: string, args: readonly string[]): string[] {
  const lines = execFileSync(command, args, { ...LIMIT, encoding: "latin1", stdio: ["ignore", "pipe", "ignore"] }).split("\n");
  return lines.filter((line) => line !== "");
}

describe("a volume of odd names", () => {
  const folder = fileTempDir();
  const odd = join(folder, "odd");
  const tars: string[] = [];

  beforeAll(async () => {
    mkdirSync(odd);
    makeOddTree(odd);
    makeLongPath(join(folder, "long"));
    const regions = ["north", "south"].flatMap((name) => ["--region", `${name}=file://${join(folder, "regions", name)}`]);
    const host = await Host.create(folder, {}, ["--host", "odd", "--source", odd, "--source", join(folder, "long"), ...regions]);
    await host.backup();
    const volumes = join(folder, "regions/north/hosts/odd/volumes");
    for (const name of readdirSync(volumes)) {
      const tar = join(folder, `${name}.tar`);
      const script = 'set -o pipefail; age -d -i "$1" "$2" | zstd -dc > "$3"';
      execFileSync("bash", ["-c", script, "bash", host.kit, join(volumes, name), tar], LIMIT);
      tars.push(tar);
    }
  });

  test("has the same members for GNU tar, bsdtar and Python's tarfile", () => {
    expect(tars.length).toBeGreaterThan(0);
    let members = 0;
    for (const tar of tars) {
      const python = names("python3", ["-c", PYTHON_LIST, tar]);
      expect(names("tar", ["--quoting-style=escape", "-tf", tar]).map(unescape)).toEqual(python);
      expect(names("bsdtar", ["-tf", tar]).map(unescape)).toEqual(python);
      members += python.length;
    }
    expect(members).toBeGreaterThan(300);
  });

  test("gives small files back by `age -d | zstd -dc | tar x`", () => {
    const out = join(folder, "extracted");
    mkdirSync(out);
    // No tool that opens plain paths can make one of 6,000 bytes.
    const quiet = ["--no-same-owner", "--warning=no-unknown-keyword", "--warning=no-timestamp", "--exclude=*/long/*"];
    for (const tar of tars) execFileSync("tar", ["-xf", tar, "-C", out, ...quiet], LIMIT);
    const paths = ["plain", "n".repeat(255), "-rf", "ünïcödé-名前-\u{1f600}", "new\nline\tand\x01control \\ back\\slash '\"$`*?[", ...Array.from({ length: 300 }, (_, i) => `many/${i}`)];
    for (const path of paths) expect(readFileSync(join(out, odd, path)).equals(readFileSync(join(odd, path))), path).toBe(true);
    const rawName = Buffer.concat([Buffer.from(`${odd}/latin1-`), Buffer.of(0xe9, 0xff), Buffer.from("-name")]);
    expect(readFileSync(Buffer.concat([Buffer.from(out), rawName])).equals(readFileSync(rawName))).toBe(true);
  });
});
