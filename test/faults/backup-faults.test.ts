/** `backup` on a machine that is not kind to it: sources that move or fail, lost and damaged state, copies of the host. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, closeSync, cpSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { noise, setUpHost, TestHost } from "../support/host.ts";
import { treeDigest } from "../support/program.ts";

const isRoot = process.geteuid?.() === 0;
const NOBODY = 65534;

/** Runs a script beside the test, in a process of its own, until the test ends. */
function meanwhile(script: string, ...args: string[]): void {
  const child = spawn(process.execPath, ["-e", `const fs = require("node:fs"); const args = process.argv.slice(1); ${script}`, ...args], { stdio: "ignore" });
  onTestFinished(() => void child.kill("SIGKILL"));
}

/** The files of a host handed to another user, for whom permissions count. */
function giveTo(host: TestHost, uid: number): void {
  spawnSync("chown", ["-R", `${uid}:${uid}`, host.dir]);
}

describe("sources that move", () => {
  test("a log that grows, a file cut again and again, and one replaced by rename are kept and flagged: exit 0", async () => {
    const host = await setUpHost({ tree: { "grows.log": noise(3_000_000, 1), "shrinks.bin": noise(2_000_000, 2), "small.log": "start\n", "replaced.json": "{}" } });
    const path = (name: string): string => join(host.source, name);
    meanwhile(
      `const [grows, small, shrinks, replaced] = args;
       for (let i = 0; ; i++) {
         fs.appendFileSync(grows, "x".repeat(1000));
         fs.appendFileSync(small, "line " + i + "\\n");
         fs.truncateSync(shrinks, i % 2 ? 0 : 1500000 + i % 1000);
         fs.writeFileSync(replaced + ".new", JSON.stringify({ i }));
         fs.renameSync(replaced + ".new", replaced);
       }`,
      path("grows.log"),
      path("small.log"),
      path("shrinks.bin"),
      path("replaced.json"),
    );
    const runs = [await host.backup(), await host.backup(), await host.backup()];
    for (const { status, document } of runs) expect({ status, problems: document.problems }).toEqual({ status: 0, problems: [] });
    expect(Math.max(...runs.map(({ document }) => document.changedWhileRead))).toBeGreaterThan(0);
    const out = await host.restored();
    expect(readdirSync(out).filter((name) => !name.endsWith(".new"))).toEqual(["grows.log", "replaced.json", "shrinks.bin", "small.log"]);
    expect(readFileSync(join(out, "grows.log")).subarray(0, 3_000_000).equals(noise(3_000_000, 1))).toBe(true);
    expect(readFileSync(join(out, "small.log"), "utf8")).toMatch(/^start\n(line \d+\n)*$/);
    expect(JSON.parse(readFileSync(join(out, "replaced.json"), "utf8"))).toEqual(expect.any(Object));
  });

  test("files that come, go and turn into FIFOs between walk and reading are counted, not a problem", async () => {
    const tree = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`d/${i}`, noise(20_000, i)]));
    const host = await setUpHost({ tree });
    meanwhile(
      `const { execFileSync } = require("node:child_process"); const [dir] = args; const spare = dir + "/../fifo";
       execFileSync("mkfifo", [spare]);
       for (let i = 0; ; i = (i + 7) % 300) {
         const file = dir + "/" + i;
         fs.rmSync(file, { force: true }); fs.linkSync(spare, file); fs.rmSync(file);
         if (i % 2) fs.writeFileSync(file, "again");
       }`,
      join(host.source, "d"),
    );
    for (let i = 0; i < 2; i++) expect(await host.backup()).toMatchObject({ status: 0, document: { status: "complete", problems: [] } });
  });
});

