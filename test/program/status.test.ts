/** `coldkeep status` and `host retire`: what a person, a program and Nagios are told, and when it is an alarm. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { setUpHost, type TestHost } from "../support/host.ts";
import { onTerminal } from "../support/terminal-session.ts";
import { clockAt, hasVirtualClock } from "../support/virtual-clock.ts";

type Finding = { severity: string; message: string; hint: string };
type StatusDocument = { verdict: string; ageMs: number | null; archivesTotal: number; newestGood: { id: string } | null; findings: Finding[]; growth: { bytes: number; days: number } | null };
type FleetDocument = { total: number; hosts: { host: string; state: string }[] };

const HOUR = 3_600_000;
const START = Date.parse("2027-03-01T02:30:00Z");

async function statusOf(host: TestHost, atMs: number, args: string[] = []): Promise<{ status: number | null; document: StatusDocument }> {
  const run = await host.run(["status", "--json", "--config", host.config, ...args], { env: clockAt(atMs) });
  return { status: run.status, document: run.json<StatusDocument>() };
}

function nagios(host: TestHost, atMs: number, config = host.config): Promise<{ status: number | null; stdout: string }> {
  return host.run(["status", "--nagios", "--config", config], { env: clockAt(atMs) });
}

/** Sets up a second host in the vault of the first; returns its signer line. */
async function joinVault(first: TestHost, label: string): Promise<{ host: TestHost; signer: string }> {
  const host = await setUpHost({ host: label, regions: first.regions });
  const signer = readFileSync(host.movedKit, "utf8").split("\n").find((line) => line.startsWith("# signer: host")) ?? "";
  return { host, signer };
}

test("the virtual clock is there", () => expect(hasVirtualClock).toBe(true));

