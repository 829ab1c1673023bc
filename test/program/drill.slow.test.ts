/** `coldkeep drill` from outside, at depth files. */
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { formatPublicKey, formatSecretKey, newSigner } from "../../src/codec/signer.ts";
import type { DrillReport } from "../../src/engine/drill/run.ts";
import { type ProgramResult, startColdkeep, waitUntil } from "../support/program.ts";
import { noise, setUpHost, type TestHost } from "../support/host.ts";
import { flip } from "../support/restore.ts";

type Drilled = ProgramResult & { document: DrillReport & { error?: { code: string } } };

async function drill(host: TestHost, args: string[] = []): Promise<Drilled> {
  const result = await host.run(["drill", "--json", "--kit", args.includes("--kit") ? "" : host.movedKit, "--config", host.config, ...args].filter((each, at, all) => !(each === "--kit" && all[at + 1] === "") && each !== ""));
  return { ...result, document: result.json() };
}

function records(host: TestHost, region: string): { kind: string; depth: string; result: string; archive: string; report: string }[] {
  const folder = join(host.region(region), "hosts/web1/records");
  return existsSync(folder) ? readdirSync(folder).toSorted().map((name) => JSON.parse(readFileSync(join(folder, name), "utf8").split("\n")[0] ?? "") as ReturnType<typeof records>[number]) : [];
}

function damage(host: TestHost, region: string): void {
  for (const id of host.objects(region, "volumes")) {
    const path = join(host.region(region), "hosts/web1/volumes", id);
    for (let at = 400; at < readFileSync(path).length; at += 64 * 1024) flip(path, at);
  }
}

const tree = { "a.txt": "alpha", "sub/b.txt": "beta", "big.bin": noise(3_000_000, 7) };

/** Everything that lies in the state's folder for drills. */
const leftOf = (host: TestHost): string[] => (existsSync(join(host.state, "drill")) ? readdirSync(join(host.state, "drill")) : []);

