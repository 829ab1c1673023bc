/** list, files, show, diff and state rebuild: what they say of a small vault, to people and to programs. */
import { chmodSync, cpSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import type { ProgramResult } from "../support/program.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";

let host: TestHost;
/** Oldest first. */
let ids: [string, string];

type ListDocument = { total: number; archives: { id: string; status: string; entries: number; regions: Record<string, string> }[]; findings: { kind: string }[] };

function own(verb: string, ...args: string[]): Promise<ProgramResult> {
  return host.run([...verb.split(" "), "--config", host.config, ...args]);
}

async function archive(): Promise<string> {
  const { status, document, stderr } = await host.backup();
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return document.archive ?? "";
}

beforeAll(async () => {
  const badName = Buffer.from("bad-\xff-name", "latin1");
  host = await setUpHost({
    tree: [
      ["a.txt", { type: "file", content: "alpha", mode: 0o640, mtime: "1700000000.123456789" }],
      ["big.bin", noise(3 << 20, 1)],
      ["dir/below.txt", "below"],
      ["dir-beside", "not below dir"],
      ["gone.txt", "will go"],
      ["line\nbreak", "two lines"],
      [badName, "bytes"],
      ["setuid", { type: "file", content: "x", mode: 0o4755 }],
      ["link", { type: "symlink", target: "a.txt" }],
      ["twin", { type: "hardlink", target: "a.txt" }],
      ["pipe", { type: "fifo" }],
    ],
  });
  const first = await archive();
  unlinkSync(join(host.source, "gone.txt"));
  writeFileSync(join(host.source, "new.txt"), "new");
  writeFileSync(join(host.source, "dir/below.txt"), "other");
  utimesSync(join(host.source, "dir/below.txt"), 1, 1);
  chmodSync(join(host.source, "setuid"), 0o755);
  unlinkSync(join(host.source, "link"));
  symlinkSync("elsewhere", join(host.source, "link"));
  const big = readFileSync(join(host.source, "big.bin"));
  noise(8192, 7).copy(big, 1 << 20);
  writeFileSync(join(host.source, "big.bin"), big);
  ids = [first, await archive()];
  cpSync(join(host.dir, "regions"), join(host.dir, "pristine"), { recursive: true });
});

beforeEach(() => {
  rmSync(join(host.dir, "regions"), { recursive: true });
  cpSync(join(host.dir, "pristine"), join(host.dir, "regions"), { recursive: true });
});

describe("list", () => {
  test("newest first, as a table and as a document, by configuration and by kit", async () => {
    const text = await own("list");
    expect(text).toMatchObject({ status: 0, stderr: "" });
    const lines = text.stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^TIME +ARCHIVE +STATUS +ENTRIES +SIZE +STORED +REGIONS$/);
    expect(lines[1]).toMatch(new RegExp(`^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d [+-]\\d\\d:\\d\\d  ${ids[1]}  complete +\\d+ +3\\.0 MiB +[\\d.]+ MiB  a, b$`));
    expect(lines[2]).toContain(ids[0]);
    for (const authority of [["--config", host.config], ["--kit", host.movedKit]]) {
      const document = (await host.run(["list", "--json", ...authority])).json<ListDocument>();
      expect(document).toMatchObject({ schemaVersion: 1, total: 2, findings: [], archives: [{ id: ids[1], host: "web1", status: "complete", regions: { a: "complete", b: "complete" } }, { id: ids[0] }] });
    }
  });

  test("a region that lacks an archive is behind, one that is away is named", async () => {
    rmSync(join(host.region("b"), `hosts/web1/archives/${ids[1]}.manifest`));
    expect((await own("list")).stdout).toContain("a, b (behind)");
    renameSync(host.region("b"), `${host.region("b")}-away`);
    afterUse(() => rmSync(`${host.region("b")}-away`, { recursive: true }));
    const run = await own("list");
    expect(run.status).toBe(0);
    expect(run.stdout).toContain("a, b (unreachable)");
    expect(run.stderr).toMatch(/region "b"/);
  });

  test("gaps and unknown signers are told; a stranger's archive is not listed", async () => {
    for (const region of ["a", "b"]) rmSync(join(host.region(region), `hosts/web1/archives/${ids[0]}.manifest`));
    const gap = await own("list", "--json");
    expect(gap.stderr).toContain(`gap: ${ids[1]} follows ${ids[0]}`);
    expect(gap.json<ListDocument>().findings).toMatchObject([{ kind: "gap", archive: ids[1] }]);
    const stranger = await host.run(["list", "--json", "--region", `file://${host.region("a")}`, "--signer", "ed25519:7ra07JVGsZ7pzUxu78hRpY8SF8DZYinwScZ5UyGTd2A="]);
    expect(stranger.json<ListDocument>()).toMatchObject({ total: 0, findings: [{ kind: "unknown-signer" }] });
    expect(stranger.stderr).toContain("unknown signer");
  });
});

