/** `init` through the program: what it makes, what it never touches, and how it is completed after being killed. */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, setUpHost, TestHost } from "../support/host.ts";
import { runColdkeep, startColdkeep, tempDir, treeDigest, waitUntil } from "../support/program.ts";

const RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
const isRoot = process.geteuid?.() === 0;

/** Files below `dir` that hold a match of an extended regular expression. */
function inTree(dir: string, pattern: string): string[] {
  const run = spawnSync("grep", ["-rlE", pattern, dir], { encoding: "utf8" });
  return run.stdout.split("\n").filter((line) => line !== "");
}

test("makes configuration, keys, kit and two directory regions, says that these are no off-site copy, and where to go on", async () => {
  const dir = tempDir();
  const source = join(dir, "data");
  mkdirSync(source);
  const args = ["init", "--config", join(dir, "conf/coldkeep.yaml"), "--kit", join(dir, "kit.txt"), "--source", source, "--host", "web1"];
  const run = await runColdkeep(args);
  expect(run.status).toBe(0);
  expect(run.stderr).toContain("no off-site copy");
  expect(run.stderr).toContain(`Move ${dir}/kit.txt off this host`);
  expect(run.stderr).toContain("coldkeep backup --dry-run");

  const kit = join(dir, "kit.txt");
  expect(statSync(kit).mode & 0o777).toBe(0o600);
  for (const name of readdirSync(join(dir, "conf/keys"))) expect(statSync(join(dir, "conf/keys", name)).mode & 0o777).toBe(0o600);
  const text = readFileSync(join(dir, "conf/coldkeep.yaml"), "utf8");
  expect(text).toMatch(/^state: "\/.*\/conf\/state"$/m);
  expect(text).toContain(source);
  // The identity is in the kit, which `age` takes as it is, and nowhere else.
  const identity = /^AGE-SECRET-KEY-.*$/m.exec(readFileSync(kit, "utf8"))?.[0] ?? "none";
  expect(inTree(dir, identity)).toEqual([kit]);
  const recipient = /"(age1\w+)"/.exec(text)?.[1] ?? "";
  const sealed = spawnSync("age", ["-r", recipient], { input: "hello" });
  expect(spawnSync("age", ["-d", "-i", kit], { input: sealed.stdout }).stdout.toString()).toBe("hello");
  const digest = spawnSync("sha256sum", [join(dir, "conf/regions/a/recover.sh")], { encoding: "utf8" }).stdout.slice(0, 64);
  expect(readFileSync(kit, "utf8")).toContain(`# recover.sh: sha256 ${digest}`);
  expect(readFileSync(join(dir, "conf/regions/a/coldkeep.json"), "utf8")).toBe(readFileSync(join(dir, "conf/regions/b/coldkeep.json"), "utf8"));
});

test("repeating the call changes nothing and is exit 0; another one is refused, and nothing is overwritten", async () => {
  const host = new TestHost({});
  expect((await host.run(host.initArguments())).status).toBe(0);
  const before = treeDigest(host.dir);
  const again = await host.run(host.initArguments());
  expect(again).toMatchObject({ status: 0 });
  expect(again.stderr).toContain("already set up");
  expect((await host.run(["init", "--config", host.config])).status).toBe(0);
  expect(treeDigest(host.dir)).toBe(before);
  for (const other of [["--host", "web2"], ["--source", "/etc"], ["--region", "c=file:///nowhere"], ["--recipient", RECIPIENT]]) {
    const run = await host.run(["init", "--config", host.config, ...other, "--json"]);
    expect(run).toMatchObject({ status: 5 });
    expect(run.json()).toMatchObject({ error: { code: "E_REFUSED", message: expect.stringContaining(other[0] ?? "") } });
  }
  expect(treeDigest(host.dir)).toBe(before);
  // A file that is no kit, in the kit's place.
  const second = new TestHost({});
  writeFileSync(second.kit, "my shopping list\n", { mode: 0o600 });
  expect((await second.run(second.initArguments())).status).toBe(2);
  expect(readFileSync(second.kit, "utf8")).toBe("my shopping list\n");
  expect(existsSync(second.config)).toBe(false);
});

