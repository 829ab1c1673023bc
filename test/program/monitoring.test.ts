/** What surrounds a run: history, alarms, metrics and log, through the real program and real services. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type RecordedRun, RunHistory } from "../../src/state/run-history.ts";
import { startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { waitUntil } from "../support/program.ts";
import { startWatchServer, type Told, type WatchServer } from "../support/watch-server.ts";

const isRoot = process.geteuid?.() === 0;

let host: TestHost;
let base: string;
let watch: WatchServer;

beforeAll(async () => {
  host = await setUpHost();
  base = readFileSync(host.config, "utf8");
  watch = await startWatchServer();
});
afterAll(() => watch.stop());
beforeEach(() => {
  watch.told.length = 0;
  watch.behaviour = () => 200;
  writeFileSync(host.config, base);
});

/** Adds sections to the configuration of this test. */
const configure = (text: string, of = host): void => of.editConfig((before) => `${before}\n${text}\n`);
const notifyAll = (): string => `notify:\n  - ping: {url: "${watch.origin}/ping"}\n  - webhook: {url: "${watch.origin}/hook"}\n    on: [start, success, partial, fail]`;
const hooks = (): Record<string, unknown>[] => watch.told.filter(({ path }) => path === "/hook").map(({ body }) => JSON.parse(body) as Record<string, unknown>);
const ended = (told: readonly Told[]): string[] => told.map(({ path }) => path).filter((path) => path.startsWith("/ping") && path !== "/ping/start");

function history<T>(read: (history: RunHistory) => T, of = host): T {
  const opened = new RunHistory(of.state);
  try {
    return read(opened);
  } finally {
    opened.close();
  }
}
const lastRun = (of = host): RecordedRun | undefined => history((runs) => runs.since(0)[0], of);

