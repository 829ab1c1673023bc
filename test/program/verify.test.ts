/** verify: damage of every kind, in one region and in all, named where it is and weighed by what it means. */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noise, setUpHost, type TestHost } from "../support/host.ts";
import { afterUse } from "../support/temp-dir.ts";

type Problem = { object: string; kind: string; key: string; what: string };
type VerifyDocument = {
  schemaVersion: number;
  level: string;
  archives: { id: string; objects: number; faults: string[] }[];
  regions: Record<string, { state: string; objectsChecked: number; bytesChecked: number; problems: Problem[] }>;
  lost: { object: string; kind: string; what: string; archives: string[]; files: { path: string }[]; pathsTotal: number }[];
  uncertain: Problem[];
  repairableFrom: string[];
  durationMs: number;
};

let host: TestHost;
/** Oldest first. The second volume is what the second run stored. */
let ids: [string, string];
let volumes: [string, string];

async function verify(...args: string[]): Promise<{ status: number | null; document: VerifyDocument; stderr: string }> {
  const run = await host.run(["verify", "--json", "--kit", host.movedKit, ...args]);
  return { status: run.status, stderr: run.stderr, document: run.json<VerifyDocument>() };
}

function place(region: string, kind: "archives" | "catalogs" | "volumes", name: string): string {
  return join(host.region(region), "hosts/web1", kind, name);
}

function flip(path: string, at = Math.floor(statSync(path).size / 2)): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(path, bytes);
}

beforeAll(async () => {
  host = await setUpHost({ tree: { "big.bin": noise(2 << 20, 1), "old.txt": "old", "dir/x": "x" } });
  const run = async (): Promise<string> => (await host.backup()).document.archive ?? "";
  const first = await run();
  const before = host.objects("a", "volumes");
  writeFileSync(join(host.source, "young.txt"), "young");
  ids = [first, await run()];
  const after = host.objects("a", "volumes").filter((name) => !before.includes(name));
  expect(after).toHaveLength(1);
  volumes = [before[0] ?? "", after[0] ?? ""];
  cpSync(join(host.dir, "regions"), join(host.dir, "pristine"), { recursive: true });
});

beforeEach(() => {
  rmSync(join(host.dir, "regions"), { recursive: true });
  cpSync(join(host.dir, "pristine"), join(host.dir, "regions"), { recursive: true });
});

const levels = ["presence", "checksum", "content"] as const;

describe("a vault that is sound", () => {
  test.each(levels)("%s: exit 0, every object of every region looked at", async (level) => {
    const { status, document, stderr } = await verify("--level", level, "--all");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const objects = host.objects("a", "volumes").length + host.objects("a", "catalogs").length;
    expect(document).toMatchObject({ schemaVersion: 1, level, lost: [], uncertain: [], archives: [{ id: ids[1], faults: [] }, { id: ids[0], faults: [] }] });
    for (const region of ["a", "b"]) {
      expect(document.regions[region]).toMatchObject({ state: "sound", objectsChecked: objects, problems: [] });
      const bytes = (["volumes", "catalogs"] as const).flatMap((kind) => host.objects(region, kind).map((name) => statSync(place(region, kind, name)).size)).reduce((a, b) => a + b);
      expect(document.regions[region]?.bytesChecked).toBe(level === "presence" ? 0 : bytes);
    }
  });

  test("says nothing under cron, and with -v what it looked at", async () => {
    expect(await host.run(["verify", "--config", host.config])).toMatchObject({ status: 0, stdout: "", stderr: "" });
    const told = await host.run(["verify", "--config", host.config, "-v"]);
    expect(told.stderr).toMatch(new RegExp(`archive ${ids[1]}, checked for checksum`));
    expect(told.stderr).toMatch(/region "a": sound; \d+ objects, [\d.]+ [KM]iB read/);
  });

  test("what is not ours in a region is left alone; --sample looks at a part; content needs a kit", async () => {
    const folder = join(host.region("a"), "hosts/web1/volumes");
    writeFileSync(join(folder, "notes.txt"), "mine");
    mkdirSync(join(host.region("a"), "lost+found"));
    const { status, document } = await verify("--sample", "20%");
    expect(status).toBe(0);
    expect(document.regions["a"]?.objectsChecked).toBe(1);
    expect((await verify("--level", "content", "--sample", "50%")).status).toBe(0);
    expect(await host.run(["verify", "--level", "content", "--config", host.config])).toMatchObject({ status: 2 });
    expect(await host.run(["verify", "--region", "c", "--config", host.config])).toMatchObject({ status: 2, stderr: expect.stringContaining('no region "c"') });
  });
});