test("with --recipient no identity is made", async () => {
  const host = new TestHost({});
  const run = await host.run([...host.initArguments(), "--recipient", RECIPIENT]);
  expect(run.status).toBe(0);
  expect(readFileSync(host.kit, "utf8")).toMatch(/^# signer: host web1 ed25519:\S{44}$/m);
  expect(readFileSync(host.kit, "utf8")).not.toContain("AGE-SECRET-KEY-");
  expect(inTree(host.dir, "AGE-SECRET-KEY-1[0-9A-Z]{58}").map((path) => path.slice(host.dir.length))).toEqual(["/keys/catalog.key"]);
  expect(readFileSync(host.config, "utf8")).toContain(RECIPIENT);
  expect((await host.backup()).stderr).toBe("");
});

test("a second host joins the vault: same id, its own keys, and the line that makes restores trust it", async () => {
  const first = await setUpHost();
  await first.backup();
  const second = new TestHost({ regions: first.regions, host: "db1", tree: { "db.txt": "rows" } });
  const run = await second.run(second.initArguments());
  expect(run.status).toBe(0);
  expect(run.stderr).toContain("joined vault");
  const line = /^ {2}(# signer: host db1 ed25519:\S+)$/m.exec(run.stderr)?.[1];
  expect(line).toBeDefined();
  const vault = (config: string): string | undefined => /^vault: (.*)$/m.exec(readFileSync(config, "utf8"))?.[1];
  expect(vault(second.config)).toBe(vault(first.config));
  expect(await second.backup()).toMatchObject({ status: 0 });
  expect(await first.backup()).toMatchObject({ status: 0 });
  // The kit of the first host, with that line added, lists the second.
  writeFileSync(first.movedKit, readFileSync(first.movedKit, "utf8").replace(/^# signer: host web1/m, `${line}\n$&`), { mode: 0o600 });
  const listed = await first.run(["list", "--kit", first.movedKit, "--json"]);
  expect(listed.json<{ archives: { host: string }[] }>().archives.map(({ host }) => host)).toContain("db1");
  // One that is given recipients makes no operator of its own, and knows none.
  const third = new TestHost({ regions: first.regions, host: "db2" });
  expect((await third.run([...third.initArguments(), "--recipient", RECIPIENT])).stderr).toMatch(/"operator ed25519:…" to the signers of /);
});

test("regions of two different vaults are refused, and a kit of another vault too", async () => {
  const [one, other] = [await setUpHost(), await setUpHost()];
  const mixed = new TestHost({ regions: { a: one.regions["a"] ?? "", b: other.regions["a"] ?? "" } });
  const run = await mixed.run([...mixed.initArguments(), "--json"]);
  expect(run).toMatchObject({ status: 5 });
  expect(run.json()).toMatchObject({ error: { code: "E_REFUSED", message: expect.stringMatching(/region "a" holds the vault .* region "b" the vault/) } });
  const stray = new TestHost({ regions: one.regions });
  writeFileSync(stray.kit, readFileSync(other.movedKit), { mode: 0o600 });
  expect((await stray.run(stray.initArguments())).status).toBe(5);
  for (const host of [mixed, stray]) expect(existsSync(host.config)).toBe(false);
});

test.each([
  ["a=ftp://x/y", 2, "E_URL"],
  ["a=s3://UPPER_case!/x", 2, "E_URL"],
  ["a=file://relative", 2, "E_URL"],
  ["nonsense", 2, "E_USAGE"],
  ["A B=file:///x", 2, "E_USAGE"],
])("--region %s is wrong usage, and nothing is written", async (region, status, code) => {
  const dir = tempDir();
  const run = await runColdkeep(["init", "--config", join(dir, "c.yaml"), "--kit", join(dir, "kit.txt"), "--host", "web1", "--source", "/etc", "--region", region, "--json"]);
  expect(run.status).toBe(status);
  expect(run.json()).toMatchObject({ error: { code } });
  expect(readdirSync(dir)).toEqual([]);
});

test("killed between two steps, it is completed by the same call", async () => {
  const fakes = { north: await startFakeS3({ buckets: ["vault"] }), south: await startFakeS3({ buckets: ["vault"] }) };
  onTestFinished(async () => {
    await fakes.north.stop();
    await fakes.south.stop();
  });
  for (const [region, key] of [["north", "recover.sh"], ["north", "coldkeep.json"], ["south", "coldkeep.json"]] as const) {
    for (const fake of Object.values(fakes)) for (const old of fake.bucket("vault").keys()) fake.bucket("vault").delete(old);
    const host = new TestHost(s3Options(fakes));
    fakes[region].onRequest = (request) => (request.operation === "PutObject" && request.key === key ? { kind: "stall" } : undefined);
    const asked = fakes[region].requests.length;
    const running = startColdkeep(host.initArguments(), { env: host.env });
    await waitUntil(`${key} is under way`, () => fakes[region].requests.slice(asked).some((request) => request.key === key && request.operation === "PutObject"));
    running.child.kill("SIGKILL");
    await running.result;
    fakes[region].onRequest = () => undefined;
    expect(existsSync(host.config)).toBe(false);
    const kit = readFileSync(host.kit, "utf8");
    const keys = treeDigest(join(host.dir, "keys"));
    const run = await host.run(host.initArguments());
    expect(run).toMatchObject({ status: 0, stderr: expect.not.stringMatching(/warning|error/) });
    expect(readFileSync(host.kit, "utf8")).toBe(kit);
    expect(treeDigest(join(host.dir, "keys"))).toBe(keys);
    const vault = /^# vault: (.*)$/m.exec(kit)?.[1];
    for (const fake of Object.values(fakes)) expect(fake.bucket("vault").get("coldkeep.json")?.toString()).toContain(`"vault":"${vault}"`);
    expect(await host.backup()).toMatchObject({ status: 0 });
    rmSync(host.kit);
    expect((await host.backup()).stderr).toBe("");
  }
});

test.runIf(isRoot)("as root the sources are the places where a server keeps what is its own", async () => {
  const dir = tempDir();
  expect((await runColdkeep(["init", "--config", join(dir, "c.yaml"), "--kit", join(dir, "kit.txt"), "--host", "web1"])).status).toBe(0);
  const sources = [...readFileSync(join(dir, "c.yaml"), "utf8").matchAll(/^ {2}- path: "(.*)"$/gm)].map((match) => match[1]);
  const wanted = ["/etc", "/home", "/root", "/srv", "/opt", "/usr/local", "/var/lib", "/var/www", "/var/spool/cron"].filter((path) => existsSync(path));
  expect(sources).toEqual(wanted);
  expect(globSync(join(dir, "regions/*/coldkeep.json"))).toHaveLength(2);
});