describe("files", () => {
  test("a path and what lies below it, not beside it; names cannot break a line", async () => {
    const below = await own("files", `${host.source}/dir/`);
    expect(below).toMatchObject({ status: 0, stdout: `${host.source}/dir\n${host.source}/dir/below.txt\n` });
    const all = (await own("ls", host.source)).stdout;
    expect(all).toContain("/line\\nbreak\n");
    expect(all).toContain("/bad-\\xff-name\n");
  });

  test("--long shows what ls -l would", async () => {
    const { stdout } = await own("files", "--long", host.source, "--archive", ids[0]);
    expect(stdout).toMatch(/^-rw-r----- \S+ +\S+ +5 2023-11-1[45] .* [+-]\d\d:\d\d \/.*\/a\.txt$/m);
    expect(stdout).toMatch(/^-rwsr-xr-x .*\/setuid$/m);
    expect(stdout).toMatch(/^lrwxrwxrwx .*\/link -> a\.txt$/m);
    expect(stdout).toMatch(/^-rw-r----- .*\/twin link to .*\/a\.txt$/m);
    expect(stdout).toMatch(/^prw.*\/pipe$/m);
  });

  test("entries as the catalog has them; bytes that are no text stand in pathRaw", async () => {
    const document = (await own("files", "--json", host.source)).json<{ total: number; entries: Record<string, unknown>[] }>();
    expect(document.total).toBe(document.entries.length);
    expect(document.entries).toContainEqual(expect.objectContaining({ path: `${host.source}/a.txt`, type: "file", mode: "0640", size: 5, mtime: "1700000000.123456789" }));
    expect(document.entries).toContainEqual(expect.objectContaining({ pathRaw: `${host.source}/bad-\\0377-name` }));
    expect(JSON.stringify(document.entries)).not.toContain("extents");
  });

  test("what is not there is exit 1, a relative path exit 2", async () => {
    const gone = await own("files", `${host.source}/gone.txt`, "--json");
    expect(gone.status).toBe(1);
    expect(gone.json()).toMatchObject({ error: { code: "E_NOT_FOUND", message: expect.stringContaining("gone.txt") } });
    expect((await own("files", `${host.source}/gone.txt`, "--archive", ids[0])).status).toBe(0);
    expect((await own("files", "etc")).status).toBe(2);
  });
});

describe("show", () => {
  test("header and catalog to whoever opens it, the header to the rest", async () => {
    const document = (await own("show", "--json")).json<{ archive: { receipt: string }; catalog: unknown }>();
    expect(document).toMatchObject({
      archive: { id: ids[1], host: "web1", status: "complete", previous: { id: ids[0] }, regions: { a: "complete", b: "complete" }, volumes: { count: expect.any(Number) }, catalogs: { count: expect.any(Number) } },
      catalog: { sources: expect.arrayContaining([host.source]), problems: { total: 0 } },
    });
    expect(document.archive.receipt).toMatch(new RegExp(`^web1 ${ids[1]} \\d+ [0-9a-f]{64}$`));
    const text = (await own("show", "--archive", ids[0])).stdout;
    expect(text).toMatch(new RegExp(`^archive +${ids[0]}$`, "m"));
    expect(text).toMatch(/^follows +nothing/m);
    const signer = /# signer: (host .*)/.exec(readFileSync(host.movedKit, "utf8"))?.[1] ?? "";
    const bare = await host.run(["show", "--region", `file://${host.region("a")}`, "--signer", signer]);
    expect(bare).toMatchObject({ status: 0, stderr: expect.stringContaining("without the catalog") });
    expect(bare.stdout).not.toMatch(/^source /m);
  });

  test("a catalog damaged in every region is exit 1, with what the header says", async () => {
    rmSync(join(host.state, "catalog"), { recursive: true, force: true });
    for (const region of ["a", "b"]) for (const name of host.objects(region, "catalogs")) truncateSync(join(host.region(region), "hosts/web1/catalogs", name), 100);
    const run = await own("show");
    expect(run.status).toBe(1);
    expect(run.stdout).toContain(ids[1]);
    expect(run.stderr).toMatch(/the catalog cannot be read: .*is right in no region/);
  });
});

describe("diff", () => {
  test("what came, went and changed, and in what", async () => {
    const { status, stdout, stderr } = await own("diff", "--archive", ids[0], "--with", "latest");
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    const of = (name: string): string | undefined => lines.find((line) => line.includes(`${host.source}/${name}`));
    expect(of("new.txt")).toMatch(/^\+ /);
    expect(of("gone.txt")).toMatch(/^- /);
    expect(of("dir/below.txt")).toMatch(/^M .* \(content, mtime\)$/);
    expect(of("setuid")).toMatch(/^M .* \(mode\)$/);
    expect(of("link")).toMatch(/^M .* \(mtime, target\)$/);
    expect(of("big.bin")).toMatch(/^M .* \(content, mtime\)$/);
    for (const same of ["a.txt", "twin", "pipe", "dir-beside", "line"]) expect(of(same)).toBeUndefined();
    expect(stderr).toContain("1 added, 1 removed");
  });

  test("one document with totals; backwards is the mirror; with itself nothing", async () => {
    type DiffDocument = { totals: Record<string, number>; total: number; differences: { path: string; change: string }[] };
    const there = (await own("diff", "--archive", ids[0], "--with", ids[1], "--json")).json<DiffDocument>();
    const back = (await own("diff", "--archive", ids[1], "--with", ids[0], "--json")).json<DiffDocument>();
    expect(there.total).toBe(there.differences.length);
    expect(back.totals).toEqual({ added: there.totals["removed"], removed: there.totals["added"], changed: there.totals["changed"] });
    expect(there.differences).toContainEqual({ path: `${host.source}/new.txt`, change: "added" });
    expect((await own("diff", "--archive", ids[1], "--with", ids[1], "--json")).json()).toMatchObject({ total: 0, differences: [] });
  });
});

