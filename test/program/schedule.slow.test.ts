/** `coldkeep schedule`: what it prints, installs and removes, and that what it installs makes backups. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { HostLock } from "../../src/state/host-lock.ts";
import { startFakeS3 } from "../support/fake-s3.ts";
import { s3Options, setUpHost, type TestHost } from "../support/host.ts";
import { type ProgramOptions, type ProgramResult, runColdkeep, tempDir } from "../support/program.ts";
import { fileTempDir } from "../support/temp-dir.ts";

const isRoot = process.geteuid?.() === 0;
const mayMount = isRoot && spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;
const DAEMON_UID = 1;

/** A machine of its own, as far as schedules see one: a copy of /etc, an empty /run, and a systemctl that notes what it is asked. */
class Machine {
  readonly dir = tempDir();
  readonly #host: TestHost;
  readonly #isSystemd: boolean;

  constructor(host: TestHost, init: "systemd" | "other") {
    this.#host = host;
    this.#isSystemd = init === "systemd";
    mkdirSync(join(this.dir, "bin"));
    const script = `#!/bin/sh\necho "$@" >> '${this.dir}/calls'\n[ "$1" != show ] || cat '${this.dir}/'"$2"\n`;
    writeFileSync(join(this.dir, "bin/systemctl"), script, { mode: 0o755 });
    spawnSync("cp", ["-a", "/etc", this.dir]);
  }

  run(...args: string[]): Promise<ProgramResult> {
    const run = this.#isSystemd ? "mount -t tmpfs none /run && mkdir -p /run/systemd/system" : "mount -t tmpfs none /run";
    const wrapper = ["unshare", "-m", "sh", "-c", `${run} && mount --bind '${this.dir}/etc' /etc && exec "$@"`, "sh"];
    const env = { PATH: `${this.dir}/bin:${process.env["PATH"] ?? ""}` };
    return this.#host.run(["schedule", ...args, "--config", this.#host.config], { wrapper, env });
  }

  /** What systemctl was asked since the last call. */
  calls(): string[] {
    const path = join(this.dir, "calls");
    const lines = existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
    rmSync(path, { force: true });
    return lines;
  }

  own(folder: "cron.d" | "systemd/system"): string[] {
    const path = join(this.dir, "etc", folder);
    return existsSync(path) ? readdirSync(path).filter((name) => name.startsWith("coldkeep")).toSorted() : [];
  }
}

type Printed = { flavour: string; files: { path: string; text: string }[] };

/** What `print` shows, as data. */
async function print(host: TestHost, ...args: string[]): Promise<Printed> {
  return (await host.run(["schedule", "print", "--json", "--config", host.config, ...args])).json<Printed>();
}

/** The command of the first line of a crontab, as cron gives it to the shell. */
async function cronCommand(host: TestHost, ...args: string[]): Promise<string> {
  const [file] = (await print(host, "--cron", ...args)).files;
  const line = file?.text.split("\n").find((each) => /^\d/.test(each)) ?? "";
  return line.split(" ").slice(6).join(" ").replaceAll("\\%", "%");
}