describe("of one host", () => {
  test("without an archive, fresh, grown old, and for who asks more", async () => {
    const host = await setUpHost();
    expect(await statusOf(host, START)).toMatchObject({ status: 4, document: { verdict: "at-risk", newestGood: null, findings: [{ severity: "critical", message: "there is no archive" }] } });
    expect(await nagios(host, START)).toMatchObject({ status: 2, stdout: expect.stringMatching(/^COLDKEEP CRITICAL - web1: there is no archive \| archives=0$/m) });

    await host.backup([], { env: clockAt(START) });
    const fresh = await statusOf(host, START + 3 * HOUR);
    expect(fresh).toMatchObject({ status: 0, document: { verdict: "ready", findings: [], archivesTotal: 1 } });
    expect(Math.round((fresh.document.ageMs ?? 0) / HOUR)).toBe(3);
    // The archive is dated some seconds after its run began.
    expect(await nagios(host, START + 3 * HOUR + 30_000)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^COLDKEEP OK - web1: newest good archive 3h 00m old \| age=108\d\ds;;93600;0 stored=\d+B archives=1$/m) });

    const old = await statusOf(host, START + 27 * HOUR + 30_000);
    expect(old).toMatchObject({ status: 4, document: { verdict: "at-risk", findings: [{ severity: "critical", message: expect.stringContaining("27h 00m old, more than the objective of 26h 00m") }] } });
    expect(await statusOf(host, START + 27 * HOUR, ["--rpo", "2d"])).toMatchObject({ status: 0 });
    expect(await nagios(host, START + 27 * HOUR)).toMatchObject({ status: 2 });
    // The clock of whoever looks is two days behind.
    expect(await statusOf(host, START - 48 * HOUR)).toMatchObject({ status: 4, document: { findings: [{ severity: "warn", message: expect.stringContaining("in the future") }] } });
  });

  test("a region behind, one that does not answer, a partial archive: a warning each, and no alarm of age", async () => {
    const host = await setUpHost({ config: "objectives: {rpo: 50h}" });
    await host.backup([], { env: clockAt(START) });
    renameSync(host.region("b"), `${host.region("b")}.away`);
    writeFileSync(join(host.source, "new.txt"), "new");
    await host.backup([], { env: clockAt(START + 24 * HOUR) });
    const away = await statusOf(host, START + 25 * HOUR);
    expect(away).toMatchObject({ status: 4, document: { verdict: "look", findings: [{ severity: "warn", message: "region b does not answer" }] } });
    renameSync(`${host.region("b")}.away`, host.region("b"));
    expect(await statusOf(host, START + 25 * HOUR)).toMatchObject({ status: 4, document: { findings: [{ severity: "warn", message: "region b does not hold the newest archive" }] } });
    expect(await nagios(host, START + 25 * HOUR)).toMatchObject({ status: 1, stdout: expect.stringContaining("COLDKEEP WARNING - web1: region b does not hold") });

    host.editConfig((text) => text.replace("sources:\n", "sources:\n  - /nowhere/at/all\n"));
    await host.backup([], { env: clockAt(START + 48 * HOUR) });
    expect(await statusOf(host, START + 49 * HOUR)).toMatchObject({ status: 4, document: { verdict: "look", findings: [{ severity: "warn", message: expect.stringContaining("is partial") }] } });
  });

  test("the screen fits 80 columns, and 60 lose nothing of the words", async () => {
    const host = await setUpHost();
    for (let night = 0; night < 3; night++) {
      appendFileSync(join(host.source, "a.txt"), `night ${night}`);
      await host.backup([], { env: clockAt(START + night * 24 * HOUR) });
    }
    const { status, stdout } = await host.run(["status", "--config", host.config], { env: clockAt(START + 50 * HOUR) });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^web1: READY$/m);
    expect(stdout).toMatch(/^ {2}a +\+ \+ \+$/m);
    expect(stdout).toMatch(/^growth +\+.* in 2 days$/m);
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(80);

    const list = ["list", "--config", host.config];
    const onScreen = async (columns: number): Promise<string[]> => (await host.run(list, { wrapper: onTerminal(columns), env: { TERM: "xterm" } })).stdout.trimEnd().split(/\r?\n/);
    const narrow = await onScreen(80);
    for (const line of narrow) expect(line.length).toBeLessThanOrEqual(80);
    // What is left of an id there still names the archive.
    const [shortId = "none"] = narrow[1]?.match(/\d{8}t\d{9}z/) ?? [];
    expect((await host.run(["show", "--archive", shortId, "--config", host.config])).status).toBe(0);
    expect((await onScreen(120)).join("\n")).toBe((await host.run(list)).stdout.trimEnd());
  });

  test("what this machine remembers: verifications, a failed run since, and the figures for Prometheus", async () => {
    const host = await setUpHost({ config: "objectives: {verifyEvery: 7d}" });
    await host.backup([], { env: clockAt(START) });
    expect(await statusOf(host, START + HOUR)).toMatchObject({ status: 4, document: { findings: [{ severity: "warn", message: expect.stringContaining("never verified") }] } });
    await host.run(["verify", "--config", host.config], { env: clockAt(START + HOUR) });
    expect(await statusOf(host, START + 2 * HOUR)).toMatchObject({ status: 0, document: { findings: [], verified: { checksum: expect.stringMatching(/^2027-03-01T03:30/) }, nextRun: null } });
    expect((await statusOf(host, START + 9 * 24 * HOUR, ["--rpo", "30d"])).document.findings).toMatchObject([{ message: expect.stringContaining("last verified 8d") }]);

    for (const region of ["a", "b"]) renameSync(host.region(region), `${host.region(region)}.away`);
    expect((await host.backup([], { env: clockAt(START + 3 * HOUR) })).status).toBe(1);
    for (const region of ["a", "b"]) renameSync(`${host.region(region)}.away`, host.region(region));
    expect((await statusOf(host, START + 4 * HOUR)).document.findings).toMatchObject([{ severity: "warn", message: expect.stringContaining("the last backup failed") }]);
    const { stdout } = await host.run(["status", "--prom", "--config", host.config], { env: clockAt(START + 4 * HOUR) });
    expect(stdout).toMatch(/^coldkeep_good_archive_timestamp_seconds\{host="web1",vault="[0-9a-f]{32}"\} 18038682\d\d(\.\d+)?$/m);
    expect(stdout).toMatch(/^coldkeep_findings\{.*severity="warn"\} 1$/m);
    await host.backup([], { env: clockAt(START + 5 * HOUR) });
    expect(await statusOf(host, START + 6 * HOUR)).toMatchObject({ status: 0 });
  });

  test("a configuration that is none is UNKNOWN to Nagios, exit 3", async () => {
    const host = await setUpHost();
    expect(await nagios(host, START, join(host.dir, "missing.yaml"))).toMatchObject({ status: 3, stdout: expect.stringMatching(/^COLDKEEP UNKNOWN - /) });
  });
});

