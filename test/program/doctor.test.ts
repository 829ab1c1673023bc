/** `coldkeep doctor`: a line for everything the next night depends on. */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { afterUse } from "../support/temp-dir.ts";

type Check = { name: string; verdict: "ok" | "warn" | "fail"; message: string; hint?: string };
type Report = { counts: Record<string, number>; checks: Check[] };

async function doctor(host: TestHost, args: string[] = []): Promise<{ status: number | null; report: Report; of: (name: string) => Check | undefined }> {
  const run = await host.run(["doctor", "--json", "--config", host.config, ...args]);
  const report = run.json<Report>();
  return { status: run.status, report, of: (name) => report.checks.find((check) => check.name.includes(name)) };
}

/** The findings that are not OK, as `name verdict`. */
function findings({ checks }: Report): string[] {
  return checks.filter(({ verdict }) => verdict !== "ok").map(({ name, verdict }) => `${name} ${verdict}`);
}

describe("of a host with directory regions", () => {
  test("all is well but what a person should know; nothing but a probe is stored", async () => {
    const host = await setUpHost();
    const { status, report } = await doctor(host);
    // A fresh vault has one recipient: the identity of the kit.
    expect(findings(report).filter((finding) => !/^(?:room|privilege|uncovered)/.test(finding))).toEqual(["recipients warn", "schedule warn"]);
    expect(status).toBe(4);
    expect(report.checks.map(({ name }) => name)).toEqual(expect.arrayContaining(["configuration", `source ${host.source}`, "key separation", "region a: write", "region b: create-only"]));
    expect(host.objects("a", "archives")).toEqual([]);
    const again = await doctor(host);
    expect(again.report.counts).toEqual(report.counts);
    expect((await host.backup()).status).toBe(0);
    expect((await doctor(host)).of("region a: list and read")).toMatchObject({ verdict: "ok", message: expect.stringContaining("1 archives") });
  });

  test("text for a person: a word, a name and a hint a line", async () => {
    const host = await setUpHost();
    const { stdout, stderr } = await host.run(["doctor", "--config", host.config]);
    expect(stdout).toMatch(/^OK {4}configuration: /m);
    expect(stdout).toMatch(/^WARN {2}recipients: .*\n {6}hint: Make a second one elsewhere/m);
    expect(stdout.trimEnd()).toMatch(/\d+ ok, \d+ to look at, 0 failed$/);
    expect(stderr).toBe("");
  });

  test("a source that is gone, a path that must exist, a kit still here, an identity, a region not mounted: each by name", async () => {
    const host = await setUpHost({ config: 'safety: {mustExist: ["/nowhere/marker"]}' });
    renameSync(host.movedKit, host.kit);
    rmSync(host.source, { recursive: true });
    rmSync(host.region("b"), { recursive: true });
    const { status, of } = await doctor(host);
    expect(status).toBe(1);
    expect(of("source")).toMatchObject({ verdict: "fail", message: "does not exist", hint: expect.any(String) });
    expect(of("safety.mustExist")).toMatchObject({ verdict: "fail", message: expect.stringContaining("/nowhere/marker") });
    expect(of("kit")).toMatchObject({ verdict: "warn", message: expect.stringContaining(host.kit) });
    expect(of("region b: reach")).toMatchObject({ verdict: "fail" });
    expect(of("region a: write")).toMatchObject({ verdict: "ok" });
  });

  test("an identity beside the configuration fails; keys open to others refuse", async () => {
    const host = await setUpHost();
    writeFileSync(join(host.dir, "coldkeep-kit.txt"), readFileSync(host.movedKit), { mode: 0o600 });
    mkdirSync(host.state, { recursive: true });
    renameSync(join(host.dir, "coldkeep-kit.txt"), join(host.state, "kit.txt"));
    expect((await doctor(host)).of("key separation")).toMatchObject({ verdict: "fail" });
    chmodSync(join(host.dir, "keys"), 0o755);
    const refused = await host.run(["doctor", "--config", host.config]);
    expect(refused).toMatchObject({ status: 5, stderr: expect.stringContaining("hint:") });
  });
});

describe("of a host with S3 regions", () => {
  test("rights, conditional writes and clocks are tried, a region that refuses or is dead is named within seconds", async () => {
    const [open, dead] = [await startFakeS3({ buckets: ["vault"] }), await startFakeS3({ buckets: ["vault"] })];
    afterUse(() => void open.stop());
    const host = await setUpHost(s3Options({ open, dead }));
    await dead.stop();
    const { status, of } = await doctor(host);
    expect(status).toBe(1);
    expect(of("region open: rights")).toMatchObject({ verdict: "warn", message: expect.stringContaining("may delete") });
    expect(of("region open: create-only")?.verdict).toBe("ok");
    expect(of("region open: clock")?.verdict).toBe("ok");
    expect(of("region dead: reach")).toMatchObject({ verdict: "fail" });
  });

  test("credentials without deletion are right; a store without conditional writes and clocks apart are said", async () => {
    const fake = await startFakeS3({ buckets: ["vault"] });
    afterUse(() => void fake.stop());
    const host = await setUpHost(s3Options({ north: fake }));
    fake.onRequest = ({ operation }) => (operation === "DeleteObject" ? { kind: "status", status: 403, code: "AccessDenied" } : undefined);
    expect((await doctor(host)).of("rights")).toMatchObject({ verdict: "ok" });
    fake.conditionalPut = "ignored";
    fake.clockOffsetMs = -5 * 60_000;
    const { of } = await doctor(host);
    expect(of("create-only")).toMatchObject({ verdict: "warn", hint: expect.stringContaining("Object Lock") });
    expect(of("clock")).toMatchObject({ verdict: "warn", message: expect.stringContaining("ahead of the region's") });
    // What was found is remembered, and shown.
    const status = await host.run(["status", "--config", host.config, "--json"]);
    expect(status.json<{ probes: unknown[] }>().probes).toEqual([{ region: "north", createOnly: false, clockOffMs: expect.closeTo(300_000, -4), probedAt: expect.any(String) }]);
    expect((await host.run(["status", "--config", host.config])).stdout).toMatch(/^probed +north: a put may replace, clock .+ off/m);
    fake.clockOffsetMs = 48 * 3_600_000;
    expect((await doctor(host)).of("north: ")).toMatchObject({ verdict: "fail", message: expect.stringMatching(/clock|time/i) });
  });
});
