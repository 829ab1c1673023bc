/**
 * Canaries: a secret in every place where one can be, put there rightly or by mistake, through runs that succeed and runs that
 * fail in every way. None may show in what the program prints, logs, measures, tells or remembers, nor in any argv.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type FakeS3, fakeS3Url, startFakeS3 } from "../support/fake-s3.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import type { ProgramOptions } from "../support/program.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";
import { startWatchServer, type WatchServer } from "../support/watch-server.ts";

const CANARY = {
  "the environment's secret key": "canaryEnv/secretKey+0001",
  "the environment's session token": "canaryEnvSessionToken0002",
  "a credentials file": "canaryFile/secretKey+0003",
  "a ping's address": "canary-ping-0004-9b2ee11c",
  "a webhook's address": "canaryHookToken0005",
  "a header": "canaryHeaderToken0006",
  "a proxy's password": "canaryProxyPassword0007",
  "a region's URL": "canaryUrlPassword0008",
  "a file where an address belongs": "canaryNoAddress0009",
  "a file where headers belong": "canaryNoHeader0010",
  "a wrong credentials file": "canaryStray0011",
  "the content of a source": "canaryContent0012",
};

let host: TestHost;
let base: string;
let north: FakeS3;
let south: FakeS3;
let watch: WatchServer;
/** What came out of the program, by where. */
const seen: [string, string][] = [];
let identity: string;
let hostSecrets: string[];