describe("damage in one region", () => {
  const damages: [string, (path: string) => void, RegExp, readonly string[]][] = [
    ["a flipped byte", flip, /does not match its digest/, ["checksum", "content"]],
    ["a truncated object", (path) => truncateSync(path, 1000), /damaged|size/, levels],
    ["an object that is gone", (path) => rmSync(path), /^missing$/, levels],
    ["a longer object", (path) => writeFileSync(path, noise(10, 1), { flag: "a" }), /damaged|size/, levels],
    ["a folder in its place", (path) => [rmSync(path), mkdirSync(path)], /missing/, levels],
  ];
  const cases = damages.flatMap(([what, damage, said, at]) => at.map((level) => [what, level, damage, said] as const));
  test.each(cases)("%s is found by %s: exit 3, the object and the region named", async (_, level, damage, said) => {
    damage(place("b", "volumes", volumes[1]));
    const { status, document, stderr } = await verify("--level", level);
    expect(status).toBe(3);
    expect(document.regions["a"]).toMatchObject({ state: "sound", problems: [] });
    const id = volumes[1].split(".")[0] ?? "";
    expect(document.regions["b"]).toMatchObject({ state: "damaged", problems: [{ object: id, kind: "volume", key: `hosts/web1/volumes/${volumes[1]}`, what: expect.stringMatching(said) }] });
    expect(document).toMatchObject({ lost: [], repairableFrom: ["a"] });
    expect(stderr).toContain(`region "b": volume ${id}`);
    expect(stderr).toMatch(/hint: Region "a" holds all of it right/);
  });

  test("presence does not see a flipped byte, as its name says", async () => {
    flip(place("b", "volumes", volumes[1]));
    expect((await verify("--level", "presence")).status).toBe(0);
  });

  test("different objects damaged in different regions are still repairable", async () => {
    flip(place("a", "volumes", volumes[0]));
    flip(place("b", "catalogs", host.objects("b", "catalogs").at(-1) ?? ""));
    for (const level of ["checksum", "content"]) {
      const { status, document } = await verify("--level", level);
      expect({ status, lost: document.lost, states: [document.regions["a"]?.state, document.regions["b"]?.state] }).toEqual({ status: 3, lost: [], states: ["damaged", "damaged"] });
    }
  });

  test("a region that lacks the manifest is behind; a damaged or foreign manifest is damage", async () => {
    const manifest = place("b", "archives", `${ids[1]}.manifest`);
    rmSync(manifest);
    expect(await verify()).toMatchObject({ status: 3, document: { regions: { a: { state: "sound" }, b: { state: "behind", problems: [{ object: ids[1], kind: "manifest", what: expect.stringContaining("missing") }] } } } });
    cpSync(place("b", "archives", `${ids[0]}.manifest`), manifest);
    expect(await verify()).toMatchObject({ status: 3, document: { lost: [], regions: { b: { state: "damaged", problems: [{ object: ids[1], kind: "manifest" }] } } } });
    cpSync(place("a", "archives", `${ids[1]}.manifest`), manifest);
    flip(manifest, statSync(manifest).size - 10);
    expect(await verify()).toMatchObject({ status: 3, document: { regions: { b: { problems: [{ what: expect.stringContaining("does not match its digest") }] } } } });
  });

  test("--region asks one region, and the others only about what is wrong there", async () => {
    flip(place("b", "volumes", volumes[1]));
    expect(await verify("--region", "a")).toMatchObject({ status: 0 });
    const { status, document } = await verify("--region", "b");
    expect(status).toBe(3);
    expect(Object.keys(document.regions)).toEqual(["b"]);
    expect(document).toMatchObject({ lost: [], repairableFrom: ["a"] });
    rmSync(place("a", "volumes", volumes[1]));
    expect(await verify("--region", "b")).toMatchObject({ status: 1, document: { lost: [{ kind: "volume" }] } });
  });

  test("a region that does not answer is named: exit 3, and what only it could have is not called lost", async () => {
    renameSync(host.region("b"), `${host.region("b")}-away`);
    afterUse(() => rmSync(`${host.region("b")}-away`, { recursive: true, force: true }));
    const away = await verify();
    expect(away).toMatchObject({ status: 3, document: { regions: { a: { state: "sound" }, b: { state: "unreachable" } } } });
    expect(away.stderr).toContain('region "b"');
    flip(place("a", "volumes", volumes[0]));
    expect(await verify()).toMatchObject({ status: 3, document: { lost: [], uncertain: [{ kind: "volume", object: volumes[0].split(".")[0] }] } });
    renameSync(host.region("a"), `${host.region("a")}-away`);
    afterUse(() => rmSync(`${host.region("a")}-away`, { recursive: true, force: true }));
    const none = await host.run(["verify", "--json", "--kit", host.movedKit]);
    expect(none).toMatchObject({ status: 1 });
    expect(none.json()).toMatchObject({ error: { code: "E_REGION" } });
  });
});

