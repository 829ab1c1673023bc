/** `coldkeep key …`: a second recipient, a rotation also where it is killed, and what identities open. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseKit } from "../../src/format/kit.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { tempDir } from "../support/program.ts";
import { typeAt } from "../support/type-at.ts";

type Checked = { checks: { archives: number; opened: number; fault: string | null; recipients: { held: boolean }[] }[]; configuration?: { held: boolean }[] };

const KEY = /^AGE-SECRET-KEY-\S+$/m;

async function check(host: TestHost, kit: string, ...args: string[]): Promise<{ status: number | null; document: Checked }> {
  const run = await host.run(["key", "check", "--kit", kit, "--json", ...args]);
  return { status: run.status, document: run.json<Checked>() };
}

async function restores(host: TestHost, kit: string, ...args: string[]): Promise<boolean> {
  const out = join(tempDir(), "out");
  const { status } = await host.run(["restore", "--kit", kit, "--to", out, ...args]);
  return status === 0 && readFileSync(join(out, host.source, "a.txt"), "utf8") === "alpha";
}

describe("key new", () => {
  test("a second kit opens archives once its recipient is in the configuration, by itself", async () => {
    const host = await setUpHost();
    await host.backup();
    const second = join(host.dir, "safe/second.txt");
    const made = (await host.run(["key", "new", "--kit", host.movedKit, "--to", second, "--json"])).json<{ recipient: string }>();
    const [first, kit] = [parseKit(readFileSync(host.movedKit, "utf8")), parseKit(readFileSync(second, "utf8"))];
    expect(kit).toMatchObject({ vault: first.vault, regions: first.regions, signers: first.signers });
    expect(kit.identities).toHaveLength(1);
    expect(kit).not.toHaveProperty("operatorKey");
    expect(await check(host, second, "--config", host.config)).toMatchObject({ status: 1, document: { configuration: [{ held: false }], checks: [{ archives: 1, opened: 0 }] } });
    host.editConfig((text) => text.replace("recipients:\n", `recipients:\n  - ${made.recipient}\n`));
    await host.backup();
    expect(await check(host, second, "--config", host.config)).toMatchObject({ status: 3, document: { configuration: [{ held: true }, { held: false }], checks: [{ archives: 2, opened: 1, fault: null }] } });
    expect(await restores(host, second)).toBe(true);
    expect(await restores(host, host.movedKit)).toBe(true);
    expect(await host.run(["key", "new", "--to", second])).toMatchObject({ status: 5 });
  });

  test("an identity file, plain or under a passphrase, is one for age", async () => {
    const host = await setUpHost();
    const passphrase = "five words nobody guesses";
    const dir = tempDir();
    writeFileSync(join(dir, "passphrase"), passphrase, { mode: 0o600 });
    writeFileSync(join(dir, "text"), "all is well");
    for (const name of ["plain", "protected"]) {
      const file = join(dir, name);
      const { stdout } = await host.run(["key", "new", "--to", file, ...(name === "plain" ? [] : ["--new-passphrase-file", join(dir, "passphrase")])]);
      execFileSync("age", ["-r", stdout.trim(), "-o", `${file}.age`, join(dir, "text")]);
      const open = ["age", "-d", "-i", file, "-o", `${file}.txt`, `${file}.age`];
      if (name === "plain") execFileSync(open[0] ?? "", open.slice(1));
      else await typeAt(open, passphrase);
      expect(readFileSync(`${file}.txt`, "utf8")).toBe("all is well");
      expect(KEY.test(readFileSync(file, "utf8"))).toBe(name === "plain");
    }
  });

  test("kinds are never mixed", async () => {
    const host = await setUpHost();
    expect(await host.run(["key", "new", "--pq", "--kit", host.movedKit, "--to", join(host.dir, "safe/x.txt")])).toMatchObject({ status: 2, stderr: expect.stringContaining("never mixed") });
    const { stdout } = await host.run(["key", "new", "--pq", "--to", join(host.dir, "safe/pq.txt")]);
    expect(stdout).toMatch(/^age1pq1/);
    expect(await host.run(["key", "rotate", "--recipient", stdout.trim(), "--config", host.config])).toMatchObject({ status: 2, stderr: expect.stringContaining("both kinds") });
    host.editConfig((text) => text.replace("recipients:\n", `recipients:\n  - ${stdout.trim()}\n`));
    expect(await host.backup()).toMatchObject({ status: 2, stderr: expect.stringContaining("mixes age1") });
  });
});

test("key show says who holds what, and never a secret", async () => {
  const host = await setUpHost();
  const secrets = [host.movedKit, join(host.dir, "keys/catalog.key")].map((path) => KEY.exec(readFileSync(path, "utf8"))?.[0] ?? "?");
  for (const args of [["--config", host.config], ["--kit", host.movedKit], ["--config", host.config, "--kit", host.movedKit, "--json"]]) {
    const { status, stdout } = await host.run(["key", "show", ...args]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/age1[a-z0-9]{58}/);
    for (const secret of [...secrets, "SECRET", "secret:"]) expect(stdout).not.toContain(secret);
  }
});

describe("key rotate", () => {
  test("from the next archive on: other volumes, the old archives open with the new kit only, comments stay", async () => {
    const host = await setUpHost();
    host.editConfig((text) => text.replace("recipients:\n", "recipients:\n  # the owner's, since 2026\n"));
    await host.settle();
    const first = (await host.backup()).document;
    const before = readFileSync(host.config, "utf8");
    const [old = "?"] = /age1[a-z0-9]{58}/.exec(before) ?? [];
    const volumes = host.objects("a", "volumes");
    const fresh = join(host.dir, "safe/new.txt");
    const rotated = (await host.run(["key", "rotate", "--kit", host.movedKit, "--to", fresh, "--config", host.config, "--json"])).json<{ recipient: string; replaced: string }>();
    expect(rotated).toMatchObject({ replaced: old, configured: true, resumed: false });
    expect(readFileSync(host.config, "utf8")).toBe(before.replace(old, rotated.recipient));

    const second = await host.backup();
    expect(second.status).toBe(0);
    // Nothing changed on the host, and all of it is stored again.
    expect(second.document.bytesStored).toBeGreaterThan(0);
    const manifest = readFileSync(join(host.region("a"), "hosts/web1/archives", `${second.document.archive}.manifest`), "utf8");
    for (const name of volumes) expect(manifest).not.toContain(name.slice(0, 36));

    expect(await check(host, fresh, "--config", host.config)).toMatchObject({ status: 0, document: { configuration: [{ held: true }], checks: [{ archives: 2, opened: 2, fault: null }] } });
    expect(await check(host, host.movedKit)).toMatchObject({ status: 1, document: { checks: [{ archives: 2, opened: 1, fault: expect.stringContaining("no identity matches") }] } });
    expect(await restores(host, fresh)).toBe(true);
    expect(await restores(host, fresh, "--archive", first.archive ?? "")).toBe(true);
    expect(await restores(host, host.movedKit, "--archive", first.archive ?? "")).toBe(true);
    expect(await restores(host, host.movedKit)).toBe(false);
    // The new kit lies where it was made: every backup says so.
    expect((await host.backup()).stderr).toContain(`the kit still lies at ${fresh}`);
    // Another host of the vault, which has no kit.
    expect(await host.run(["key", "rotate", "--recipient", old, "--config", host.config])).toMatchObject({ status: 0 });
    expect(readFileSync(host.config, "utf8")).toBe(before);
  });

  test("killed at any rename, the configuration is the old or the new one, and the same call completes it", async () => {
    const host = await setUpHost();
    const before = readFileSync(host.config, "utf8");
    const fresh = join(host.dir, "safe/new.txt");
    const rotate = ["key", "rotate", "--kit", host.movedKit, "--to", fresh, "--config", host.config];
    const states = new Set<string>();
    for (let at = 1; ; at++) {
      const inject = `inject=rename,renameat,renameat2:error=EIO:signal=SIGKILL:when=${at}`;
      const { signal, status } = await host.run(rotate, { wrapper: ["strace", "-f", "-qq", "-e", "trace=rename,renameat,renameat2", "-e", inject, "-o", join(host.dir, "trace")] });
      if (signal === null && status === 0) break;
      expect(readFileSync(host.config, "utf8")).toBe(before);
      states.add(existsSync(fresh) ? "with a kit" : "without");
      expect(at).toBeLessThan(10);
    }
    expect([...states]).toEqual(["without", "with a kit"]);
    expect(readFileSync(host.config, "utf8")).not.toBe(before);
    const kit = parseKit(readFileSync(fresh, "utf8"));
    expect(kit.identities).toHaveLength(2);
    expect(await host.backup()).toMatchObject({ status: 0 });
    expect(await restores(host, fresh)).toBe(true);
    expect(readdirSync(join(host.dir, "safe"))).toEqual(["kit.txt", "new.txt"]);
  });

  test("refuses a kit of others, and a file that is there", async () => {
    const [host, other] = [await setUpHost(), await setUpHost()];
    const before = readFileSync(host.config, "utf8");
    const rotate = (kit: string, to: string): ReturnType<TestHost["run"]> => host.run(["key", "rotate", "--kit", kit, "--to", to, "--config", host.config]);
    expect(await rotate(other.movedKit, join(host.dir, "safe/new.txt"))).toMatchObject({ status: 5, stderr: expect.stringContaining("another vault") });
    expect(await rotate(host.movedKit, host.movedKit)).toMatchObject({ status: 5, stderr: expect.stringContaining("there already") });
    expect(await rotate(host.movedKit, other.movedKit)).toMatchObject({ status: 5 });
    expect(readFileSync(host.config, "utf8")).toBe(before);
  });

  test("where the kit is kept far from any host, only the new kit is made, and what to run on hosts is said", async () => {
    const host = await setUpHost();
    const place = tempDir();
    mkdirSync(join(place, "home"));
    const run = await host.run(["key", "rotate", "--kit", host.movedKit, "--to", join(place, "new.txt")]);
    expect(run.status).toBe(0);
    const [command = ""] = /coldkeep key rotate --recipient.*/.exec(run.stderr) ?? [];
    expect(await host.run([...command.split(" ").slice(1), "--config", host.config])).toMatchObject({ status: 0 });
    await host.backup();
    expect(await restores(host, join(place, "new.txt"))).toBe(true);
  });
});
