/** The program's way into regions, and out of them with `recover.sh`: with a stand-in for the executable, which is large. */
import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { newSigner, sign } from "../../src/codec/signer.ts";
import { sha256Hex } from "../../src/codec/digest.ts";
import { signedMessage } from "../../src/format/signed-text.ts";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { type ProgramResult, tempDir } from "../support/program.ts";
import { flip } from "../support/restore.ts";
import { fetchProgram, writeTinyProgram } from "../support/single-file.ts";
import { fileTempDir } from "../support/temp-dir.ts";

// Of an installation: `init` by the single executable already names itself in the kit.
vi.stubEnv("COLDKEEP_TEST_PROGRAM", "");

const root = resolve(import.meta.dirname, "../..");
const program = join(fileTempDir(), "program");
const sha256 = sha256Hex(writeTinyProgram(program, "1.2.3"));

type Published = { id: string; version: string; platform: string; sizeBytes: number; sha256: string; regions: Record<string, string>; kitLine: string };

function publish(host: TestHost, file = program): Promise<ProgramResult> {
  return host.run(["publish-program", "--config", host.config, "--program", file, "--json"]);
}

async function publishedHost(dir = tempDir()): Promise<TestHost> {
  const host = await setUpHost({ dir });
  expect((await publish(host)).status).toBe(0);
  return host;
}

/** The kit with the line that `publish-program` prints. */
function kitWithProgram(host: TestHost): string {
  const kit = join(tempDir(), "kit.txt");
  copyFileSync(host.movedKit, kit);
  appendFileSync(kit, `# program: sha256 ${sha256}\n`);
  return kit;
}

/** A folder with `recover.sh` and nothing of the region. */
function scriptAlone(): string {
  const folder = tempDir();
  copyFileSync(join(root, "src/recovery/recover.sh"), join(folder, "recover.sh"));
  return folder;
}

const noteOf = (region: string): string => join(region, "hosts/web1/programs", readdirSync(join(region, "hosts/web1/programs"))[0] ?? "");

describe("publish-program", () => {
  test("puts the executable and a signed note into every region, once, and other verbs go on as before", async () => {
    const host = await setUpHost();
    const first = await publish(host);
    expect(first.status, first.stderr).toBe(0);
    expect(first.json<Published>()).toMatchObject({ sha256, sizeBytes: statSync(program).size, platform: "linux-x64", regions: { a: "sent", b: "sent" }, kitLine: `# program: sha256 ${sha256}` });
    const again = await publish(host);
    expect(again).toMatchObject({ status: 0, stderr: "" });
    expect(again.json<Published>()).toMatchObject({ id: first.json<Published>().id, regions: { a: "present", b: "present" } });
    for (const region of ["a", "b"]) expect(readdirSync(join(host.region(region), "hosts/web1/programs"))).toHaveLength(1);
    expect(readFileSync(noteOf(host.region("a")))).toEqual(readFileSync(noteOf(host.region("b"))));

    expect((await host.backup()).status).toBe(0);
    expect(await host.run(["verify", "--level", "presence", "--config", host.config])).toMatchObject({ status: 0, stderr: "" });
    expect(await host.run(["verify", "--all", "--kit", kitWithProgram(host)])).toMatchObject({ status: 0, stderr: "" });
    expect((await host.run(["list", "--config", host.config, "--json"])).json()).toMatchObject({ total: 1, findings: [] });
  });

  test("ends with 3 while a region lacks it, and the next run brings the same note there", async () => {
    const host = await setUpHost();
    renameSync(host.region("b"), `${host.region("b")}-away`);
    const first = await publish(host);
    expect(first.status).toBe(3);
    expect(first.stderr).toContain('"b"');
    expect(first.json<Published>().regions).toEqual({ a: "sent", b: "missing" });
    renameSync(`${host.region("b")}-away`, host.region("b"));
    const second = await publish(host);
    expect(second.json<Published>()).toMatchObject({ id: first.json<Published>().id, regions: { a: "present", b: "sent" } });
  });

  test("does not take another object of that name for the program", async () => {
    const host = await setUpHost();
    mkdirSync(join(host.region("a"), "program"));
    writeFileSync(join(host.region("a"), "program", sha256), "cut off");
    const run = await publish(host);
    expect(run.status).toBe(3);
    expect(run.stderr).toMatch(/region "a".*holds program\/.* with 7 bytes instead of [\s\S]*hint: Remove that object/);
    expect(existsSync(join(host.region("a"), "hosts/web1/programs"))).toBe(false);
  });

  test("refuses what is not the executable", async () => {
    const host = await setUpHost();
    for (const [file, why] of [[join(root, "bin/coldkeep.js"), "no executable"], ["/bin/true", "does not print a version"], ["/bin/false", "does not run here"]] as const) {
      const run = await publish(host, file);
      expect(run.status, file).toBe(2);
      expect(run.stderr).toContain(why);
      expect(run.stderr).toContain("hint:");
    }
    expect(existsSync(join(host.region("a"), "program"))).toBe(false);
  });
});