describe("sources that fail", () => {
  test.runIf(isRoot)("an unreadable file and an unreadable directory are named; the rest is archived: exit 3", async () => {
    const host = await setUpHost({ tree: { "open.txt": "open", "closed.txt": "closed", "locked/inside.txt": "inside" } });
    giveTo(host, NOBODY);
    chmodSync(join(host.source, "closed.txt"), 0);
    chmodSync(join(host.source, "locked"), 0);
    const run = await host.backup([], { uid: NOBODY });
    expect(run).toMatchObject({ status: 3, document: { status: "partial", regions: { a: "complete", b: "complete" } } });
    expect(run.document.problems.map(({ path, code }) => `${path} ${code}`).toSorted()).toEqual([`${host.source}/closed.txt EACCES`, `${host.source}/locked EACCES`]);
    expect(run.stderr).toContain(`${host.source}/closed.txt`);
    chownSync(host.movedKit, 0, 0);
    expect(readFileSync(join(await host.restored(), "open.txt"), "utf8")).toBe("open");
    // The next night they can be read again.
    chmodSync(join(host.source, "closed.txt"), 0o600);
    chmodSync(join(host.source, "locked"), 0o700);
    expect(await host.backup([], { uid: NOBODY })).toMatchObject({ status: 0, document: { status: "complete", filesNew: 2 } });
  });

  test("a source that is missing, and one that is suddenly empty, are partial", async () => {
    const host = await setUpHost({ tree: { "data/x": "x", "data/y/z": "z" } });
    expect((await host.backup()).status).toBe(0);
    renameSync(join(host.source, "data"), join(host.dir, "aside"));
    const empty = await host.backup();
    expect(empty).toMatchObject({ status: 3, document: { status: "partial", problems: [{ path: host.source, code: "E_EMPTY", message: expect.stringContaining("mounted") }] } });
    rmSync(host.source, { recursive: true });
    const missing = await host.backup();
    expect(missing).toMatchObject({ status: 3, document: { status: "partial" } });
    expect(missing.document.problems).toContainEqual(expect.objectContaining({ path: host.source, code: "ENOENT" }));
    mkdirSync(host.source);
    renameSync(join(host.dir, "aside"), join(host.source, "data"));
    const back = await host.backup();
    expect(back).toMatchObject({ status: 0, document: { filesNew: 2 } });
    expect(back.document.bytesStored).toBeLessThan(10_000);
  });
});