describe("state rebuild", () => {
  test("after the state was lost the next run reads little and stores next to nothing", async () => {
    rmSync(host.state, { recursive: true });
    const rebuilt = await own("state rebuild", "--json");
    expect(rebuilt.status).toBe(0);
    expect(rebuilt.json()).toMatchObject({ state: host.state, archive: ids[1], checkpoints: [], pieces: expect.any(Number), segments: expect.any(Number) });
    expect(rebuilt.json<{ pieces: number }>().pieces).toBeGreaterThan(10);
    const { document } = await host.backup();
    expect(document.filesNew).toBe(0);
    expect(document.bytesStored).toBeLessThan(100_000);
  });

  test("works on a state full of nonsense, and says so in words", async () => {
    for (const name of ["content.db", "runs.db"]) writeFileSync(join(host.state, name), noise(5000, 3));
    const run = await own("state rebuild");
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(/learnt from archive 2\w+-\w+: \d+ objects, \d+ pieces of content, \d+ catalog segments/);
  });

  test("does not forget that an archive was there, when somebody took it away", async () => {
    const { document } = await host.backup();
    for (const region of ["a", "b"]) rmSync(join(host.region(region), `hosts/web1/archives/${document.archive}.manifest`));
    const run = await own("state rebuild", "--json");
    expect(run.status).toBe(5);
    expect(run.json()).toMatchObject({ error: { code: "E_REFUSED", message: expect.stringContaining("rollback") } });
    expect((await host.backup()).status).toBe(5);
  });
});

test("a region that is dead does not hold up who reads, when another one answers", async () => {
  const fake = await startFakeS3({ buckets: ["vault"] });
  const both = s3Options({ dead: fake });
  const folder = tempDir();
  const other = await setUpHost({ ...both, regions: { ...both.regions, disk: `file://${folder}/region` } });
  await other.backup();
  await fake.stop();
  const startMs = performance.now();
  const { status, stdout, stderr } = await other.run(["list", "--kit", other.movedKit]);
  expect({ status, isQuick: performance.now() - startMs < 20_000 }).toEqual({ status: 0, isQuick: true });
  expect(stdout).toContain("complete");
  expect(stderr).toMatch(/region "dead" .* does not answer/);
});

test("with a kit, manifests seen before are not fetched again, unless to verify; one that is other than it was is", async () => {
  const fake = await startFakeS3({ buckets: ["vault"] });
  const other = await setUpHost(s3Options({ north: fake }));
  for (let night = 0; night < 4; night++) await other.backup();
  const caches = join(tempDir(), "caches");
  const fetched = async (verb: string, env: Record<string, string> = { XDG_CACHE_HOME: caches }): Promise<number> => {
    const before = fake.requests.length;
    const run = await other.run([verb, "--kit", other.movedKit], { env });
    expect({ status: run.status, stderr: verb === "verify" ? "" : run.stderr }).toEqual({ status: 0, stderr: "" });
    return fake.requests.slice(before).filter(({ operation, key }) => operation === "GetObject" && key.includes("/archives/")).length;
  };
  expect(await fetched("list")).toBe(4);
  // The newest may be wanted whole.
  expect(await fetched("list")).toBe(1);
  expect(await fetched("verify")).toBeGreaterThanOrEqual(4);
  expect(statSync(join(caches, "coldkeep")).mode & 0o777).toBe(0o700);
  const oldest = [...fake.bucket("vault").keys()].filter((key) => key.includes("/archives/")).toSorted()[0] ?? "";
  const bytes = fake.bucket("vault").get(oldest) ?? Buffer.alloc(0);
  fake.bucket("vault").set(oldest, Buffer.from("nonsense"));
  const damaged = await other.run(["list", "--kit", other.movedKit], { env: { XDG_CACHE_HOME: caches } });
  expect(damaged.stderr).toContain(`region "north"`);
  // A cache that cannot be made costs questions, no more.
  fake.bucket("vault").set(oldest, bytes);
  writeFileSync(`${caches}-file`, "");
  expect(await fetched("list", { XDG_CACHE_HOME: `${caches}-file` })).toBe(4);
});