describe("recover.sh --fetch-program", () => {
  let intact: TestHost;
  beforeAll(async () => {
    intact = await publishedHost(fileTempDir());
  });

  test("takes the program that the kit names from the copy it stands in, without openssl, and says what to run next", async () => {
    const bin = join(tempDir(), "bin");
    mkdirSync(bin);
    for (const tool of ["sh", "sed", "sort", "grep", "head", "tr", "wc", "cat", "chmod", "dirname", "mktemp", "mv", "rm", "sha256sum", "uname"]) {
      execFileSync("sh", ["-c", 'ln -s "$(command -v "$1")" "$2"', "sh", tool, join(bin, tool)]);
    }
    const copy = join(tempDir(), "copy");
    cpSync(intact.region("a"), copy, { recursive: true });
    const kit = kitWithProgram(intact);
    const fetched = await fetchProgram(copy, kit, { env: { PATH: bin } });
    expect(fetched, fetched.said).toMatchObject({ status: 0 });
    expect(sha256Hex(readFileSync(fetched.program))).toBe(sha256);
    expect(statSync(fetched.program).mode & 0o777).toBe(0o755);
    expect(fetched.said).toContain(`next: ${fetched.program} restore --kit ${kit} --to `);
    expect(fetched.said).not.toContain("Compare");
    expect(readdirSync(dirname(fetched.program))).toEqual(["fetched"]);
  });

  test("takes it from the next region of the kit where the first one damaged it", async () => {
    const host = await publishedHost();
    flip(join(host.region("a"), "program", sha256), 100);
    for (const kit of [kitWithProgram(host), host.movedKit]) {
      const fetched = await fetchProgram(scriptAlone(), kit);
      expect(fetched, fetched.said).toMatchObject({ status: 0 });
      expect(fetched.said).toMatch(/region a: program [0-9a-f]{64} is not there, or damaged[\s\S]*from region b/);
      expect(sha256Hex(readFileSync(fetched.program))).toBe(sha256);
    }
  });

  test("with a kit that names none, believes the host's signer alone, and says what that is worth", async () => {
    const host = await publishedHost();
    const fetched = await fetchProgram(scriptAlone(), host.movedKit);
    expect(fetched, fetched.said).toMatchObject({ status: 0 });
    expect(fetched.said).toContain("Compare the SHA-256");

    // A note by somebody else, newer than the true one, in every region.
    const stranger = newSigner();
    for (const region of [host.region("a"), host.region("b")]) {
      const evil = Buffer.from("#!/bin/sh\necho evil\n");
      writeFileSync(join(region, "program", sha256Hex(evil)), evil);
      const id = "20991128t135332698z-xywsl4sy3i7usvbj";
      const [line = ""] = readFileSync(noteOf(region), "utf8").split("\n");
      const note = { ...(JSON.parse(line) as Record<string, unknown>), id, size: evil.length, sha256: sha256Hex(evil) };
      const forged = Buffer.from(JSON.stringify(note));
      const signature = sign(stranger.privateKey, signedMessage("program", forged)).toString("base64");
      writeFileSync(join(region, `hosts/web1/programs/${id}.note`), `${forged.toString()}\n${signature}\n`);
    }
    const wary = await fetchProgram(scriptAlone(), host.movedKit);
    expect(wary, wary.said).toMatchObject({ status: 0 });
    expect(wary.said).toContain("not signed by its signer in the kit; it is passed over");
    expect(sha256Hex(readFileSync(wary.program))).toBe(sha256);
    // The host's own next run passes the stranger's note over as well.
    const again = await publish(host);
    expect(again.json<Published>().regions).toEqual({ a: "present", b: "present" });
    expect(again.stderr).toContain("is passed over");
  });

  test("takes nothing where the kit names another program, and leaves nothing behind", async () => {
    const kit = join(tempDir(), "kit.txt");
    writeFileSync(kit, readFileSync(kitWithProgram(intact), "utf8").replace(/^# program: .*$/m, `# program: sha256 ${"0".repeat(64)}`));
    const fetched = await fetchProgram(scriptAlone(), kit);
    expect(fetched.status).toBe(1);
    expect(fetched.said).toContain("no region gave a program");
    expect(readdirSync(dirname(fetched.program))).toEqual([]);
  });

  test("overwrites nothing", async () => {
    const folder = scriptAlone();
    writeFileSync(join(folder, "mine"), "mine");
    const fetched = await fetchProgram(folder, kitWithProgram(intact), { args: ["--to", join(folder, "mine")] });
    expect(fetched.status).toBe(2);
    expect(readFileSync(join(folder, "mine"), "utf8")).toBe("mine");
  });
});

describe("buckets", () => {
  let fake: FakeS3;
  beforeAll(async () => {
    fake = await startFakeS3({ buckets: ["vault"] });
  });
  afterAll(() => fake.stop());

  test("are given the program once, and recover.sh fetches it from them with curl", async () => {
    const options = s3Options({ north: fake });
    const host = await setUpHost(options);
    const puts = (): string[] => fake.requests.filter(({ method, key }) => method === "PUT" && /program/.test(key)).map(({ key }) => key);
    expect((await publish(host)).status).toBe(0);
    expect(puts()).toHaveLength(2);
    expect((await publish(host)).json<Published>().regions).toEqual({ north: "present" });
    expect(puts()).toHaveLength(2);

    const folder = tempDir();
    copyFileSync(join(root, "src/recovery/recover.sh"), join(folder, "recover.sh"));
    for (const kit of [kitWithProgram(host), host.movedKit]) {
      const fetched = await fetchProgram(folder, kit, { env: options.env ?? {} });
      expect(fetched, fetched.said).toMatchObject({ status: 0 });
      expect(sha256Hex(readFileSync(fetched.program))).toBe(sha256);
      rmSync(fetched.program);
    }
    const without = await fetchProgram(folder, host.movedKit);
    expect(without.status).toBe(1);
    expect(without.said).toContain("set COLDKEEP_NORTH_ACCESS_KEY_ID");

    // A kit with credentials needs nothing beside it.
    const whole = join(tempDir(), "whole.txt");
    writeFileSync(whole, (await host.run(["kit", "print", "--kit", kitWithProgram(host), "--with-read-credentials"])).stdout, { mode: 0o600 });
    const alone = await fetchProgram(folder, whole);
    expect(alone, alone.said).toMatchObject({ status: 0 });
  });

  test("a region's name is a name, and never a command", async () => {
    const host = await setUpHost(s3Options({ north: fake }));
    const [folder, kit] = [tempDir(), join(tempDir(), "kit.txt")];
    copyFileSync(join(root, "src/recovery/recover.sh"), join(folder, "recover.sh"));
    writeFileSync(kit, readFileSync(host.movedKit, "utf8").replace("# region: north", `# region: x\${IFS}$(touch\${IFS}${folder}/ran)`), { mode: 0o600 });
    const refused = await fetchProgram(folder, kit);
    expect(refused, refused.said).toMatchObject({ status: 2, said: expect.stringContaining("a name that is none") });
    expect(existsSync(join(folder, "ran"))).toBe(false);
  });
});