describe("damage in every region", () => {
  test.each(["checksum", "content"])("%s: exit 1, and the files that are lost are named", async (level) => {
    flip(place("a", "volumes", volumes[1]));
    rmSync(place("b", "volumes", volumes[1]));
    const { status, document, stderr } = await verify("--level", level);
    expect(status).toBe(1);
    const [lost] = document.lost;
    expect(lost).toMatchObject({ object: volumes[1].split(".")[0], kind: "volume", archives: [ids[1]], pathsTotal: 1 });
    expect(lost?.files).toEqual([{ path: `${host.source}/young.txt` }]);
    expect(stderr).toContain(`lost: ${host.source}/young.txt`);
    expect(await verify("--archive", ids[0])).toMatchObject({ status: 0 });
  });

  test("without anything that opens the catalog the object alone is named", async () => {
    for (const region of ["a", "b"]) flip(place(region, "volumes", volumes[1]));
    const signer = /# signer: (host .*)/.exec(readFileSync(host.movedKit, "utf8"))?.[1] ?? "";
    const run = await host.run(["verify", "--json", "--region", `file://${host.region("a")}`, "--signer", signer]);
    expect(run).toMatchObject({ status: 1 });
    expect(run.json<VerifyDocument>().lost).toMatchObject([{ kind: "volume", files: [] }]);
  });

  test("a manifest, and a catalog", async () => {
    for (const region of ["a", "b"]) flip(place(region, "archives", `${ids[1]}.manifest`), 20);
    expect(await verify()).toMatchObject({ status: 1, document: { lost: [{ object: ids[1], kind: "manifest" }], archives: [{ id: ids[0] }] } });
    expect(await verify("--archive", ids[1])).toMatchObject({ status: 1, document: { lost: [{ object: ids[1], kind: "manifest" }], archives: [] } });
    for (const region of ["a", "b"]) for (const name of host.objects(region, "catalogs")) flip(place(region, "catalogs", name));
    const { status, document } = await verify("--level", "content", "--archive", ids[0]);
    expect(status).toBe(1);
    expect(document.lost).toMatchObject([{ kind: "catalog" }]);
    expect(document.archives[0]?.faults[0]).toMatch(/is right in no region/);
  });

  test("an unknown signer is refused, not called damage", async () => {
    const run = await host.run(["verify", "--json", "--region", `file://${host.region("a")}`, "--signer", "ed25519:7ra07JVGsZ7pzUxu78hRpY8SF8DZYinwScZ5UyGTd2A="]);
    expect(run).toMatchObject({ status: 5 });
    expect(run.json()).toMatchObject({ error: { code: "E_SIGNER" } });
  });
});
