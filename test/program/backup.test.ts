/** What a run of `backup` stores, counts and says, on sources that hold still. */
import { appendFileSync, chmodSync, closeSync, ftruncateSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { noise, setUpHost, type TestHost } from "../support/host.ts";
import { runColdkeep, tempDir, treeDigest } from "../support/program.ts";

/** A page of a large file written anew. */
function rewritePage(path: string, at: number, seed: number): void {
  const fd = openSync(path, "r+");
  writeSync(fd, noise(8192, seed), 0, 8192, at);
  closeSync(fd);
}

async function expectSameInEveryRegion(host: TestHost): Promise<void> {
  const wanted = treeDigest(host.source);
  for (const region of Object.keys(host.regions)) expect(treeDigest(await host.restored("--region", region))).toBe(wanted);
}

describe("what a run says", () => {
  test("one document with the fields people's programs rely on; identical copies in every region", async () => {
    const host = await setUpHost();
    const { status, document, stderr } = await host.backup();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(document).toMatchObject({ schemaVersion: 1, status: "complete", regions: { a: "complete", b: "complete" }, problems: [], filesChanged: 0, filesUnchanged: 0 });
    expect(document.archive).toMatch(/^\d{8}t\d{9}z-[a-z2-7]{16}$/);
    // Two files, and the configuration with its keys.
    expect(document.filesNew).toBeGreaterThanOrEqual(6);
    expect(document.entries).toBeGreaterThan(document.filesNew);
    expect(document.bytesRead).toBeGreaterThan(9);
    expect(document.bytesStored).toBeGreaterThan(500);
    expect(document.durationMs).toBeGreaterThan(0);
    expect(treeDigest(host.region("a"), { omit: ["mtime", "root"] })).toBe(treeDigest(host.region("b"), { omit: ["mtime", "root"] }));
    await expectSameInEveryRegion(host);
  });

  test("under cron a success prints nothing, and with -v it tells", async () => {
    const host = await setUpHost();
    expect(await host.run(["backup", "--config", host.config])).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect((await host.run(["backup", "-v", "--config", host.config])).stderr).toMatch(/archive 2\w+-\w+ complete/);
  });

  test("--dry-run counts and stores nothing, also beside an archive", async () => {
    const host = await setUpHost();
    const before = treeDigest(join(host.dir, "regions"));
    const first = await host.backup(["--dry-run"]);
    expect(first).toMatchObject({ status: 0, document: { archive: null, status: "complete", bytesStored: 0, bytesRead: 0 } });
    expect(first.document.filesNew).toBeGreaterThanOrEqual(6);
    expect(treeDigest(join(host.dir, "regions"))).toBe(before);
    await host.backup();
    const stored = treeDigest(join(host.dir, "regions"));
    writeFileSync(join(host.source, "new.txt"), "new");
    expect((await host.backup(["--dry-run"])).document).toMatchObject({ archive: null, filesNew: 1 });
    expect(treeDigest(join(host.dir, "regions"))).toBe(stored);
  });

  test("an unknown key of the configuration is exit 2 at its place", async () => {
    const host = await setUpHost();
    host.editConfig((text) => `${text}compresion: 5\n`);
    const line = readFileSync(host.config, "utf8").split("\n").indexOf("compresion: 5") + 1;
    const run = await host.run(["backup", "--config", host.config]);
    expect(run.status).toBe(2);
    expect(run.stderr).toContain(`${host.config}:${line}:1: compresion: is not a known key`);
    expect(run.stderr).toContain('Did you mean "compression"?');
  });
});

describe("night after night", () => {
  test("unchanged files are not read; changed, new and deleted ones are told apart; a renamed one is not stored again", async () => {
    const host = await setUpHost({ tree: { "same.bin": noise(300_000, 1), "changes.txt": "one", "goes.txt": "bye", "moves.bin": noise(900_000, 2) } });
    await host.settle();
    const first = await host.backup();
    expect(first.document.bytesStored).toBeGreaterThan(1_200_000);
    const second = await host.backup();
    expect(second.document).toMatchObject({ filesNew: 0, filesChanged: 0, bytesRead: 0, filesUnchanged: first.document.filesNew });
    expect(second.document.bytesStored).toBeLessThan(4096);

    writeFileSync(join(host.source, "changes.txt"), "two");
    writeFileSync(join(host.source, "new.txt"), "new");
    rmSync(join(host.source, "goes.txt"));
    renameSync(join(host.source, "moves.bin"), join(host.source, "moved.bin"));
    const third = await host.backup();
    expect(third.document).toMatchObject({ filesNew: 2, filesChanged: 1, filesUnchanged: first.document.filesNew - 3, bytesRead: 900_006 });
    expect(third.document.bytesStored).toBeLessThan(20_000);
    await expectSameInEveryRegion(host);
  });

  test("of a 40 MB file with one page rewritten little is stored, and little of one that grew", async () => {
    const host = await setUpHost({ tree: { "data.db": noise(40_000_000, 3) } });
    expect((await host.backup()).document.bytesStored).toBeGreaterThan(40_000_000);
    rewritePage(join(host.source, "data.db"), 17_000_000, 4);
    const second = await host.backup();
    expect(second.document.bytesRead).toBeGreaterThanOrEqual(40_000_000);
    expect(second.document.bytesStored).toBeLessThan(600_000);
    appendFileSync(join(host.source, "data.db"), noise(50_000, 5));
    expect((await host.backup()).document.bytesStored).toBeLessThan(700_000);
    expect(readFileSync(join(await host.restored(), "data.db")).equals(readFileSync(join(host.source, "data.db")))).toBe(true);
  });

  test("content that stands in many files is stored once, in one run and over several", async () => {
    const piece = noise(700_000, 6);
    const tree = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`copy${i}`, piece]));
    const host = await setUpHost({ tree: { ...tree, "large/a": Buffer.concat([noise(3_000_000, 7), noise(3_000_000, 8)]) } });
    const first = await host.backup();
    // Packers work side by side, and what one has just packed another cannot know: at most one copy each.
    expect(first.document.bytesStored).toBeLessThan(6_000_000 + 3 * 700_000);
    writeFileSync(join(host.source, "again"), piece);
    writeFileSync(join(host.source, "large/b"), readFileSync(join(host.source, "large/a")));
    const second = await host.backup();
    expect(second.document).toMatchObject({ filesNew: 2 });
    expect(second.document.bytesStored).toBeLessThan(20_000);
    await expectSameInEveryRegion(host);
  });
});