describe("a run that ends well", () => {
  test("is in the history, the metrics and the log, and told to everyone", async () => {
    const metrics = join(host.dir, "metrics");
    mkdirSync(metrics, { recursive: true });
    configure(`${notifyAll()}\nmetrics: {textfile: ${metrics}/coldkeep.prom}\nlog: {file: ${host.dir}/log}\nobjectives: {rpo: 26h}`);
    const { status, stderr, document } = await host.backup();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const run = lastRun();
    expect(run).toMatchObject({ verb: "backup", level: null, isRunning: false, end: { exitStatus: 0, error: null, summary: { archive: document.archive, regions: { a: "complete", b: "complete" }, counts: { entries: document.entries, bytesStored: document.bytesStored, problems: 0 } } } });
    expect(ended(watch.told)).toEqual(["/ping"]);
    expect(watch.told.find(({ path }) => path === "/ping")).toMatchObject({ query: { rid: run?.runId }, body: expect.stringMatching(/^coldkeep backup of web1: success \(exit 0\) after /) });
    expect(hooks().at(-1)).toMatchObject({ schemaVersion: 1, event: "success", host: "web1", runId: run?.runId, verb: "backup", exitStatus: 0, archive: document.archive, error: null, regions: { a: "complete", b: "complete" }, counts: run?.end?.summary?.counts });
    const text = readFileSync(join(metrics, "coldkeep.prom"), "utf8");
    expect(text).toMatch(/^coldkeep_backup_last_status\{host="web1",vault="[0-9a-f]{32}"\} 0$/m);
    expect(text).toMatch(/^coldkeep_rpo_target_seconds\{.*\} 93600$/m);
    expect(statSync(join(metrics, "coldkeep.prom")).mode & 0o777).toBe(0o644);
    expect(readdirSync(metrics)).toEqual(["coldkeep.prom"]);
    const lines = readFileSync(join(host.dir, "log"), "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ event: "begin", verb: "backup", host: "web1", runId: run?.runId, level: "info" });
    expect(lines.at(-1)).toMatchObject({ event: "end", exitStatus: 0, archive: document.archive });
    expect(statSync(join(host.dir, "log")).mode & 0o777).toBe(0o600);
  });

  test("verify by configuration and by kit, and a restore beside a host's configuration, are runs of it", async () => {
    const env = { COLDKEEP_CONFIG: host.config };
    expect((await host.run(["verify", "--level", "presence"], { env })).status).toBe(0);
    expect((await host.run(["verify", "--level", "content", "--sample", "50%", "--kit", host.movedKit], { env })).status).toBe(0);
    expect((await host.run(["restore", "--kit", host.movedKit, "--to", join(host.dir, "out")], { env })).status).toBe(0);
    expect((await host.run(["state", "rebuild"], { env })).status).toBe(0);
    const runs = history((all) => all.since(0).slice(0, 4));
    expect(runs.map(({ verb, level, samplePercent, end }) => [verb, level, samplePercent, end?.exitStatus])).toEqual([["state rebuild", null, null, 0], ["restore", null, null, 0], ["verify", "content", 50, 0], ["verify", "presence", null, 0]]);
    expect(runs[2]?.end?.summary).toMatchObject({ regions: { a: "sound", b: "sound" } });
  });

  test("a dry run, a kit on a machine that is no host, another host's archives and reading are none", async () => {
    const before = history((all) => all.since(0).length);
    expect((await host.run(["backup", "--dry-run", "--config", host.config])).status).toBe(0);
    const bare = await host.run(["verify", "--kit", host.movedKit]);
    expect(bare).toMatchObject({ status: 0, stderr: "" });
    const stranger = await setUpHost({ host: "web2" });
    expect((await host.run(["verify", "--kit", host.movedKit], { env: { COLDKEEP_CONFIG: stranger.config } })).status).toBe(0);
    expect(existsSync(stranger.state)).toBe(false);
    expect((await host.run(["list", "--config", host.config])).status).toBe(0);
    expect(history((all) => all.since(0).length)).toBe(before);
  });
});

describe("a run that does not end well", () => {
  test("partial is an event of its own", async () => {
    configure(notifyAll());
    const folder = host.region("b");
    renameSync(folder, `${folder}.away`);
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
      renameSync(`${folder}.away`, folder);
    });
    expect((await host.backup()).status).toBe(3);
    expect(ended(watch.told)).toEqual(["/ping/3"]);
    expect(hooks().at(-1)).toMatchObject({ event: "partial", exitStatus: 3, regions: { a: "complete", b: "behind" } });
  });

  test("a failure is told with its code, message and hint, and said before", async () => {
    configure(`${notifyAll()}\nmetrics: {textfile: ${host.dir}/fail.prom}`);
    const folder = join(host.dir, "regions");
    renameSync(folder, `${folder}.away`);
    onTestFinished(() => {
      rmSync(folder, { recursive: true, force: true });
      renameSync(`${folder}.away`, folder);
    });
    const run = await host.backup();
    expect(run.status).toBe(1);
    expect(ended(watch.told)).toEqual(["/ping/1"]);
    expect(hooks().at(-1)).toMatchObject({ event: "fail", exitStatus: 1, archive: null, error: run.document.error });
    expect(lastRun()).toMatchObject({ end: { exitStatus: 1, error: { code: run.document.error?.code } } });
    expect(readFileSync(join(host.dir, "fail.prom"), "utf8")).toMatch(/^coldkeep_backup_last_status\{.*\} 1$/m);
  });

  test("a configuration that is wrong is told to whoever it still names", async () => {
    configure(`${notifyAll()}\nmetrics: {textfile: ${host.dir}/broken.prom}\nlgo: {}`);
    expect((await host.backup()).status).toBe(2);
    expect(ended(watch.told)).toEqual(["/ping/2"]);
    expect(hooks().at(-1)).toMatchObject({ event: "fail", host: "web1", error: { code: "E_CONFIG", message: expect.stringContaining("lgo") } });
    expect(lastRun()).toMatchObject({ end: { exitStatus: 2, error: { code: "E_CONFIG" } } });
    expect(readFileSync(join(host.dir, "broken.prom"), "utf8")).toMatch(/^coldkeep_backup_last_status\{.*\} 2$/m);
  });
});

