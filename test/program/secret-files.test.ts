/** Every file that holds a secret is refused while anybody but its owner may touch it, whichever verb reads it. */
import { chmodSync, existsSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { setUpHost, type TestHost } from "../support/host.ts";
import type { ProgramResult } from "../support/program.ts";

let host: TestHost;

/** Below the host's folder. */
const path = (name: string): string => join(host.dir, name);
const onHost = (...verb: string[]): string[] => [...verb, "--config", host.config];
const withKit = (...verb: string[]): string[] => [...verb, "--kit", host.movedKit];

type Row = { file: string; exit: number; run: () => string[] };

const ROWS: Row[] = [
  { file: "safe/kit.txt", exit: 5, run: () => withKit("list") },
  { file: "safe/kit.txt", exit: 5, run: () => withKit("restore", "--to", path("out")) },
  { file: "safe/kit.txt", exit: 5, run: () => withKit("key", "check") },
  { file: "safe/kit.txt", exit: 5, run: () => withKit("key", "show") },
  { file: "safe/kit.txt", exit: 5, run: () => [...withKit("key", "rotate"), "--to", path("safe/new.txt"), "--config", host.config] },
  { file: "safe/kit.txt", exit: 5, run: () => withKit("kit", "print") },
  { file: "safe/passphrase", exit: 5, run: () => withKit("kit", "protect", "--new-passphrase-file", path("safe/passphrase")) },
  { file: "keys", exit: 5, run: () => onHost("backup") },
  { file: "keys/catalog.key", exit: 5, run: () => onHost("list") },
  { file: "keys/signer.key", exit: 5, run: () => onHost("backup") },
  { file: "keys/writer", exit: 5, run: () => onHost("doctor") },
  { file: "credentials", exit: 2, run: () => onHost("list") },
  { file: "hook", exit: 1, run: () => onHost("notify", "test") },
  { file: "headers", exit: 1, run: () => onHost("notify", "test") },
];

beforeAll(async () => {
  host = await setUpHost();
  await host.backup();
  writeFileSync(path("safe/passphrase"), "five words nobody guesses", { mode: 0o600 });
  writeFileSync(path("credentials"), "[default]\naws_access_key_id = a\naws_secret_access_key = b\n", { mode: 0o600 });
  writeFileSync(path("hook"), "http://127.0.0.1:1/hook", { mode: 0o600 });
  writeFileSync(path("headers"), "Authorization: Bearer x\n", { mode: 0o600 });
});

/** With the region and the service that read the two kinds of files. */
async function run({ file, run: words }: Row): Promise<ProgramResult> {
  const before = readFileSync(host.config, "utf8");
  if (file === "credentials") host.editConfig((text) => text.replace(`file://${host.region("b")}`, `s3://bucket/x?endpoint=http://127.0.0.1:1&credentials-file=${path(file)}`));
  if (file === "hook" || file === "headers") host.editConfig((text) => `${text}\nnotify:\n  - webhook: {urlFile: ${path("hook")}, headersFile: ${path("headers")}}\n`);
  try {
    return await host.run(words());
  } finally {
    writeFileSync(host.config, before);
  }
}

describe("refused while others may", () => {
  // Each of the six bits in its turn.
  test.each(ROWS.map((row, at) => ({ ...row, bit: 1 << (at % 6) })))("$file, bit $bit: row %#", async ({ bit, ...row }) => {
    const mode = statSync(path(row.file)).mode & 0o777;
    chmodSync(path(row.file), mode | bit);
    try {
      const { status, stderr, stdout } = await run(row);
      const said = stdout + stderr;
      expect({ status, said }).toMatchObject({ status: row.exit, said: expect.stringMatching(/can be reached by other users|may be read or written by others/) });
      expect(said).toContain(path(row.file));
      expect(stdout).not.toContain("AGE-SECRET-KEY");
    } finally {
      chmodSync(path(row.file), mode);
    }
  });
});

test("what the program writes is its owner's alone, and a link in a secret file's place is refused", async () => {
  for (const [name, words] of [["identity", ["key", "new"]], ["second", withKit("key", "new")], ["printed", withKit("kit", "print")]] as const) {
    expect((await host.run([...words, "--to", path(`safe/${name}`)])).status).toBe(0);
    expect(statSync(path(`safe/${name}`)).mode & 0o777).toBe(0o600);
  }
  renameSync(host.movedKit, path("safe/real.txt"));
  symlinkSync(path("safe/real.txt"), host.movedKit);
  expect(await host.run(withKit("list"))).toMatchObject({ status: 5, stderr: expect.stringContaining("is a symbolic link") });
  expect(existsSync(path("out"))).toBe(false);
});
