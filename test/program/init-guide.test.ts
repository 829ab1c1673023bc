/** `init` in questions, at a real terminal. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, TestHost } from "../support/host.ts";
import { runColdkeep, tempDir } from "../support/program.ts";
import { TerminalSession } from "../support/terminal-session.ts";
import { afterUse } from "../support/temp-dir.ts";

const RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const CTRL_C = "\x03";
const CTRL_D = "\x04";

/** A fresh place, with a source of known size. */
function place(): { dir: string; config: string; source: string; args: string[] } {
  const dir = tempDir();
  const source = join(dir, "data");
  mkdirSync(source);
  writeFileSync(join(source, "file"), "x".repeat(3000));
  const config = join(dir, "conf/coldkeep.yaml");
  return { dir, config, source, args: ["init", "--config", config] };
}

describe("with every question answered", () => {
  test("wrong answers are said and asked again, and what is written is what was shown", async () => {
    const { dir, config, source, args } = place();
    const session = new TerminalSession(args, { cwd: dir });
    await session.answer("Host [", "Not A Label");
    await session.until("cannot be a host label");
    await session.answer("Host [", "web1");
    await session.until("   1  /");
    await session.answer("Sources [all]:", "999");
    await session.until("there is no number 999");
    await session.answer("Sources [all]:", `${dir}/nowhere`);
    await session.until("does not exist");
    await session.answer("Sources [all]:", source);
    await session.answer("Region 1 [two directories", "usb");
    await session.until('"usb" is not a region');
    await session.answer("Region 1 [two directories", `usb=file://${source}/file/usb`);
    await session.until("coldkeep: \x1b[33mwarning");
    await session.answer("Region 1 [two directories", `usb=file://${dir}/usb`);
    await session.until("region usb: reached, written and read back");
    await session.answer("Region 2 [no more]:", `usb=file://${dir}/other`);
    await session.until('region "usb" is there already');
    await session.answer("Region 2 [no more]:", "");
    await session.until("One region only");
    await session.answer("Go on with one? [no]", "");
    await session.answer("Region 2 [no more]:", `nas=file://${dir}/nas`);
    await session.answer("Region 3 [no more]:", "");
    await session.answer("Recipients [a new identity]:", `${RECIPIENT.slice(0, -1)}q`);
    await session.until("mistyped");
    await session.answer("Recipients [a new identity]:", "");
    await session.answer(`Kit [${dir}/coldkeep-kit.txt]:`, "/nowhere/kit.txt");
    await session.until("there is no directory /nowhere");
    await session.answer(`Kit [${dir}/coldkeep-kit.txt]:`, "");
    await session.until("will be:");
    // Until here nothing was made, not even for trying the regions.
    expect(readdirSync(dir)).toEqual(["data"]);
    await session.answer("Write it, with the host's keys, the kit and the vault? [yes]", "y");
    const { status, stdout } = await session.end();
    expect(status).toBe(0);
    expect(stdout).toContain("next: `coldkeep backup --dry-run`");
    expect(stdout).not.toContain("AGE-SECRET-KEY-1");

    const written = readFileSync(config, "utf8");
    expect(stdout).toContain(written.trimEnd().replaceAll(/^/gm, "  "));
    expect(readFileSync(join(dir, "coldkeep-kit.txt"), "utf8")).toMatch(/^AGE-SECRET-KEY-1/m);
    expect(written).toContain(`  - path: "${source}"`);
    expect(await runColdkeep(["backup", "--dry-run", "--config", config])).toMatchObject({ status: 0 });
  });

  test("flags are not asked for; a second host joins the vault that it finds, with the kit that is there", async () => {
    const { dir, config, args, source } = place();
    const first = new TestHost({});
    expect((await first.run(first.initArguments())).status).toBe(0);
    const given = [...args, "--host", "web2", "--source", source, "--kit", first.kit, "--region", `a=file://${first.region("a")}`, "--region", `b=file://${first.region("b")}`];
    const session = new TerminalSession(given, { cwd: dir });
    await session.until("region b: reached, written and read back; it holds the vault");
    await session.answer("Recipients [a new identity]:", "");
    await session.answer("[yes]", "");
    const { status, stdout } = await session.end();
    expect(stdout).not.toMatch(/^(Host|Sources|Region|Kit) .*:/m);
    expect(stdout).toContain("joined vault");
    expect(status).toBe(0);
    const recipient = /"(age1\w+)"/.exec(readFileSync(config, "utf8"))?.[1];
    expect(readFileSync(first.config, "utf8")).toContain(recipient ?? "none");
  });

  test("of an S3 region that refuses to be written is said so at once; --yes and a configuration that is there ask nothing", async () => {
    const fake = await startFakeS3({ buckets: ["vault"] });
    afterUse(() => void fake.stop());
    const { dir, args, source } = place();
    const { env = {}, regions } = s3Options({ north: fake });
    fake.onRequest = ({ operation }) => (operation === "PutObject" ? { kind: "status", status: 403, code: "AccessDenied" } : undefined);
    const given = [...args, "--host", "web1", "--source", source, "--kit", join(dir, "kit.txt"), "--recipient", RECIPIENT];
    const session = new TerminalSession(given, { cwd: dir, env });
    await session.answer("Region 1 [two", `north=${regions?.["north"] ?? ""}`);
    await session.until("hint");
    fake.onRequest = () => undefined;
    await session.answer("Region 1 [two", `north=${regions?.["north"] ?? ""}`);
    await session.until("may delete objects");
    await session.until("Region 2 [no more]:");
    session.type(CTRL_C);
    expect((await session.end()).status).toBe(130);
    expect(readdirSync(dir)).toEqual(["data"]);

    const yes = await new TerminalSession([...given, "--yes"], { cwd: dir }).end();
    expect(yes).toMatchObject({ status: 0, stdout: expect.not.stringContaining("Region 1 [") });
    expect((await new TerminalSession([...given], { cwd: dir }).end()).stdout).toContain("already set up");
  });
});