describe("a long run", () => {
  async function slowHost(): Promise<{ slow: TestHost; release: () => void }> {
    const north = await startFakeS3({ buckets: ["vault"] });
    onTestFinished(() => north.stop());
    const slow = await setUpHost(s3Options({ north }));
    configure(notifyAll(), slow);
    north.onRequest = ({ operation, key }) => (operation === "PutObject" && key.includes("/volumes/") ? { kind: "delay", ms: 5000 } : undefined);
    return { slow, release: () => (north.onRequest = () => undefined) };
  }
  const begun = (): boolean => watch.told.filter(({ path }) => path === "/ping/start" || path === "/hook").length === 2;

  test("tells its start; interrupted, it tells that; one beside it tells nothing", async () => {
    const { slow } = await slowHost();
    const running = slow.startBackup();
    await waitUntil("the start is told", begun);
    expect(hooks()).toMatchObject([{ event: "start", exitStatus: null, finishedAt: null }]);
    expect(lastRun(slow)).toMatchObject({ end: null, isRunning: true });
    expect((await slow.backup()).status).toBe(6);
    expect(ended(watch.told)).toEqual([]);
    running.child.kill("SIGTERM");
    expect((await running.result).status).toBe(130);
    expect(ended(watch.told)).toEqual(["/ping/fail"]);
    expect(hooks().at(-1)).toMatchObject({ event: "fail", exitStatus: 130, error: { code: "E_INTERRUPTED" } });
    expect(new Set(watch.told.map(({ path, query, body }) => (path === "/hook" ? (JSON.parse(body) as { runId: string }).runId : query["rid"]))).size).toBe(1);
    expect(history((all) => all.since(0).map(({ end }) => end?.exitStatus), slow)).toEqual([6, 130]);
  });

  test("that is killed stays unfinished in the history, and the next one is no worse for it", async () => {
    const { slow, release } = await slowHost();
    const running = slow.startBackup();
    await waitUntil("the start is told", begun);
    running.child.kill("SIGKILL");
    await running.result;
    expect(lastRun(slow)).toMatchObject({ end: null, isRunning: false });
    release();
    expect((await slow.backup()).status).toBe(0);
    expect(history((all) => all.last({ verb: "backup" })?.end?.exitStatus, slow)).toBe(0);
  });
});

describe("what fails around a run is a warning", () => {
  test("alarms that are refused, answered with errors or never", async () => {
    watch.behaviour = ({ path }, number) => (path === "/silent" ? "hang" : path === "/third" && number === 3 ? 200 : 500);
    const entries = ["/silent", "/broken", "/third"].map((path) => `  - ping: {url: "${watch.origin}${path}"}\n    on: [success]`);
    configure(`notify:\n${entries.join("\n")}\n  - webhook: {url: "http://127.0.0.1:1/in"}\n    on: [success]\n  - ping: {urlFile: ${host.config}.none}`);
    const beganMs = Date.now();
    const run = await host.run(["backup", "--config", host.config]);
    const tookMs = Date.now() - beganMs;
    expect(run.status).toBe(0);
    // A run that takes long tells of the missing file, which is noticed when the run begins, before all others.
    const warned = run.stderr.match(/^coldkeep: warning: alarm not delivered: .*$/gm) ?? [];
    expect(warned.filter((line) => !line.includes("notify[4]")).map((line) => /notify\[\d\]/.exec(line)?.[0])).toEqual(["notify[0]", "notify[1]", "notify[3]"]);
    expect(warned.toSorted()).toEqual([
      `coldkeep: warning: alarm not delivered: notify[0] (ping, ${watch.origin}): it does not answer`,
      `coldkeep: warning: alarm not delivered: notify[1] (ping, ${watch.origin}): it answered 500`,
      "coldkeep: warning: alarm not delivered: notify[3] (webhook, http://127.0.0.1:1): the connection was refused",
      `coldkeep: warning: alarm not delivered: notify[4] (ping, ${host.config}.none): there is no file ${host.config}.none`,
    ]);
    const lastMs = Math.max(...watch.told.map(({ atMs }) => atMs));
    expect(tookMs).toBeLessThan(lastMs - beganMs + 30_000);
    expect(history((all) => all.lastSuccess("backup")?.end?.finishedAtMs ?? 0)).toBeLessThan(beganMs + tookMs - 15_000);
  });

  test("a folder for the metrics that is missing, and a log that cannot be written", async () => {
    configure(`metrics: {textfile: /nonexistent/coldkeep.prom}\nlog: {file: /nonexistent/log}`);
    const run = await host.run(["backup", "--config", host.config]);
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(/warning: cannot write the metrics to \/nonexistent\/coldkeep\.prom: ENOENT/);
    expect(run.stderr).toMatch(/warning: cannot write the log \/nonexistent\/log: ENOENT/);
  });

  test.runIf(isRoot)("a folder for the metrics that is full", async () => {
    const folder = mkdtempSync(join(host.dir, "full-"));
    configure(`metrics: {textfile: ${folder}/coldkeep.prom}`);
    const script = `mount -t tmpfs -o size=64k none '${folder}' && echo old > '${folder}/coldkeep.prom' && { cat /dev/zero > '${folder}/fill' 2>/dev/null || true; } && "$@"; status=$?; ls -A '${folder}'; cat '${folder}/coldkeep.prom'; exit $status`;
    const run = await host.run(["backup", "--config", host.config], { wrapper: ["unshare", "-m", "sh", "-c", script, "sh"] });
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(/warning: cannot write the metrics to .*: ENOSPC/);
    expect(run.stdout).toBe("coldkeep.prom\nfill\nold\n");
  });

  test("a history that cannot be kept", async () => {
    const path = join(host.state, "history.db");
    rmSync(path, { force: true });
    mkdirSync(path);
    onTestFinished(() => rmSync(path, { recursive: true }));
    configure(`metrics: {textfile: ${host.dir}/without.prom}`);
    const run = await host.run(["backup", "--config", host.config]);
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(/warning: cannot keep the state in .*history\.db/);
    expect(readFileSync(join(host.dir, "without.prom"), "utf8")).toMatch(/^coldkeep_backup_last_status\{.*\} 0$/m);
  });
});

