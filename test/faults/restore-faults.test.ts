/** Restores that are killed, run out of room, or read damaged regions: what can be had is had, and the rest is named. */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FakeS3, startFakeS3 } from "../support/fake-s3.ts";
import { noise, s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { startColdkeep, tempDir, treeDigest, waitUntil } from "../support/program.ts";
import { flip, leftovers, restore } from "../support/restore.ts";
import { afterUse } from "../support/temp-dir.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

function sh(line: string, ...args: string[]): void {
  const done = spawnSync("sh", ["-ec", line, "sh", ...args], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${line}: ${done.stderr}`);
}

const mayMount = spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

describe("a restore that is stopped goes on", () => {
  let fake: FakeS3;
  let host: TestHost;

  beforeAll(async () => {
    const server = await startFakeS3({ buckets: ["vault"] });
    afterUse(() => void server.stop());
    fake = server;
    const files = Array.from({ length: 30 }, (_, i): [string, Buffer] => [`files/${i}`, noise(900 * KIB, i)]);
    host = await setUpHost({ ...s3Options({ a: fake }), tree: { ...Object.fromEntries(files), "large": noise(20 * MIB, 77), "readonly/file": "x", "readonly": { type: "directory", mode: 0o555 } }, config: "volumeSize: 8MiB" });
    linkSync(join(host.source, "files/3"), join(host.source, "files/3 again"));
    mkdirSync(join(host.source, "links"));
    for (let i = 0; i < 6000; i++) symlinkSync(`target ${i}`, join(host.source, "links", String(i)));
    expect((await host.backup()).status).toBe(0);
  });

  beforeEach(() => {
    fake.onRequest = () => undefined;
  });

  /** The volume whose bytes are asked for. */
  const volumeOf = ({ operation, key }: { operation: string; key: string }): string | undefined => (operation === "GetObject" ? /\/volumes\/(.*)\.tar/.exec(key)?.[1] : undefined);
  const doneIn = (out: string): string[] => (existsSync(join(out, ".coldkeep-restore/done")) ? readFileSync(join(out, ".coldkeep-restore/done"), "utf8").split("\n").slice(0, -1) : []);

  /** Answers for two volumes, and never again. */
  function stallAfterTwo(): void {
    const answered = new Set<string>();
    fake.onRequest = (request) => {
      const volume = volumeOf(request);
      if (volume === undefined || answered.has(volume)) return undefined;
      if (answered.size >= 2) return { kind: "stall" };
      answered.add(volume);
      return undefined;
    };
  }

  function start(out: string): ReturnType<typeof startColdkeep> {
    return startColdkeep(["restore", "--json", "--kit", host.movedKit, "--to", out], { env: host.env });
  }

  /** Nothing stands half-written under its final name. */
  function expectWhole(out: string): void {
    for (let i = 0; i < 30; i++) {
      const path = join(out + host.source, "files", String(i));
      if (existsSync(path)) expect(statSync(path).size).toBe(900 * KIB);
    }
  }

  async function goesOn(out: string, done: readonly string[]): Promise<void> {
    fake.onRequest = () => undefined;
    const asked = fake.requests.length;
    const run = await restore(host, ["--to", out]);
    expect(run).toMatchObject({ status: 0, document: { status: "complete", resumed: true } });
    const fetched = new Set(fake.requests.slice(asked).flatMap((request) => volumeOf(request) ?? []));
    expect([...fetched].filter((volume) => done.includes(volume))).toEqual([]);
    expect(treeDigest(out + host.source)).toBe(treeDigest(host.source));
    expect(leftovers(out)).toEqual([]);
  }

  test("after SIGKILL: what was written is not fetched again", async () => {
    const out = join(tempDir(), "out");
    stallAfterTwo();
    const running = start(out);
    await waitUntil("two volumes are written", () => doneIn(out).length >= 2);
    running.child.kill("SIGKILL");
    await running.result;
    const done = doneIn(out);
    // Another archive's restore does not take it for its own.
    expect(await restore(host, ["--to", out, join(host.source, "links")])).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED" } } });
    await goesOn(out, done);
    expect(await restore(host, ["--to", out])).toMatchObject({ status: 5, document: { error: { code: "E_REFUSED" } } });
  });

  test("after SIGKILL while links were made: large files that had their names already keep their bytes", async () => {
    const out = join(tempDir(), "out");
    const running = start(out);
    await waitUntil("the large file has its name", () => existsSync(join(out + host.source, "large")));
    running.child.kill("SIGKILL");
    await running.result;
    expect(existsSync(join(out, ".coldkeep-restore/finishing"))).toBe(true);
    const asked = fake.requests.length;
    await goesOn(out, []);
    expect(fake.requests.slice(asked).filter((request) => volumeOf(request) !== undefined)).toEqual([]);
  });

  test("after the machine was started anew nothing is taken for written that may not have reached the disk", async () => {
    const out = join(tempDir(), "out");
    stallAfterTwo();
    const running = start(out);
    await waitUntil("two volumes are written", () => doneIn(out).length >= 2);
    running.child.kill("SIGKILL");
    await running.result;
    writeFileSync(join(out, ".coldkeep-restore/boot"), "another boot");
    const written = Array.from({ length: 30 }, (_, i) => join(out + host.source, "files", String(i))).filter((path) => existsSync(path));
    expect(written.length).toBeGreaterThan(3);
    for (const path of written) truncateSync(path, 1000);
    await goesOn(out, []);
  });

  test("after Ctrl-C, which is exit 130 with the way to go on", async () => {
    const out = join(tempDir(), "out");
    stallAfterTwo();
    const running = start(out);
    await waitUntil("two volumes are written", () => doneIn(out).length >= 2);
    running.child.kill("SIGINT");
    const run = await running.result;
    expect(run.status).toBe(130);
    expect(run.json()).toMatchObject({ error: { code: "E_INTERRUPTED", hint: expect.stringContaining("goes on where it stopped") } });
    expectWhole(out);
    await goesOn(out, doneIn(out));
  });

  test.runIf(mayMount)("after the target was full, with more room", async () => {
    const mount = tempDir();
    sh('mount -t tmpfs -o size=20m none "$1"', mount);
    const out = join(mount, "out");
    const full = await restore(host, ["--to", out]);
    expect(full).toMatchObject({ status: 1, document: { error: { code: "E_DISK", message: expect.stringContaining("ENOSPC"), hint: expect.stringMatching(/^(Free|Make) .*goes on where it stopped/) } } });
    expect(full.stderr).toMatch(/has .* free and the files are .* long/);
    expectWhole(out);
    sh('mount -o remount,size=200m "$1"', mount);
    await goesOn(out, doneIn(out));
  });

  test("a head that comes behind the ranges it opens", async () => {
    fake.onRequest = (request) => (volumeOf(request) !== undefined && request.headers["range"]?.startsWith("bytes=0-") ? { kind: "delay", ms: 400 } : undefined);
    const run = await restore(host, [join(host.source, "files/5")]);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(join(run.out + host.source, "files/5")).equals(noise(900 * KIB, 5))).toBe(true);
  });

  test("a store that stops allowing it loses nothing: the run fails, and goes on later", async () => {
    const allowed = new Set<string>();
    fake.onRequest = (request) => {
      const volume = volumeOf(request);
      if (volume === undefined || allowed.has(volume)) return undefined;
      if (allowed.size >= 2) return { kind: "status", status: 403, code: "AccessDenied" };
      allowed.add(volume);
      return undefined;
    };
    const out = join(tempDir(), "out");
    const run = await restore(host, ["--to", out]);
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_STORE", message: expect.stringContaining("cannot be read now"), hint: expect.stringContaining("goes on where it stopped") } } });
    await goesOn(out, doneIn(out));
  });
});

test("a region that falls silent holds nothing up: what was asked of it comes from the other", async () => {
  const [silent, sound] = [await startFakeS3({ buckets: ["vault"] }), await startFakeS3({ buckets: ["vault"] })];
  afterUse(() => void Promise.all([silent.stop(), sound.stop()]));
  const files = Array.from({ length: 24 }, (_, i): [string, Buffer] => [`files/${i}`, noise(900 * KIB, i)]);
  const host = await setUpHost({ ...s3Options({ a: silent, b: sound }), tree: Object.fromEntries(files) });
  expect((await host.backup()).status).toBe(0);
  silent.onRequest = ({ key }) => (key.includes("/volumes/") ? { kind: "stall", afterBytes: 100_000 } : undefined);
  const run = await restore(host);
  expect(run).toMatchObject({ status: 0, document: { status: "complete", lost: [], damaged: [] } });
  // A region is otherwise given up after 30 seconds of silence, and retried for 30 more.
  expect(run.document.durationMs).toBeLessThan(25_000);
  expect(treeDigest(run.out + host.source)).toBe(treeDigest(host.source));
}, 120_000);

describe("damaged regions", () => {
  let host: TestHost;
  let pristine: string;
  let older: string;
  let latest: string;
  let whole: string;

  beforeAll(async () => {
    const files = Array.from({ length: 24 }, (_, i): [string, Buffer] => [`files/${String(i).padStart(2, "0")}`, noise(300 * KIB, i)]);
    host = await setUpHost({ tree: { ...Object.fromEntries(files), "large": noise(3 * MIB, 50), "small": "small" } });
    older = (await host.backup()).document.archive ?? "";
    writeFileSync(join(host.source, "small"), "another");
    linkSync(join(host.source, "files/12"), join(host.source, "linked"));
    latest = (await host.backup()).document.archive ?? "";
    whole = treeDigest(host.source);
    pristine = join(host.dir, "pristine");
    renameSync(join(host.dir, "regions"), pristine);
  });

  beforeEach(() => {
    rmSync(join(host.dir, "regions"), { recursive: true, force: true });
    sh('cp -a "$1" "$2"', pristine, join(host.dir, "regions"));
  });

  const files = (region: string, kind: "volumes" | "catalogs" | "archives"): string[] => {
    const found = spawnSync("find", [host.region(region), "-path", `*/${kind}/*`, "-type", "f"], { encoding: "utf8" });
    return found.stdout.split("\n").filter((path) => path !== "").toSorted();
  };
  const idOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1).replace(/\..*/, "");
  /** The volume with almost everything in it. */
  const largest = (region: string): string => files(region, "volumes").toSorted((a, b) => statSync(b).size - statSync(a).size)[0] ?? "";

  /** All but what is named as lost is there, and nothing half-made. */
  function expectTheRest(out: string, lost: readonly string[]): void {
    for (const path of lost) expect(existsSync(out + path)).toBe(false);
    const left = treeDigest(host.source, { omit: ["root"] }).split("\n").filter((line) => !lost.some((path) => line.startsWith(`.${path.slice(host.source.length)} `)));
    const bare = (lines: string[]): string[] => lines.map((line) => line.replace(/ same-as=.*/, ""));
    expect(bare(treeDigest(out + host.source, { omit: ["root"] }).split("\n"))).toEqual(bare(left));
    expect(leftovers(out)).toEqual([]);
  }

  const DAMAGE: Record<string, (path: string, other: string) => void> = {
    "a byte of the age header": (path) => flip(path, 3),
    "a byte of the first recipient": (path) => flip(path, 60),
    "a byte in the middle": (path) => flip(path, statSync(path).size >> 1),
    "a byte of the last tag": (path) => flip(path, -10),
    "the last byte": (path) => flip(path, -1),
    "cut short by a byte": (path) => truncateSync(path, statSync(path).size - 1),
    "cut to nothing": (path) => truncateSync(path, 0),
    "longer by a byte": (path) => appendFileSync(path, "x"),
    "missing": (path) => rmSync(path),
    "another object in its place": (path, other) => {
      const mine = readFileSync(path);
      writeFileSync(path, readFileSync(other));
      writeFileSync(other, mine);
    },
  };

  describe.each(["volumes", "catalogs"] as const)("%s", (kind) => {
    test.each(Object.keys(DAMAGE))("%s, in one region: taken from the other, and both named", async (name) => {
      // The newest first: older catalogs may be needed no more.
      const [one = "", two = ""] = files("a", kind).toReversed();
      DAMAGE[name]?.(one, two);
      const run = await restore(host);
      expect(run).toMatchObject({ status: 0, document: { status: "complete", archive: latest, lost: [] } });
      expect(treeDigest(run.out + host.source)).toBe(whole);
      const damaged = name.startsWith("another") && kind === "volumes" ? [one, two] : [one];
      // Regions share the ranges of volumes: one may never be asked for the bytes it has wrong.
      const noticed = kind === "catalogs" ? damaged : damaged.filter((path) => run.document.damaged.includes(`a ${idOf(path)}`));
      expect(run.document.damaged).toEqual(expect.arrayContaining(noticed.map((path) => `a ${idOf(path)}`)));
      expect(run.document.damaged.every((pair) => pair.startsWith("a "))).toBe(true);
      for (const path of noticed) expect(run.stderr).toContain(`${idOf(path)} is bad in region "a" and taken from region "b"`);
    });
  });

  test("a range of a damaged volume: one file out of it", async () => {
    const wanted = join(host.source, "files/12");
    for (const path of files("a", "volumes")) {
      const { size } = statSync(path);
      for (let at = 3; at < size; at += 100 * KIB) flip(path, at);
    }
    const run = await restore(host, [wanted]);
    expect(run.status).toBe(0);
    expect(readFileSync(run.out + wanted).equals(readFileSync(wanted))).toBe(true);
    expect(run.stderr).toContain('taken from region "b"');
  });

  test("different places in both regions: all is put together from what is right somewhere", async () => {
    const size = statSync(largest("a")).size;
    flip(largest("a"), Math.floor(size * 0.1));
    flip(largest("b"), Math.floor(size * 0.9));
    const run = await restore(host);
    expect(run).toMatchObject({ status: 0, document: { status: "complete", lost: [] } });
    expect(treeDigest(run.out + host.source)).toBe(whole);
  });

  test("the same place in both: intact files come back, the others are named with their links, exit 3", async () => {
    const size = statSync(largest("a")).size;
    for (const region of ["a", "b"]) flip(largest(region), Math.floor(size * 0.45));
    const run = await restore(host);
    expect(run).toMatchObject({ status: 3, document: { status: "partial", lostTotal: run.document.lost.length } });
    const { lost } = run.document;
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(12);
    expect(lost.includes(join(host.source, "linked"))).toBe(lost.includes(join(host.source, "files/12")));
    expectTheRest(run.out, lost);
    const text = await host.run(["restore", "--kit", host.movedKit, "--to", join(tempDir(), "out")]);
    for (const path of lost) expect(text.stderr).toContain(`${path} is lost: no region has its bytes right`);
  });

  test("a volume missing in both: its files are named, all others come", async () => {
    for (const region of ["a", "b"]) rmSync(largest(region));
    const run = await restore(host);
    expect(run.status).toBe(3);
    expect(run.document.lost.length).toBeGreaterThan(5);
    expectTheRest(run.out, run.document.lost);
  });

  test("a catalog bad in both: exit 1 by name, and nothing is made", async () => {
    for (const region of ["a", "b"]) for (const path of files(region, "catalogs")) flip(path, statSync(path).size - 30);
    const run = await restore(host);
    expect(run).toMatchObject({ status: 1, document: { error: { code: "E_OBJECT", message: expect.stringMatching(/^catalog 2\S+ is right in no region: region "a": .*region "b"/) } } });
    expect(existsSync(run.out)).toBe(false);
  });

  test.each<[string, (path: string) => void]>([
    ["header", (path) => flip(path, 40)],
    ["signature", (path) => flip(path, readFileSync(path).indexOf("\n") + 5)],
    ["list", (path) => flip(path, -30)],
    ["place: that of another archive", (path) => writeFileSync(path, readFileSync(files("a", "archives")[0] ?? ""))],
  ])("a manifest with a wrong %s in one region: the other is used, with a warning", async (_, damage) => {
    damage(files("a", "archives")[1] ?? "");
    const run = await restore(host);
    expect(run).toMatchObject({ status: 0, document: { archive: latest } });
    expect(run.stderr).toMatch(/warning: region "a"/);
    expect(treeDigest(run.out + host.source)).toBe(whole);
  });

  test("a manifest of another size than it says does not count", async () => {
    truncateSync(files("a", "archives")[1] ?? "", statSync(files("a", "archives")[1] ?? "").size - 1);
    expect(await restore(host)).toMatchObject({ status: 0, document: { archive: latest } });
    expect((await restore(host, ["--region", "a"])).status).not.toBe(0);
  });

  test("a manifest wrong in both: the archive before is not taken for it in silence", async () => {
    for (const region of ["a", "b"]) flip(files(region, "archives")[1] ?? "", 40);
    const run = await restore(host);
    expect(run.stderr).toMatch(new RegExp(`region "a".*${latest}`));
    expect(run.stderr).toMatch(new RegExp(`region "b".*${latest}`));
    expect(run.document).toMatchObject({ archive: older });
  });

  test("a region rolled back to an older archive: the newest comes from the other", async () => {
    rmSync(files("a", "archives")[1] ?? "");
    const run = await restore(host);
    expect(run).toMatchObject({ status: 0, document: { archive: latest } });
    expect(treeDigest(run.out + host.source)).toBe(whole);
    expect(await restore(host, ["--region", "a"])).toMatchObject({ status: 0, document: { archive: older } });
  });

  test("a region that cannot be reached: the other is used, with a warning; without any, exit 1", async () => {
    rmSync(host.region("a"), { recursive: true });
    const run = await restore(host);
    expect(run).toMatchObject({ status: 0, stderr: expect.stringMatching(/warning: region "a".*does not exist/) });
    expect(treeDigest(run.out + host.source)).toBe(whole);
    rmSync(host.region("b"), { recursive: true });
    expect(await restore(host)).toMatchObject({ status: 1, document: { error: { code: "E_REGION" } } });
  });
});