function privateFile(name: string, text: string): string {
  const path = join(host.dir, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

async function run(args: string[], options: ProgramOptions = {}): Promise<number | null> {
  const known = watch.told.length;
  const result = await host.run(args, options);
  const what = args.join(" ").slice(0, 60);
  seen.push([`stdout of ${what}`, result.stdout], [`stderr of ${what}`, result.stderr]);
  for (const { path, body } of watch.told.slice(known)) seen.push([`a message of ${what} to ${path.split("/")[1]}`, body]);
  return result.status;
}

const backup = (...more: string[]): string[] => ["backup", "-v", "--debug", "--json", "--config", host.config, ...more];

beforeAll(async () => {
  north = await startFakeS3({ buckets: ["vault"], keys: { accessKeyId: "north", secretAccessKey: CANARY["the environment's secret key"] } });
  south = await startFakeS3({ buckets: ["vault"], keys: { accessKeyId: "south", secretAccessKey: CANARY["a credentials file"] } });
  watch = await startWatchServer();
  afterUse(() => void Promise.all([north.stop(), south.stop(), watch.stop()]));
  const dir = tempDir();
  const credentials = join(dir, "south-credentials");
  writeFileSync(credentials, `[default]\naws_access_key_id = south\naws_secret_access_key = ${CANARY["a credentials file"]}\n`, { mode: 0o600 });
  host = await setUpHost({
    dir,
    tree: { content: CANARY["the content of a source"] },
    regions: { north: fakeS3Url(north, "vault"), south: fakeS3Url(south, "vault", "", `&credentials-file=${credentials}`) },
    env: { COLDKEEP_NORTH_ACCESS_KEY_ID: "north", COLDKEEP_NORTH_SECRET_ACCESS_KEY: CANARY["the environment's secret key"] },
    regionConfig: "retry: 1s",
  });
  appendFileSync(
    host.config,
    `\nnotify:\n  - ping: {url: "${watch.origin}/ping/${CANARY["a ping's address"]}", lines: 200}\n` +
      `  - webhook: {urlFile: ${privateFile("hook", `${watch.origin}/hook/${CANARY["a webhook's address"]}?t=1`)}, headersFile: ${privateFile("headers", `Authorization: Bearer ${CANARY["a header"]}\n`)}}\n    on: [start, success, partial, fail]\n` +
      `metrics: {textfile: ${dir}/coldkeep.prom}\nlog: {file: ${dir}/log, level: debug}\n`,
  );
  base = readFileSync(host.config, "utf8");
  identity = /AGE-SECRET-KEY-\S+/.exec(readFileSync(host.movedKit, "utf8"))?.[0] ?? "";
  const pem = readFileSync(join(dir, "keys/signer.key"), "utf8").split("\n");
  hostSecrets = [pem.find((line) => line.length > 20 && !line.startsWith("-")) ?? "", /AGE-SECRET-KEY-\S+/.exec(readFileSync(join(dir, "keys/catalog.key"), "utf8"))?.[0] ?? ""];
});

/** A mistake in the configuration, for one test. */
function editConfig(edit: (text: string) => string): void {
  const edited = edit(base);
  expect(edited).not.toBe(base);
  writeFileSync(host.config, edited);
  onTestFinished(() => writeFileSync(host.config, base));
}

test("runs that succeed", async () => {
  expect(await run(backup())).toBe(0);
  expect(await run(["verify", "-v", "--level", "content", "--config", host.config])).toBe(2);
  const env = { COLDKEEP_CONFIG: host.config };
  expect(await run(["verify", "-v", "--level", "checksum"], { env })).toBe(0);
  expect(await run(["verify", "-v", "--config", host.config], { env: { COLDKEEP_NORTH_SESSION_TOKEN: CANARY["the environment's session token"] } })).not.toBeNull();
  expect(await run(["config", "show", "--config", host.config])).toBe(0);
  expect(await run(["state", "rebuild", "-v", "--config", host.config])).toBe(0);
  expect(await run(["restore", "-v", "--kit", host.movedKit, "--to", join(host.dir, "out")], { env })).not.toBeNull();
});

test("no process is started with one as its argument", async () => {
  const trace = join(host.dir, "trace");
  expect(await run(backup(), { wrapper: ["strace", "-f", "-qq", "-s", "10000", "-e", "trace=execve", "-o", trace] })).toBe(0);
  const text = readFileSync(trace, "utf8");
  expect(text).toContain("execve");
  seen.push(["an argv", text]);
});

test("wrong credentials, and a proxy that is not there", async () => {
  const wrong = `${CANARY["the environment's secret key"]}x`;
  expect(await run(backup(), { env: { COLDKEEP_NORTH_SECRET_ACCESS_KEY: wrong } })).toBe(3);
  expect(await run(backup(), { env: { HTTP_PROXY: `http://user:${CANARY["a proxy's password"]}@127.0.0.1:1` } })).toBe(1);
  editConfig((text) => text.replace("south-credentials", "wrong-credentials"));
  privateFile("wrong-credentials", `[default]\naws_access_key_id = south\n${CANARY["a wrong credentials file"]}\n`);
  expect(await run(backup())).not.toBe(0);
});

test.each([
  ["before a bucket", (text: string): string => text.replace("s3://vault", `s3://user:${CANARY["a region's URL"]}@vault`)],
  ["in an endpoint", (text: string): string => text.replace("endpoint=http://", `endpoint=http://user:${CANARY["a region's URL"]}@`)],
  ["as a parameter", (text: string): string => text.replace(/(url: .*)\?endpoint/, `$1?secret=${CANARY["a region's URL"]}&endpoint`)],
])("credentials %s", async (_where, edit) => {
  editConfig(edit);
  expect(await run(backup())).not.toBe(0);
});

test("an identity in the configuration, the environment, as an argument, as a configuration", async () => {
  expect(await run(backup(), { env: { MY_KEY: identity } })).toBe(5);
  expect(await run(["backup", "--debug", identity])).toBe(2);
  expect(await run(["restore", "--kit", identity, "--to", "/x", "--json"])).not.toBe(0);
  expect(await run(["backup", "--debug", "--config", host.movedKit])).toBe(2);
  expect(await run(["list", "--debug", "--log-file", join(host.dir, "log"), "--archive", identity])).not.toBe(0);
  editConfig((text) => text.replace("recipients:\n", `recipients:\n  - ${identity}\n`));
  expect(await run(backup())).toBe(2);
  editConfig((text) => `${text}# ${identity}\n`);
  expect(await run(backup())).toBe(5);
});

test("services that fail, and files that hold something else", async () => {
  watch.behaviour = () => 404;
  onTestFinished(() => void (watch.behaviour = () => 200));
  expect(await run(backup())).toBe(0);
  expect(await run(["notify", "test", "--json", "--config", host.config])).toBe(1);
  editConfig((text) => text.replace(/urlFile: \S+,/, `urlFile: ${privateFile("none", CANARY["a file where an address belongs"])},`));
  expect(await run(["notify", "test", "--debug", "--config", host.config])).toBe(1);
  editConfig((text) => text.replace(/headersFile: [^}]+/, `headersFile: ${privateFile("bad", CANARY["a file where headers belong"])}`));
  expect(await run(["notify", "test", "--debug", "--config", host.config])).toBe(1);
  editConfig((text) => text.replace(`url: "${watch.origin}`, `url: "ftp://127.0.0.1`));
  expect(await run(backup())).toBe(2);
});

test("none of them shows anywhere", () => {
  for (const name of ["log", "coldkeep.prom", "state/history.db", "state/history.db-wal", "state/runs.db"]) {
    const path = join(host.dir, name);
    if (existsSync(path)) seen.push([name, readFileSync(path, "latin1")]);
  }
  expect(seen.length).toBeGreaterThan(50);
  expect(seen.some(([where, text]) => where.includes("to ping") && text.includes("warning") || text.includes("success"))).toBe(true);
  const secrets = [...Object.entries(CANARY), ["the kit", identity] as const, ...hostSecrets.map((text, at) => [`key ${at} of the host`, text] as const)];
  for (const [name, secret] of secrets) expect(secret.length, name).toBeGreaterThan(12);
  const leaks = seen.flatMap(([where, text]) => secrets.filter(([, secret]) => text.includes(secret)).map(([name]) => `${name}: in ${where}`));
  expect(leaks).toEqual([]);
});