describe("notify test", () => {
  test("tells every target, whatever it wants, and says how each took it", async () => {
    configure(`notify:\n  - ping: {url: "${watch.origin}/ping"}\n    on: [success]\n  - webhook: {url: "${watch.origin}/hook"}\n    verbs: [verify]`);
    const plain = await host.run(["notify", "test", "--config", host.config]);
    expect(plain).toMatchObject({ status: 0, stderr: "", stdout: `notify[0] (ping, ${watch.origin}): delivered\nnotify[1] (webhook, ${watch.origin}): delivered\n` });
    expect(ended(watch.told)).toEqual(["/ping"]);
    const failing = await host.run(["notify", "test", "--event", "fail", "--json", "--config", host.config]);
    expect(failing.json()).toEqual({ schemaVersion: 1, event: "fail", targets: [{ target: `notify[0] (ping, ${watch.origin})`, fault: null }, { target: `notify[1] (webhook, ${watch.origin})`, fault: null }] });
    expect(hooks()).toMatchObject([{ event: "success", test: true }, { event: "fail", test: true, exitStatus: 1, error: { code: "E_TEST" } }]);
    expect(ended(watch.told)).toEqual(["/ping", "/ping/1"]);
  });

  test("fails where one did not take it, and where there is nobody", async () => {
    configure(`notify: [{ping: {url: "${watch.origin}/ping"}}]`);
    watch.behaviour = () => 404;
    const run = await host.run(["notify", "test", "--config", host.config]);
    expect(run).toMatchObject({ status: 1, stdout: `notify[0] (ping, ${watch.origin}): it answered 404\n` });
    writeFileSync(host.config, base);
    const nobody = await host.run(["notify", "test", "--config", host.config]);
    expect(nobody.status).toBe(1);
    expect(nobody.stderr).toMatch(/names nobody to notify\ncoldkeep: hint: .*docs\/monitoring\.md/);
  });
});

describe("the log", () => {
  test("--log-file takes any verb, before or behind it, and wins over the configured one", async () => {
    configure(`log: {file: ${host.dir}/configured}`);
    const path = join(host.dir, "own.log");
    expect((await host.run(["--log-file", path, "backup", "--config", host.config])).status).toBe(0);
    expect((await host.run(["list", "--archive", "x", "--log-file", path])).status).toBe(2);
    expect((await host.run(["files", "--config", "/nonexistent.yaml", "--log-file", path, "-v"])).status).toBe(2);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ verb: "backup", event: "begin" });
    expect(lines.at(-1)).toMatchObject({ verb: "files", level: "error", code: "E_CONFIG", hint: expect.stringContaining("coldkeep init") });
    expect(existsSync(join(host.dir, "configured"))).toBe(false);
  });

  test("the journal gets priorities, and a pipe that only inherited its name does not", async () => {
    const journal = join(host.dir, "journal");
    const args = ["files", "--config", "/nonexistent.yaml"];
    const stream = (of: string): string[] => ["sh", "-c", `exec 2>'${journal}'; JOURNAL_STREAM=$(stat -L -c %d:%i '${of}'); export JOURNAL_STREAM; exec "$@"`, "sh"];
    await host.run(args, { wrapper: stream(journal) });
    expect(readFileSync(journal, "utf8")).toMatch(/^<3>coldkeep: error: .*\n<3>coldkeep: hint: .*\n$/);
    await host.run(args, { wrapper: stream(host.dir) });
    expect(readFileSync(journal, "utf8")).toMatch(/^coldkeep: error: /);
  });
});