describe("drill", () => {
  test("passes, compares with what lives here, is recorded in every region, and leaves nothing", async () => {
    const host = await setUpHost({ tree, config: "objectives: {drillEvery: 30d}" });
    const { document: { archive } } = await host.backup();
    const overdue = await host.run(["status", "--config", host.config]);
    expect(overdue).toMatchObject({ status: 4, stdout: expect.stringContaining("never drilled; the objective is every") as string });
    writeFileSync(join(host.source, "a.txt"), "changed since");
    const { status, document } = await drill(host);
    expect(status).toBe(0);
    expect(document).toMatchObject({ host: "web1", archive, depth: "files", result: "passed", sabotaged: false, why: [], cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false }, damaged: [] });
    expect(document.stages.map(({ name }) => name)).toEqual(["restore", "compare"]);
    expect(document.bytes).toBeGreaterThan(3_000_000);
    expect(document.compared?.named).toContain(join(host.source, "a.txt"));
    expect(document.compared?.differing).toBe(1);
    expect(document.compared?.same).toBe((document.compared?.files ?? 0) - 1);
    expect(leftOf(host)).toEqual([]);
    expect(readFileSync(join(host.source, "a.txt"), "utf8")).toBe("changed since");
    for (const region of ["a", "b"]) {
      const [record] = records(host, region);
      expect(record).toMatchObject({ kind: "drill", depth: "files", result: "passed", archive });
      expect(JSON.parse(record?.report ?? "")).toMatchObject({ rtoMs: null, entries: document.entries, cleanUp: { folderLeft: false } });
    }
    expect((await host.run(["status", "--config", host.config])).stdout).not.toContain("never drilled");
  });

  test("says so on a terminal's stdout too, of an archive picked by chance, without a record where none is wanted", async () => {
    const host = await setUpHost({ tree });
    const ids: (string | null)[] = [];
    for (const text of ["one", "two"]) {
      writeFileSync(join(host.source, "a.txt"), text);
      ids.push((await host.backup()).document.archive);
    }
    const { status, stdout } = await host.run(["drill", "--archive", "random", "--unrecorded", "--kit", host.movedKit, "--config", host.config]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^PASSED {2}web1, archive \S+, .* old, depth files\nrestored .*\nstages .*\nsample .*\ncleaned /);
    expect(ids.some((id) => stdout.includes(id ?? "?"))).toBe(true);
    expect(records(host, "a")).toEqual([]);
  });

  test("one damaged region is made up for by the other; with both damaged it fails, and the record says so", async () => {
    const host = await setUpHost({ tree });
    await host.backup();
    damage(host, "a");
    const served = await drill(host);
    expect(served.status).toBe(0);
    expect(served.document).toMatchObject({ result: "passed" });
    expect(served.document.damaged.every((each) => each.startsWith("a "))).toBe(true);
    damage(host, "b");
    const failed = await drill(host);
    expect(failed.status).toBe(1);
    expect(failed.document).toMatchObject({ result: "failed", cleanUp: { folderLeft: false } });
    expect(failed.document.why.join("\n")).toContain("is lost: no region has its bytes right");
    expect(records(host, "b").map(({ result }) => result)).toEqual(["passed", "failed"]);
    expect(leftOf(host)).toEqual([]);
  });

  test("of the one before the newest, where no region has that one's manifest right, is no success", async () => {
    const host = await setUpHost({ tree });
    const first = (await host.backup()).document.archive;
    writeFileSync(join(host.source, "a.txt"), "later");
    const latest = (await host.backup()).document.archive;
    for (const region of ["a", "b"]) truncateSync(join(host.region(region), `hosts/web1/archives/${latest}.manifest`), 300);
    const { status, stderr, document } = await drill(host);
    expect(document).toMatchObject({ result: "passed", archive: first, passedOver: [latest] });
    expect(status).toBe(3);
    expect(stderr).toContain(`${latest}`);
    expect((await drill(host, ["--archive", first ?? ""])).status).toBe(0);
  });

  test("with sabotage it must fail, and changes nothing in the vault", async () => {
    const host = await setUpHost({ tree });
    await host.backup();
    const before = host.objects("a", "volumes").map((id) => readFileSync(join(host.region("a"), "hosts/web1/volumes", id)).toString("base64"));
    const { status, document } = await drill(host, ["--sabotage"]);
    expect(document).toMatchObject({ result: "failed", sabotaged: true, record: null });
    expect(status).toBe(0);
    expect(host.objects("a", "volumes").map((id) => readFileSync(join(host.region("a"), "hosts/web1/volumes", id)).toString("base64"))).toEqual(before);
    expect(records(host, "a")).toEqual([]);
    expect((await drill(host)).document.result).toBe("passed");
  });

  test("a killed drill leaves a folder, which the next removes; nothing else there is touched", async () => {
    const host = await setUpHost({ tree: { ...tree, ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`more/${i}.bin`, noise(700_000, 100 + i)])) } });
    await host.backup();
    const work = join(host.dir, "work");
    mkdirSync(join(work, "coldkeep-drill-of-somebody"), { recursive: true });
    writeFileSync(join(work, "coldkeep-drill-of-somebody/.coldkeep-drill.json"), "{}");
    writeFileSync(join(work, "notes"), "");
    const killed = startColdkeep(["drill", "--kit", host.movedKit, "--work", work, "--config", host.config]);
    await waitUntil("files are restored", () => readdirSync(work).some((name) => existsSync(join(work, name, "files"))));
    process.kill(-(killed.child.pid ?? 0), "SIGKILL");
    await killed.result;
    expect(readdirSync(work)).toHaveLength(3);
    const { status, stderr } = await drill(host, ["--work", work]);
    expect(status).toBe(0);
    expect(stderr).toContain("a drill was cut off earlier");
    expect(readdirSync(work).toSorted()).toEqual(["coldkeep-drill-of-somebody", "notes"]);
  });

  test("on a drill machine: a kit with an identity of its own, and a signer that may sign drills only", async () => {
    const host = await setUpHost({ tree });
    const own = join(host.dir, "safe/drill-kit.txt");
    const made = await host.run(["key", "new", "--kit", host.movedKit, "--to", own, "--json"]);
    expect(made.status).toBe(0);
    const { recipient } = made.json<{ recipient: string }>();
    // A recipient beside the owner's: both kits open every archive from now on.
    host.editConfig((text) => text.replace(/^recipients:\n/m, `recipients:\n  - ${recipient}\n`));
    await host.backup();
    expect(readFileSync(own, "utf8")).not.toContain("# operator-key:");
    const signer = newSigner();
    const key = join(host.dir, "safe/drill.key");
    writeFileSync(key, `${formatSecretKey(signer.privateKey)}\n`, { mode: 0o600 });
    const args = ["--kit", own, "--signer-key", key];
    expect((await drill(host, args)).document.error?.code).toBe("E_SIGNER");
    const line = ["drill", formatPublicKey(signer.publicKey)];
    for (const kit of [own, host.movedKit]) expect((await host.run(["kit", "add-signer", ...line, "--kit", kit])).status).toBe(0);
    const passed = await drill(host, args);
    expect(passed.status).toBe(0);
    expect(passed.document.record).not.toBeNull();
    expect((await host.run(["status", "--kit", host.movedKit])).stdout).toMatch(/key checked +\S+ ago/);
  });
});
