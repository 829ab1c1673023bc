import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { readRecoveryFiles } from "../../src/recovery/recovery-files.ts";

const sources = join(import.meta.dirname, "../../src/recovery");

test("gives both texts with the digest that sha256sum shows", () => {
  const files = readRecoveryFiles();
  expect(files.map((file) => file.key)).toEqual(["recover.sh", "RECOVERY.md"]);
  for (const { key, bytes, sha256 } of files) {
    expect(bytes).toEqual(readFileSync(join(sources, key)));
    expect(execFileSync("sha256sum", [join(sources, key)], { encoding: "utf8" })).toMatch(new RegExp(`^${sha256} `));
  }
});

test("finds them beside itself, wherever the module lies", () => {
  const folder = mkdtempSync(join(tmpdir(), "recovery-files-"));
  try {
    cpSync(sources, folder, { recursive: true });
    const module = pathToFileURL(join(folder, "recovery-files.ts")).href;
    const script = `const { readRecoveryFiles } = await import(${JSON.stringify(module)}); console.log(readRecoveryFiles().map((file) => file.sha256).join(" "));`;
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8", cwd: folder });
    expect(said.trim()).toBe(readRecoveryFiles().map((file) => file.sha256).join(" "));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the paper names every option and every exit status of the script", () => {
  const [script = "", paper = ""] = readRecoveryFiles().map((file) => file.bytes.toString("utf8"));
  const options = new Set(script.split("\n").slice(2, 4).join(" ").match(/--[a-z-]+/g));
  expect(options.size).toBe(7);
  for (const option of options) expect(paper).toContain(option);
  for (const [, status = ""] of script.matchAll(/\bdie ([0-9]+) "/g)) expect(paper).toContain(`\n| ${status} |`);
});