describe("state that is lost or damaged", () => {
  const tree = { "a.bin": noise(2_500_000, 20), "b.bin": noise(600_000, 21) };
  /** All files look new, and are recognised by their content alone. */
  const touchAll = (host: TestHost): void => void spawnSync("touch", [join(host.source, "a.bin"), join(host.source, "b.bin")]);
  const expectNothingStored = async (host: TestHost): Promise<void> => {
    touchAll(host);
    const run = await host.backup();
    expect(run).toMatchObject({ status: 0, document: { status: "complete" } });
    expect(run.document.bytesRead).toBeGreaterThan(3_000_000);
    expect(run.document.bytesStored).toBeLessThan(20_000);
    expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
  };

  test("a lost state folder costs time only, and so does every damaged file of it", async () => {
    const host = await setUpHost({ tree });
    await host.backup();
    rmSync(host.state, { recursive: true });
    await expectNothingStored(host);
    for (const name of ["content.db", "runs.db", "content.filter"]) writeFileSync(join(host.state, name), noise(50_000, 22));
    for (const name of readdirSync(join(host.state, "catalog"))) writeFileSync(join(host.state, "catalog", name), "garbage");
    await expectNothingStored(host);
    // Damage that opening the database does not show.
    const fd = openSync(join(host.state, "content.db"), "r+");
    for (let at = 4096; at < 40_000; at += 4096) writeSync(fd, noise(4096, 23), 0, 4096, at);
    closeSync(fd);
    touchAll(host);
    expect((await host.backup()).status).toBe(0);
    await expectNothingStored(host);
  });

  test("learning that was cut short is begun again", async () => {
    // The single executable lets nobody put code into it.
    vi.stubEnv("COLDKEEP_TEST_PROGRAM", "");
    onTestFinished(() => void vi.unstubAllEnvs());
    const host = await setUpHost({ tree });
    await host.backup();
    for (const name of readdirSync(host.state)) if (name.startsWith("content")) rmSync(join(host.state, name));
    const cut = host.startBackup([], { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent('import {DatabaseSync} from "node:sqlite"; const exec = DatabaseSync.prototype.exec; DatabaseSync.prototype.exec = function (sql) { exec.call(this, sql); if (sql === "COMMIT") process.kill(process.pid, "SIGKILL"); };')}` } });
    expect(await cut.result).toMatchObject({ signal: "SIGKILL" });
    await expectNothingStored(host);
  });

  test.runIf(isRoot)("a full disk under the state ends the run with E_DISK, and the vault stays as it was", async () => {
    const host = await setUpHost({ tree: { "a.txt": "a" } });
    await host.backup();
    const archives = host.objects("a", "archives");
    for (let i = 0; i < 3000; i++) writeFileSync(join(host.source, `${"long-name-".repeat(15)}${noise(30, i).toString("hex")}`), "x");
    mkdirSync(host.state, { recursive: true });
    const small = ["unshare", "-m", "sh", "-c", `mount -t tmpfs -o size=400k none '${host.state}' && exec "$@"`, "sh"];
    const run = await host.backup([], { wrapper: small });
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_DISK", hint: expect.stringMatching(/room/) } } });
    expect(host.objects("a", "archives")).toEqual(archives);
    expect((await host.run(["restore", "--kit", host.movedKit, "--to", join(host.dir, "out")])).status).toBe(0);
    expect(await host.backup()).toMatchObject({ status: 0 });
  });
});

test("a catalog segment damaged in the cache costs nothing: an unchanged large file still comes back whole", async () => {
  const host = await setUpHost({ tree: { "big.db": noise(40_000_000, 7), small: "x" } });
  await host.backup();
  const cached = join(host.state, "catalog");
  for (const name of readdirSync(cached)) writeFileSync(join(cached, name), "");
  expect(await host.backup()).toMatchObject({ status: 0 });
  for (const name of readdirSync(cached)) writeFileSync(join(cached, name), "");
  expect(await host.backup()).toMatchObject({ status: 0 });
  expect(readFileSync(join(await host.restored(), "big.db")).equals(noise(40_000_000, 7))).toBe(true);
});

describe("who may write the chain", () => {
  test.runIf(isRoot)("a copy of the host on another machine is refused, until it takes over; then the first one is", async () => {
    const host = await setUpHost();
    await host.backup();
    const copy = new TestHost({ dir: `${host.dir}-copy`, tree: {} });
    onTestFinished(() => rmSync(copy.dir, { recursive: true }));
    for (const name of ["coldkeep.yaml", "keys", "state"]) cpSync(join(host.dir, name), join(copy.dir, name), { recursive: true });
    copy.editConfig((text) => text.replaceAll(`${host.dir}/state`, copy.state));
    writeFileSync(join(copy.dir, "machine-id"), "ffffffffffffffffffffffffffffffff\n");
    const elsewhere = { wrapper: ["unshare", "-m", "sh", "-c", `cp -a /etc '${copy.dir}/etc' && cp '${copy.dir}/machine-id' '${copy.dir}/etc/machine-id' && mount --bind '${copy.dir}/etc' /etc && exec "$@"`, "sh"] };
    expect(await copy.backup([], elsewhere)).toMatchObject({ status: 5, document: { error: { code: "E_CLONE", hint: expect.stringContaining("--take-over") } } });
    expect(host.objects("a", "archives")).toHaveLength(1);
    expect(await copy.backup(["--take-over"], elsewhere)).toMatchObject({ status: 0 });
    expect(await copy.backup([], elsewhere)).toMatchObject({ status: 0 });
    expect(await host.backup()).toMatchObject({ status: 5, document: { error: { code: "E_CLONE" } } });
  });

  test("when every region lost the newest archive that is a rollback, refused until --new-chain", async () => {
    const host = await setUpHost();
    const first = await host.backup();
    const second = await host.backup();
    for (const region of ["a", "b"]) rmSync(join(host.region(region), `hosts/web1/archives/${second.document.archive}.manifest`));
    const refused = await host.backup();
    expect(refused).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED", message: expect.stringMatching(/^rollback: /), hint: expect.stringContaining("--new-chain") } } });
    expect(host.objects("a", "archives")).toEqual([`${first.document.archive}.manifest`]);
    expect(await host.backup(["--new-chain"])).toMatchObject({ status: 0 });
    expect(await host.backup()).toMatchObject({ status: 0 });
  });

  test("a newer archive by an unknown signer is refused, with its fingerprint", async () => {
    const host = await setUpHost();
    await host.backup();
    const stranger = new TestHost({ regions: host.regions, tree: { "other.txt": "other" } });
    await stranger.init();
    const refused = await stranger.backup();
    expect(refused).toMatchObject({ status: 5, document: { error: { code: "E_SIGNER", message: expect.stringMatching(/unknown signer, \S{8,}/) } } });
    expect(host.objects("a", "archives")).toHaveLength(1);
    expect(await host.backup()).toMatchObject({ status: 0 });
  });
});

test("a sparse file cut to nothing while it is read does not hold up the run", async () => {
  const host = await setUpHost();
  const path = join(host.source, "sparse");
  const fd = openSync(path, "w");
  ftruncateSync(fd, 300_000_000);
  writeSync(fd, noise(4096, 40), 0, 4096, 290_000_000);
  closeSync(fd);
  meanwhile(`for (let i = 0; ; i++) fs.truncateSync(args[0], i % 2 ? 0 : 200000000);`, path);
  expect(await host.backup()).toMatchObject({ status: 0 });
});