describe("of a fleet", () => {
  test("who is well, who fell silent, who never reported and who retired are told apart", async () => {
    const first = await setUpHost({ host: "alpha" });
    const [second, third] = [await joinVault(first, "beta"), await joinVault(first, "gamma")];
    const { signer } = await joinVault(first, "delta");
    writeFileSync(first.movedKit, readFileSync(first.movedKit, "utf8").replace(/^(# signer: .*)$/m, `${second.signer}\n${third.signer}\n${signer}\n$1`));
    await second.host.backup([], { env: clockAt(START) });
    await third.host.backup([], { env: clockAt(START) });
    await first.backup([], { env: clockAt(START + 40 * HOUR) });
    const fleet = ["status", "--fleet", "--kit", first.movedKit];
    const at = { env: clockAt(START + 41 * HOUR) };

    const retired = await first.run(["host", "retire", "gamma", "--kit", first.movedKit, "--reason", "replaced", "--json"], at);
    expect(retired).toMatchObject({ status: 0 });
    expect(retired.json<{ regions: object }>().regions).toEqual({ a: "recorded", b: "recorded" });
    expect((await first.run(["host", "retire", "gamma", "--kit", first.movedKit, "--json"], at)).json<{ record: string | null }>().record).toBeNull();

    const run = await first.run([...fleet, "--json"], at);
    expect(run.status).toBe(4);
    const { hosts } = run.json<FleetDocument>();
    expect(hosts.map(({ host, state }) => `${host} ${state}`)).toEqual(["alpha ok", "beta silent", "delta never", "gamma retired"]);
    expect((await first.run(fleet, at)).stdout).toMatch(/4 hosts, 2 silent, 1 retired$/m);
    // A retired host is no alarm by itself, and says when and why.
    const own = await first.run(["status", "--host", "gamma", "--kit", first.movedKit], at);
    expect(own.status).toBe(0);
    expect(own.stdout).toContain("gamma: RETIRED");
    expect(own.stdout).toContain("replaced");
  });

  test("only the operator retires, only hosts that are known, and a record somebody else wrote counts for nothing", async () => {
    const host = await setUpHost();
    await host.backup([], { env: clockAt(START) });
    const retire = (kit: string, label: string[]): Promise<{ status: number | null; stderr: string }> => host.run(["host", "retire", ...label, "--kit", kit]);
    expect(await retire(host.movedKit, ["nobody"])).toMatchObject({ status: 5, stderr: expect.stringContaining("hint:") });
    expect(await retire(host.movedKit, [])).toMatchObject({ status: 2, stderr: expect.stringContaining("argument 'label'") });
    const keyless = join(host.dir, "safe/keyless.txt");
    writeFileSync(keyless, readFileSync(host.movedKit, "utf8").replace(/^# operator-key: .*\n/m, ""), { mode: 0o600 });
    expect(await retire(keyless, ["web1"])).toMatchObject({ status: 2, stderr: expect.stringContaining("operator's key") });

    // A record of another vault's operator, put where this vault's would lie.
    const other = await setUpHost();
    await other.backup();
    await other.run(["host", "retire", "web1", "--kit", other.movedKit]);
    const folder = join(other.region("a"), "hosts/web1/records");
    mkdirSync(join(host.region("a"), "hosts/web1/records"), { recursive: true });
    const [name = ""] = readdirSync(folder);
    writeFileSync(join(host.region("a"), "hosts/web1/records", name), readFileSync(join(folder, name)));
    const run = await host.run(["status", "--config", host.config], { env: clockAt(START + HOUR) });
    expect(run.stdout).toContain("web1: READY");
    expect(run.stderr).toContain("nobody who is pinned as operator");
    rmSync(folder, { recursive: true });
  });
});