describe("kinds of files", () => {
  test("hard links are stored once, also when their first name goes; holes stay holes", async () => {
    const host = await setUpHost({ tree: { "z-first": noise(800_000, 9) } });
    mkdirSync(join(host.source, "links"));
    linkSync(join(host.source, "z-first"), join(host.source, "links/second"));
    linkSync(join(host.source, "z-first"), join(host.source, "links/third"));
    const fd = openSync(join(host.source, "sparse"), "w");
    writeSync(fd, noise(4096, 10), 0, 4096, 20_000_000);
    ftruncateSync(fd, 64_000_000);
    closeSync(fd);
    const first = await host.backup();
    expect(first.document.bytesStored).toBeLessThan(900_000);
    expect(first.document.bytesRead).toBeLessThan(1_000_000);
    await expectSameInEveryRegion(host);
    rmSync(join(host.source, "links/second"));
    const second = await host.backup();
    expect(second.document.bytesStored).toBeLessThan(20_000);
    const out = await host.restored();
    expect(treeDigest(out)).toBe(treeDigest(host.source));
    expect(statSync(join(out, "links/third")).ino).toBe(statSync(join(out, "z-first")).ino);
    expect(statSync(join(out, "sparse")).blocks).toBeLessThan(200);
  });

  test("a socket is counted, and is no problem", async () => {
    const host = await setUpHost();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(host.source, "s.sock"), resolve));
    try {
      expect(await host.backup()).toMatchObject({ status: 0, document: { sockets: 1, status: "complete", problems: [] } });
    } finally {
      server.close();
    }
  });

  test("a source reached through a link is kept where it really lies, and its excludes hold there", async () => {
    const host = await setUpHost({ tree: { "real/data/keep.txt": "keep", "real/data/leave.o": "leave" } });
    symlinkSync(join(host.source, "real"), join(host.dir, "link"));
    host.editConfig((text) => text.replace(`  - path: ${JSON.stringify(host.source)}`, `  - path: ${JSON.stringify(`${host.dir}/link/data`)}\n    exclude: ["*.o"]`));
    expect((await host.backup()).status).toBe(0);
    const out = await host.restored();
    expect(readdirSync(join(out, "real/data"))).toEqual(["keep.txt"]);
  });

  test("where few files may be open at once, all are read all the same", async () => {
    const host = await setUpHost({ tree: Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`f${i}`, noise(5000, i + 1)])) });
    const run = await host.backup([], { wrapper: ["prlimit", "--nofile=110:110"] });
    expect(run).toMatchObject({ status: 0, stderr: "", document: { status: "complete", problemsTotal: 0 } });
    expect(treeDigest(await host.restored())).toBe(treeDigest(host.source));
  });

  test("twenty thousand tiny files in one directory, on one processor", async () => {
    const host = await setUpHost({ tree: {} });
    for (let i = 0; i < 20_000; i++) writeFileSync(join(host.source, `f${i}`), i % 3 === 0 ? "" : `${i % 5000}`);
    await host.settle();
    const first = await host.backup([], { wrapper: ["taskset", "-c", "0"] });
    expect(first).toMatchObject({ status: 0 });
    expect(first.document.filesNew).toBeGreaterThanOrEqual(20_004);
    const second = await host.backup([], { wrapper: ["taskset", "-c", "0"] });
    expect(second.document).toMatchObject({ filesUnchanged: first.document.filesNew, bytesRead: 0 });
  });

  test.each(["8MiB", "128MiB"])("volumes of %s", async (volumeSize) => {
    const host = await setUpHost({ config: `volumeSize: ${volumeSize}`, tree: { "a.bin": noise(18_000_000, 11), "b/c.bin": noise(900_000, 12), "d.bin": noise(9_000_000, 13) } });
    expect(await host.backup()).toMatchObject({ status: 0 });
    const volumes = host.objects("a", "volumes");
    if (volumeSize === "8MiB") {
      expect(volumes.length).toBeGreaterThanOrEqual(3);
      for (const name of volumes) expect(statSync(join(host.region("a"), "hosts/web1/volumes", name)).size).toBeLessThan(9 * 1024 * 1024);
    } else expect(volumes.length).toBeLessThanOrEqual(2);
    expect(readdirSync(host.state)).not.toContain("spool");
    await expectSameInEveryRegion(host);
  });
});

