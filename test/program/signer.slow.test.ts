/** `coldkeep signer …`: pinning with a confirmed fingerprint, and a stolen signer whose later archives nobody takes. */
import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { cpSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { signedObject, signerFromPem } from "../../src/codec/signer.ts";
import { parseKit } from "../../src/format/kit.ts";
import { splitSigned } from "../../src/format/signed-text.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { tempDir } from "../support/program.ts";
import { restore } from "../support/restore.ts";
import { TerminalSession } from "../support/terminal-session.ts";

type Signers = { signers: { role: string; host: string | null; key: string; fingerprint: string; from: string[]; heldBy: string | null }[] };
type Listed = { archives: { id: string; regions: Record<string, string> }[]; findings: { kind: string; archive: string }[] };

async function signersOf(host: TestHost, ...args: string[]): Promise<Signers["signers"]> {
  return (await host.run(["signer", "list", ...args, "--json"])).json<Signers>().signers;
}

async function listed(host: TestHost, ...args: string[]): Promise<Listed> {
  return (await host.run(["list", "--kit", host.movedKit, "--json", ...args])).json<Listed>();
}

describe("signer list and trust", () => {
  test("list: by role and host, with fingerprints, and where each is pinned and held", async () => {
    const host = await setUpHost();
    expect(await signersOf(host, "--config", host.config, "--kit", host.movedKit)).toMatchObject([
      { role: "host", host: "web1", from: ["this host", "kit"], heldBy: "this host" },
      { role: "operator", host: null, from: ["configuration", "kit"], heldBy: "kit" },
    ]);
    const { stdout } = await host.run(["signer", "list", "--config", host.config]);
    expect(stdout).toMatch(/^[0-9a-f]{16} {2}host web1 ed25519:\S+: from this host; its secret key is on this host\n[0-9a-f]{16} {2}operator /);
    expect(stdout).not.toContain("secret:");
  });

  test("trust: only with the right fingerprint, into the kit, the configuration or both", async () => {
    const host = await setUpHost();
    const other = await setUpHost({ host: "web2", regions: host.regions });
    const [own] = await signersOf(other, "--config", other.config);
    const [kit, config] = [readFileSync(host.movedKit, "utf8"), readFileSync(host.config, "utf8")];
    const trust = (...args: string[]): ReturnType<TestHost["run"]> => host.run(["signer", "trust", "host", "web2", own?.key ?? "", "--kit", host.movedKit, "--config", host.config, "--json", ...args]);
    expect(await trust()).toMatchObject({ status: 2, stderr: expect.stringContaining("Give --fingerprint HEX") });
    expect(await trust("--fingerprint", "0123456789abcdef")).toMatchObject({ status: 5, stderr: expect.stringContaining(own?.fingerprint ?? "?") });
    expect([readFileSync(host.movedKit, "utf8"), readFileSync(host.config, "utf8")]).toEqual([kit, config]);
    expect((await trust("--fingerprint", own?.fingerprint ?? "")).json()).toMatchObject({ kit: true, configuration: true });
    expect((await trust("--fingerprint", own?.fingerprint ?? "")).json()).toMatchObject({ kit: false, configuration: false });
    expect(parseKit(readFileSync(host.movedKit, "utf8")).signers).toContainEqual({ role: "host", host: "web2", key: own?.key });
    expect(await signersOf(host, "--config", host.config)).toContainEqual(expect.objectContaining({ host: "web2", from: ["configuration"] }));
  });

  test("trust at a terminal asks, and no is no", async () => {
    const host = await setUpHost();
    const key = `ed25519:${Buffer.alloc(32, 5).toString("base64")}`;
    const kit = readFileSync(host.movedKit, "utf8");
    for (const [answer, status] of [["", 5], ["yes", 0]] as const) {
      expect(readFileSync(host.movedKit, "utf8")).toBe(kit);
      const session = new TerminalSession(["signer", "trust", "drill", key, "--kit", host.movedKit]);
      await session.until("has the fingerprint");
      await session.answer("[no]", answer);
      expect(await session.end()).toMatchObject({ status });
    }
    expect(parseKit(readFileSync(host.movedKit, "utf8")).signers).toContainEqual({ role: "drill", key });
  });
});

/** A copy of the host's configuration and keys elsewhere, as a thief has it, that archives something of his own. */
function thiefOf(host: TestHost): { backup(): Promise<string> } {
  const dir = tempDir();
  cpSync(join(host.dir, "keys"), join(dir, "keys"), { recursive: true });
  cpSync(host.source, join(dir, "source"), { recursive: true });
  writeFileSync(join(dir, "source/a.txt"), "evil");
  const config = join(dir, "coldkeep.yaml");
  writeFileSync(config, readFileSync(host.config, "utf8").replaceAll(host.source, join(dir, "source")).replaceAll(host.state, join(dir, "state")), { mode: 0o600 });
  return {
    async backup() {
      const run = await host.run(["backup", "--json", "--config", config]);
      return run.json<{ archive: string }>().archive;
    },
  };
}

/** Puts another manifest under the id of an archive, signed by the key in the host's folder. */
function forge(host: TestHost, region: string, id: string): void {
  const path = join(host.region(region), "hosts/web1/archives", `${id}.manifest`);
  const { line, rest } = splitSigned(readFileSync(path), 4096, "a manifest");
  const header = Buffer.from(line.toString().replace(/"tool":"[^"]*"/, '"tool":"forged"'));
  const { privateKey } = signerFromPem(readFileSync(join(host.dir, "keys/signer.key"), "utf8"));
  rmSync(path);
  writeFileSync(path, signedObject(privateKey, "manifest", header, rest));
}

describe("a stolen signer", () => {
  let host: TestHost;
  let own: Signers["signers"][number] | undefined;
  let [first, second, evil] = ["", "", ""];

  beforeAll(async () => {
    host = await setUpHost();
    [own] = await signersOf(host, "--config", host.config);
    first = (await host.backup()).document.archive ?? "";
    writeFileSync(join(host.source, "b.txt"), "more");
    second = (await host.backup()).document.archive ?? "";
    evil = await thiefOf(host).backup();
  }, 120_000);

  test("is as good as any until somebody says so", async () => {
    expect((await restore(host)).document.archive).toBe(evil);
  });

  test("is revoked: what it signed later is void for every reader, what it signed before is not", async () => {
    expect(await host.run(["signer", "revoke", "0123456789abcdef", "--last", second, "--kit", host.movedKit])).toMatchObject({ status: 5 });
    const revoked = await host.run(["signer", "revoke", own?.fingerprint ?? "", "--last", second, "--kit", host.movedKit, "--reason", "stolen", "--json"]);
    expect({ status: revoked.status, ...revoked.json() }).toMatchObject({ status: 0, host: "web1", last: second, voided: [evil], regions: { a: "recorded", b: "recorded" } });

    const list = await listed(host);
    expect(list.archives.map(({ id }) => id)).toEqual([second, first]);
    expect(list.findings).toEqual([expect.objectContaining({ kind: "revoked-signer", archive: evil }), expect.objectContaining({ kind: "revoked-signer", archive: evil })]);
    expect((await restore(host)).document).toMatchObject({ archive: second, status: "complete" });
    expect(await host.run(["restore", "--kit", host.movedKit, "--to", join(tempDir(), "out"), "--archive", evil])).toMatchObject({ status: 5, stderr: expect.stringContaining("revoked signer") });
    expect(await host.run(["verify", "--all", "--kit", host.movedKit])).toMatchObject({ status: 0 });
    expect(await host.run(["status", "--kit", host.movedKit])).toMatchObject({ status: 4, stdout: expect.stringContaining("revoked signer") });
    expect(await host.backup()).toMatchObject({ status: 5, stderr: expect.stringContaining("the signer of this host was revoked") });
  });

  test("is revoked for recover.sh too", () => {
    const target = join(tempDir(), "out");
    const recover = (...args: string[]): SpawnSyncReturns<string> => spawnSync("sh", ["recover.sh", ...args, host.movedKit, target], { cwd: host.region("b"), encoding: "utf8" });
    expect(recover("--archive", evil)).toMatchObject({ status: 5, stderr: expect.stringContaining("is void") });
    expect(recover()).toMatchObject({ status: 0, stderr: expect.stringContaining(`${evil} is void`) });
    expect(readFileSync(join(target, host.source, "b.txt"), "utf8")).toBe("more");
    rmSync(target, { recursive: true });
    expect(recover("--archive", first)).toMatchObject({ status: 0 });
  });

  test("is followed by a new one, and the host goes on after the last good archive", async () => {
    renameSync(join(host.dir, "keys/signer.key"), join(host.dir, "safe/stolen.key"));
    expect((await host.run(host.initArguments())).stderr).toContain("keys of this host were made anew");
    const [fresh] = await signersOf(host, "--config", host.config);
    await host.run(["signer", "trust", "host", "web1", own?.key ?? "", "--fingerprint", own?.fingerprint ?? "", "--config", host.config]);
    await host.run(["signer", "trust", "host", "web1", fresh?.key ?? "", "--fingerprint", fresh?.fingerprint ?? "", "--kit", host.movedKit]);
    const third = await host.backup();
    expect(third.status).toBe(0);
    const manifest = readFileSync(join(host.region("a"), "hosts/web1/archives", `${third.document.archive}.manifest`), "utf8");
    expect(JSON.parse(manifest.slice(0, manifest.indexOf("\n")))).toMatchObject({ previous: { id: second }, signer: fresh?.key });
    expect((await restore(host)).document.archive).toBe(third.document.archive);
    expect((await listed(host)).archives).toHaveLength(3);
    // A good archive came after what the thief wrote: that is no alarm any more.
    expect((await host.run(["status", "--kit", host.movedKit])).status).toBe(0);
    expect((await host.run(["status", "--fleet", "--kit", host.movedKit])).status).toBe(0);
  });
});

describe("a stolen signer's thief who can write into one region", () => {
  test("a record in any region holds for all; a good archive that was replaced in a region is taken from the other", async () => {
    const host = await setUpHost();
    const first = (await host.backup()).document.archive ?? "";
    writeFileSync(join(host.source, "b.txt"), "more");
    const second = (await host.backup()).document.archive ?? "";
    const evil = await thiefOf(host).backup();
    // Under the id of a good archive, and in the region that is asked first.
    forge(host, "a", first);
    const [own] = await signersOf(host, "--config", host.config);
    expect((await host.run(["signer", "revoke", own?.key ?? "", "--last", second, "--kit", host.movedKit, "--json"])).json<{ voided: string[] }>().voided).toEqual([first, evil].toSorted());
    const seen = async (...args: string[]): Promise<Record<string, Record<string, string>>> => Object.fromEntries((await listed(host, ...args)).archives.map(({ id, regions }) => [id, regions]));
    const good = { [second]: { a: "complete", b: "complete" }, [first]: { a: "behind", b: "complete" } };
    expect(await seen()).toEqual(good);
    // Somebody takes the record away in one region, and rolls it back there.
    for (const name of readdirSync(join(host.region("a"), "hosts/web1/records"))) rmSync(join(host.region("a"), "hosts/web1/records", name));
    expect(await seen()).toEqual(good);
    expect((await restore(host, ["--archive", first])).document).toMatchObject({ archive: first, status: "complete" });
    expect((await restore(host)).document.archive).toBe(second);
    // That region alone does not know: docs/threat-model.md says so.
    expect(Object.keys(await seen("--region", "a"))).toContain(evil);
  });
});
