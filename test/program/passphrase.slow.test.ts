/** A kit under a passphrase: what stays readable, who asks for it and who does not, and how to do without the program. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseKit } from "../../src/format/kit.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { tempDir } from "../support/program.ts";
import { TerminalSession } from "../support/terminal-session.ts";
import { typeAt } from "../support/type-at.ts";

const PASSPHRASE = "five words nobody guesses";
const WRONG = "four words nobody guesses";

let host: TestHost;
let plainKit: string;
let passphraseFile: string;

function secretFile(name: string, text: string): string {
  const path = join(host.dir, "safe", name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

beforeAll(async () => {
  host = await setUpHost();
  await host.backup();
  plainKit = readFileSync(host.movedKit, "utf8");
  passphraseFile = secretFile("passphrase", `${PASSPHRASE}\n`);
  const protect = await host.run(["kit", "protect", "--kit", host.movedKit, "--new-passphrase-file", passphraseFile, "--json"]);
  expect(protect.json()).toMatchObject({ changed: false });
});

test("secrets are sealed; regions, signers and recipients stay readable", async () => {
  const text = readFileSync(host.movedKit, "utf8");
  const [before, after] = [parseKit(plainKit), parseKit(text)];
  expect(statSync(host.movedKit).mode & 0o777).toBe(0o600);
  for (const secret of [...before.identities, before.operatorKey ?? "?"]) expect(text).not.toContain(secret);
  expect(after).toMatchObject({ vault: before.vault, regions: before.regions, signers: before.signers, identities: [] });
  const shown = await host.run(["key", "show", "--kit", host.movedKit, "--config", host.config, "--json"]);
  expect(shown.json()).toMatchObject({ sealed: true, recipients: [{ use: "archives", heldBy: "kit" }, { use: "catalogs", heldBy: "this host" }] });
  for (const verb of [["list"], ["verify"], ["show"]]) expect(await host.run([...verb, "--kit", host.movedKit]), verb.join(" ")).toMatchObject({ status: 0 });
});

describe("without a person", () => {
  const out = (): string => join(tempDir(), "out");

  test("an error names the flag, before anything is asked of a region", async () => {
    for (const verb of [["restore", "--to", out()], ["files"], ["verify", "--level", "content"], ["kit", "check"], ["key", "check"], ["diff", "--archive", "latest", "--with", "latest"], ["host", "retire", "web1"]]) {
      const run = await host.run([...verb, "--kit", host.movedKit]);
      expect(run, verb.join(" ")).toMatchObject({ status: 2, stderr: expect.stringContaining("hint: Give --passphrase-file FILE, or set COLDKEEP_PASSPHRASE.") });
    }
  });

  test("the environment and an open descriptor do", async () => {
    expect(await host.run(["restore", "--kit", host.movedKit, "--to", out()], { env: { COLDKEEP_PASSPHRASE: PASSPHRASE } })).toMatchObject({ status: 0 });
    const run = await host.run(["verify", "--level", "content", "--kit", host.movedKit, "--passphrase-file", "/dev/stdin"], { input: `${PASSPHRASE}\nand more\n` });
    expect(run).toMatchObject({ status: 0 });
  });

  test("a wrong one is said and never shown; a file that others can read is refused", async () => {
    const wrong = await host.run(["kit", "check", "--debug", "--kit", host.movedKit, "--passphrase-file", secretFile("wrong", WRONG)]);
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining("the passphrase does not open the sealed part") });
    expect(wrong.stdout + wrong.stderr).not.toContain(WRONG);
    const open = secretFile("open", PASSPHRASE);
    chmodSync(open, 0o640);
    expect(await host.run(["kit", "check", "--kit", host.movedKit, "--passphrase-file", open])).toMatchObject({ status: 5 });
    const short = await host.run(["kit", "protect", "--kit", host.movedKit, "--passphrase-file", passphraseFile, "--new-passphrase-file", secretFile("short", "elevenchars")]);
    expect(short).toMatchObject({ status: 2, stderr: expect.stringContaining("at least 12 characters") });
  });
});

describe("at a terminal", () => {
  test("it is asked, does not show, can be corrected, and a second try is given", async () => {
    const session = new TerminalSession(["kit", "check", "--kit", host.movedKit]);
    await session.answer("Passphrase of the kit:", WRONG);
    await session.until("does not open");
    await session.until("Passphrase of the kit:");
    session.type(`xy\x15${PASSPHRASE}z\x7f\n`);
    const { status, stdout } = await session.end();
    expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining("OK    web1") });
    for (const typed of [WRONG, PASSPHRASE]) expect(stdout).not.toContain(typed);
  });

  test("Ctrl-C leaves", async () => {
    const session = new TerminalSession(["kit", "check", "--kit", host.movedKit]);
    await session.until("Passphrase of the kit:");
    session.type("abc\x03");
    expect(await session.end()).toMatchObject({ status: 130 });
  });

  test("a new one is typed twice", async () => {
    const copy = join(tempDir(), "kit.txt");
    writeFileSync(copy, plainKit, { mode: 0o600 });
    const session = new TerminalSession(["kit", "protect", "--kit", copy]);
    await session.answer("New passphrase:", PASSPHRASE);
    await session.answer("Again:", WRONG);
    expect(await session.end()).toMatchObject({ status: 2, stdout: expect.stringContaining("the two passphrases differ") });
    expect(readFileSync(copy, "utf8")).toBe(plainKit);
  });
});

test("another signer goes into a sealed kit without its passphrase", async () => {
  const copy = join(tempDir(), "kit.txt");
  copyFileSync(host.movedKit, copy);
  chmodSync(copy, 0o600);
  const key = `ed25519:${Buffer.alloc(32, 3).toString("base64")}`;
  expect((await host.run(["kit", "add-signer", "drill", key, "--kit", copy])).status).toBe(0);
  const [before, after] = [host.movedKit, copy].map((path) => parseKit(readFileSync(path, "utf8")));
  expect(after).toEqual({ ...before, signers: [...(before?.signers ?? []), { role: "drill", key }] });
});

test("without the program: recover.sh has age ask, and the lines the kit tells of give identities for age", async () => {
  const target = join(tempDir(), "out");
  await typeAt(["sh", "-c", 'cd "$0" && exec sh recover.sh "$1" "$2"', host.region("a"), host.movedKit, target], PASSPHRASE);
  expect(readFileSync(join(target, host.source, "a.txt"), "utf8")).toBe("alpha");
  const identities = join(tempDir(), "identities.txt");
  const told = /^# {5}(sed -n .*) THIS-FILE \| age -d > identities\.txt$/m.exec(readFileSync(host.movedKit, "utf8"))?.[1] ?? "";
  await typeAt(["sh", "-c", `${told} "$0" | age -d > "$1"`, host.movedKit, identities], PASSPHRASE);
  const [volume = ""] = host.objects("a", "volumes");
  const listed = execFileSync("sh", ["-c", 'age -d -i "$0" "$1" | zstd -dc | tar -t', identities, join(host.region("a"), "hosts/web1/volumes", volume)], { encoding: "utf8" });
  expect(listed).toContain("a.txt");
});