describe("what a host must not hold", () => {
  test("an identity of a recipient in keys, state, environment or configuration is refused", async () => {
    const host = await setUpHost();
    const identity = /^AGE-SECRET-KEY-.*$/m.exec(readFileSync(host.movedKit, "utf8"))?.[0] ?? "";
    const refused = async (env?: Record<string, string>): Promise<void> => {
      const run = await host.backup([], env === undefined ? {} : { env });
      expect(run).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED" } } });
      expect(run.stdout + run.stderr).not.toContain(identity);
    };
    await refused({ MY_KEY: identity });
    for (const place of [join(host.dir, "keys", "x"), join(host.state, "x")]) {
      mkdirSync(join(place, ".."), { recursive: true });
      writeFileSync(place, `# mine\n${identity}\n`, { mode: 0o600 });
      await refused();
      rmSync(place);
    }
    const text = readFileSync(host.config, "utf8");
    host.editConfig(() => `${text}# ${identity}\n`);
    await refused();
    host.editConfig(() => text);
    expect(host.objects("a", "volumes")).toEqual([]);
    expect((await host.backup()).status).toBe(0);
  });

  test("a kit that still lies where init wrote it is warned of every night, until it is moved", async () => {
    const host = await setUpHost();
    const run = await host.backup();
    expect(run.stderr).toBe("");
    renameSync(host.movedKit, host.kit);
    const warned = await host.run(["backup", "--config", host.config]);
    expect(warned.status).toBe(0);
    expect(warned.stderr).toContain(`the kit still lies at ${host.kit}`);
  });

  test("keys that others can read are refused", async () => {
    const host = await setUpHost();
    chmodSync(join(host.dir, "keys/signer.key"), 0o644);
    expect(await host.backup()).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED", message: expect.stringContaining("signer.key") } } });
  });

  test("without a configuration there is a way out", async () => {
    const run = await runColdkeep(["backup", "--config", join(tempDir(), "none.yaml")]);
    expect(run.status).toBe(2);
    expect(run.stderr).toContain("coldkeep init");
  });
});