describe("left at a question, nothing stays behind", () => {
  const questions = ["Host [", "Sources [all]:", "Region 1 [", "Region 2 [", "Recipients [", "Kit [", "Write it"];

  test.each([["Ctrl-C", CTRL_C], ["the end of the input", CTRL_D]])("by %s, at any of them", async (_name, key) => {
    await Promise.all(questions.map(async (last, index) => {
      const { dir, args, source } = place();
      const answers = ["web1", source, `a=file://${dir}/x/y/a`, "", "", "", ""];
      // Looking at the machine takes a while, and once is enough.
      const first = index > 1 ? 2 : 0;
      const session = new TerminalSession(first === 0 ? args : [...args, "--host", "web1", "--source", source], { cwd: dir });
      for (let i = first; i < index; i++) {
        await session.answer(questions[i] ?? "", answers[i] ?? "");
        if (i === 3) await session.answer("Go on with one?", "yes");
      }
      await session.until(last);
      session.type(key);
      const { status, stdout } = await session.end();
      expect(stdout).toContain("error");
      expect(status).toBe(130);
      expect(readdirSync(dir, { recursive: true }).toSorted()).toEqual(["data", "data/file"]);
    }));
  });

  test("and by the answer no", async () => {
    const { dir, args, source } = place();
    const session = new TerminalSession([...args, "--host", "web1", "--source", source, "--recipient", RECIPIENT, "--kit", "kit.txt", "--region", `a=file://${dir}/a`], { cwd: dir });
    await session.answer("[yes]", "no");
    expect(await session.end()).toMatchObject({ status: 130, stdout: expect.stringContaining("nothing was written") });
    expect(existsSync(join(dir, "conf"))).toBe(false);
    expect(readdirSync(dir)).toEqual(["data"]);
  });
});