/** Runs a command as cron would, but for a place of its own for compiled code. */
async function asCron(command: string, home: string): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", SHELL: "/bin/sh", LOGNAME: "root", HOME: home, NODE_COMPILE_CACHE: join(home, "compiled") };
  const child = spawn("/bin/sh", ["-c", command], { env, cwd: home, stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await ended;
  return { status: child.exitCode, stdout, stderr };
}

describe("print", () => {
  test("shows units or a crontab for this program and configuration, and writes neither", async () => {
    const host = await setUpHost({ host: "print-test.example", config: "schedule: {at: 'Mon..Fri 03:15', verify: {at: 'Sun 05:00'}}" });
    const units = await print(host, "--systemd");
    expect(units.files.map(({ path }) => path)).toEqual(["", "_verify"].flatMap((job) => ["service", "timer"].map((kind) => `/etc/systemd/system/coldkeep-print-test.example${job}.${kind}`)));
    expect(units.files[0]?.text).toMatch(new RegExp(`^ExecStart=/\\S+ .*backup --config ${host.config}$`, "m"));
    expect(units.files[1]?.text).toContain("OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 03:15:00\n");
    expect((await print(host, "--systemd", "--at", "04:00,16:00")).files[1]?.text).toContain("OnCalendar=*-*-* 04:00:00\nOnCalendar=*-*-* 16:00:00\n");
    const plain = await host.run(["schedule", "print", "--cron", "--config", host.config]);
    expect(plain).toMatchObject({ status: 0, stderr: "/etc/cron.d/coldkeep-print-test_example\n", stdout: (await print(host, "--cron")).files[0]?.text });
    for (const { path } of [...units.files, { path: "/etc/cron.d/coldkeep-print-test_example" }]) expect(existsSync(path)).toBe(false);
  });

  test.each([
    [["--systemd", "--cron"], /exclude each other/],
    [["--at", "25:00"], /--at cannot be "25:00"\ncoldkeep: hint: Write HH:MM/],
    [["--user", "a b"], /--user cannot be "a b"/],
  ])("%j is wrong usage", async (args, message) => {
    const run = await runColdkeep(["schedule", "print", ...args]);
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toMatch(message);
  });
});

describe.runIf(mayMount)("install, status and remove", () => {
  test("by cron: once, again, and away", async () => {
    const host = await setUpHost();
    const machine = new Machine(host, "other");
    expect(await machine.run("status")).toMatchObject({ status: 0, stdout: "not installed; `coldkeep schedule install` does it\n" });
    expect((await machine.run("install")).status).toBe(0);
    const path = join(machine.dir, "etc/cron.d/coldkeep-web1");
    expect(readFileSync(path, "utf8")).toBe((await print(host, "--cron")).files[0]?.text);
    expect(statSync(path)).toMatchObject({ mode: 0o100644, uid: 0 });
    expect((await machine.run("install", "--json")).json()).toMatchObject({ schemaVersion: 1, flavour: "cron", files: [{ path: "/etc/cron.d/coldkeep-web1", state: "unchanged" }] });
    const status = (await machine.run("status", "--json")).json<{ jobs: { nextRun: string }[] }>();
    expect(status).toMatchObject({ schemaVersion: 1, installed: true, current: true, flavour: "cron", jobs: [{ job: "backup", active: true, lastResult: null }] });
    expect(Date.parse(status.jobs[0]?.nextRun ?? "")).toBeGreaterThan(Date.now());
    host.editConfig((config) => `${config}\nschedule: {at: "05:00"}\n`);
    expect((await machine.run("status")).stderr).toMatch(/^coldkeep: warning: what is installed is not what .*\ncoldkeep: hint: Run `coldkeep schedule install` again/);
    await machine.run("install", "--at", "06:00");
    expect((await machine.run("status", "--json")).json()).toMatchObject({ current: true });
    expect((await machine.run("remove")).stderr).toBe("removed    /etc/cron.d/coldkeep-web1\n");
    expect([machine.own("cron.d"), machine.calls()]).toEqual([[], []]);
    expect(await machine.run("remove")).toMatchObject({ status: 0, stderr: "no schedule is installed\n" });
  });

  test("by systemd: the timer is started, a change restarts it, and cron's file goes", async () => {
    const host = await setUpHost({ config: "schedule: {verify: {at: 'Sun 05:00'}}" });
    const machine = new Machine(host, "systemd");
    await machine.run("install", "--cron");
    expect((await machine.run("install")).stderr).toMatch(/^written .*\.service\n(?:.*\n)*removed    \/etc\/cron\.d\/coldkeep-web1\n$/);
    expect(machine.own("cron.d")).toEqual([]);
    expect(machine.own("systemd/system")).toHaveLength(4);
    const timers = "coldkeep-web1.timer coldkeep-web1_verify.timer";
    expect(machine.calls()).toEqual(["daemon-reload", `enable --now ${timers}`, `restart ${timers}`]);
    await machine.run("install");
    expect(machine.calls()).toEqual([`enable --now ${timers}`]);
    host.editConfig((config) => config.replace(", verify: {at: 'Sun 05:00'}", "").replace("verify: {at: 'Sun 05:00'}", "at: '04:00'"));
    await machine.run("install");
    expect(machine.calls()).toEqual(["disable --now coldkeep-web1_verify.timer", "daemon-reload", "daemon-reload", "enable --now coldkeep-web1.timer", "restart coldkeep-web1.timer"]);
    expect(machine.own("systemd/system")).toEqual(["coldkeep-web1.service", "coldkeep-web1.timer"]);
    await machine.run("remove");
    expect(machine.calls()).toEqual(["disable --now coldkeep-web1.timer", "daemon-reload"]);
    expect(machine.own("systemd/system")).toEqual([]);
  });

  test("systemd is asked for the next run and the last result", async () => {
    const host = await setUpHost();
    const machine = new Machine(host, "systemd");
    await machine.run("install");
    const tell = (timer: string, service: string): void => {
      writeFileSync(join(machine.dir, "coldkeep-web1.timer"), timer);
      writeFileSync(join(machine.dir, "coldkeep-web1.service"), service);
    };
    tell("ActiveState=active\nNextElapseUSecRealtime=Sun 2026-11-29 02:41:07 UTC\n", "Result=success\nExecMainStartTimestamp=\nExecMainExitTimestamp=\nExecMainStatus=0\nActiveState=inactive\n");
    expect((await machine.run("status", "--json")).json()).toMatchObject({ flavour: "systemd", jobs: [{ active: true, running: false, nextRun: "2026-11-29T02:41:07.000Z", lastRun: null, lastResult: null, lastExitStatus: null }] });
    tell("ActiveState=active\nNextElapseUSecRealtime=Sun 2026-11-29 02:41:07 UTC\n", "Result=exit-code\nExecMainStartTimestamp=Sat 2026-11-28 02:41:07 UTC\nExecMainExitTimestamp=Sat 2026-11-28 02:45:00 UTC\nExecMainStatus=3\nActiveState=failed\n");
    expect((await machine.run("status", "--json")).json()).toMatchObject({ jobs: [{ lastRun: "2026-11-28T02:41:07.000Z", lastResult: "exit-code", lastExitStatus: 3 }] });
    expect((await machine.run("status")).stdout).toMatch(/^installed {2}systemd\nfile .*\nfile .*\nbackup {5}next 2026-11-29 .*; last 2026-11-28 .*, exit-code \(exit status 3\)\n$/);
  });

  test("a file somebody else wrote is left alone: exit 5, and nothing is written", async () => {
    const host = await setUpHost();
    const machine = new Machine(host, "systemd");
    mkdirSync(join(machine.dir, "etc/systemd/system"), { recursive: true });
    const path = join(machine.dir, "etc/systemd/system/coldkeep-web1.timer");
    writeFileSync(path, "[Timer]\n");
    for (const verb of ["install", "remove", "status"]) {
      const run = await machine.run(verb);
      expect(run.status).toBe(5);
      expect(run.stderr).toMatch(/^coldkeep: error: \/etc\/systemd\/system\/coldkeep-web1\.timer was not written by `coldkeep schedule install`\ncoldkeep: hint: /);
    }
    expect([readFileSync(path, "utf8"), machine.own("systemd/system"), machine.calls()]).toEqual(["[Timer]\n", ["coldkeep-web1.timer"], []]);
  });

  test("credentials nobody will find at night, and a user without the keys, are warned of; no such user is refused", async () => {
    const host = await setUpHost();
    const machine = new Machine(host, "systemd");
    host.editConfig((config) => config.replace(/url: .*b"/, 'url: "s3://bucket/b?endpoint=https://s3.example.net"'));
    const run = await machine.run("install", "--user", "daemon");
    expect(run.status).toBe(0);
    expect(run.stderr).toMatch(new RegExp(`warning: a scheduled run finds no credentials for region "b" .*\\ncoldkeep: hint: .*${host.dir}/credentials\\.env`));
    expect(run.stderr).toMatch(/warning: .*keys does not belong to daemon.*\ncoldkeep: hint: Run: chown -R daemon: /);
    expect(await machine.run("install", "--user", "nobody-here")).toMatchObject({ status: 5, stderr: expect.stringContaining("useradd --system") as string });
  });
});

test.runIf(isRoot)("only root installs and removes", async () => {
  const dir = tempDir(DAEMON_UID);
  const config = join(dir, "coldkeep.yaml");
  writeFileSync(config, `vault: "00112233445566778899aabbccddeeff"\nhost: web1\nregions:\n  - {name: a, url: "file://${dir}/a"}\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\nsources: [/etc]\nstate: ${dir}/state\n`);
  chmodSync(config, 0o644);
  for (const verb of ["install", "remove"]) {
    const run = await runColdkeep(["schedule", verb, "--config", config], { uid: DAEMON_UID });
    expect(run).toMatchObject({ status: 5, stderr: expect.stringMatching(new RegExp(`^coldkeep: error: only root can ${verb} a schedule\ncoldkeep: hint: .*sudo`)) as string });
  }
});

describe("a run from cron", () => {
  test("finds its credentials, prints nothing when all is well or another runs, and everything when not", async () => {
    const fake = await startFakeS3({ buckets: ["vault"] });
    const host = await setUpHost(s3Options({ north: fake }, "1s"));
    const credentials = Object.entries(host.env).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(join(host.dir, "credentials.env"), credentials.join(""), { mode: 0o600 });
    const command = await cronCommand(host);
    for (const value of Object.values(host.env)) expect(command).not.toContain(value);
    expect(await asCron(command, host.dir)).toEqual({ status: 0, stdout: "", stderr: "" });
    const lock = HostLock.take(host.state);
    expect(await asCron(command, host.dir)).toEqual({ status: 0, stdout: "", stderr: "" });
    lock.release();
    writeFileSync(join(host.dir, "credentials.env"), credentials.join("").replace(/SECRET_ACCESS_KEY=.*/, "SECRET_ACCESS_KEY=wrong"));
    const failed = await asCron(command, host.dir);
    expect(failed).toMatchObject({ status: 1, stderr: "" });
    expect(failed.stdout).toMatch(/coldkeep: error: [^]*coldkeep: hint: /);
  });

  test.runIf(isRoot)("as a user who may only read takes root's own files, and root restores them as they were", async () => {
    const host = await setUpHost({ tree: { "secret.txt": { type: "file", content: "for root alone", mode: 0o600, uid: 0, gid: 0 }, "closed/of-another.txt": { type: "file", content: "x", mode: 0o400, uid: 1234, gid: 5678 } } });
    chmodSync(join(host.source, "closed"), 0o700);
    mkdirSync(host.state, { recursive: true });
    spawnSync("chown", ["-R", "daemon:", join(host.dir, "keys"), host.state, join(host.dir, "regions")]);
    const run = await asCron(await cronCommand(host, "--user", "daemon"), host.state);
    expect(run).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(statSync(join(host.region("a"), "hosts/web1/archives", host.objects("a", "archives")[0] ?? "")).uid).toBe(DAEMON_UID);
    const restored = await host.restored();
    expect(statSync(join(restored, "secret.txt"))).toMatchObject({ mode: 0o100600, uid: 0, gid: 0 });
    expect(statSync(join(restored, "closed/of-another.txt"))).toMatchObject({ mode: 0o100400, uid: 1234, gid: 5678 });
    expect(readFileSync(join(restored, "secret.txt"), "utf8")).toBe("for root alone");
  });
});

/** What ProtectSystem=strict, ReadWritePaths= and NoNewPrivileges= make of a machine (systemd.exec(5)), without systemd. */
function sandbox(unit: string): NonNullable<ProgramOptions["wrapper"]> {
  const paths = (/^ReadWritePaths=(.*)$/m.exec(unit)?.[1] ?? "").split(" ").map((path) => path.replace(/^-/, ""));
  const bind = paths.map((path) => `[ ! -e '${path}' ] || mount --bind '${path}' '${path}'`).join("; ");
  return ["unshare", "-m", "sh", "-c", `${bind}; mount -o remount,bind,ro / && exec setpriv --no-new-privs "$@"`, "sh"];
}

test.runIf(mayMount)("in the sandbox of its unit a run makes the same archive as outside, from the first one on", async () => {
  const host = await setUpHost({ dir: fileTempDir("/srv") });
  host.editConfig((config) => config.replace(`path: "${host.source}"`, `path: "${host.dir}"`));
  const unit = (await print(host, "--systemd")).files[0]?.text ?? "";
  const refused = await host.run(["backup", "--config", host.config], { wrapper: ["unshare", "-m", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh"] });
  expect(refused.status).toBe(1);
  rmSync(host.state, { recursive: true, force: true });
  const inside = await host.backup([], { wrapper: sandbox(unit) });
  expect(inside).toMatchObject({ status: 0, stderr: "" });
  const outside = await host.backup();
  expect(outside).toMatchObject({ status: 0, document: { entries: inside.document.entries, filesNew: 0 } });
  const files = await host.run(["files", "--config", host.config, "--archive", inside.document.archive ?? ""]);
  expect(files.stdout).toContain(`${host.dir}/keys/signer.key`);
  const dropped = spawnSync("setpriv", ["--no-new-privs", "runuser", "-u", "daemon", "--", "id", "-un"], { encoding: "utf8" });
  expect(dropped.stdout).toBe("daemon\n");
});
