/** A quarantine on a real Debian root: nothing gets out of it, it ends with whoever made it, and nothing is left. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { Quarantine, type Shown } from "../../src/machine/quarantine/quarantine.ts";
import { mailsDropped, placeStandIns } from "../../src/machine/quarantine/stand-ins.ts";
import { DebianRoot } from "../support/debian.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";

const never = new AbortController().signal;
let root: DebianRoot;

beforeAll(() => {
  root = DebianRoot.make("root");
}, 300_000);

function start(shown: readonly Shown[] = []): Promise<Quarantine> {
  return Quarantine.start({ root: root.path, hostName: "drill-1", shown, network: "none", signal: never });
}

async function inside(quarantine: Quarantine, script: string): Promise<string> {
  const { stdout, stderr } = await quarantine.run({ argv: ["/bin/bash", "-c", script], timeoutMs: 20_000, signal: never });
  return stdout + stderr;
}

/** What runs in a PID namespace, by its link in /proc: the command lines. */
function commandsIn(namespace: string): string[] {
  return processes().filter((pid) => namespaceOf(pid) === namespace).map(commandOf);
}

function processes(): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

function namespaceOf(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return null;
  }
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

describe("the network", () => {
  test("is the loopback alone: a listener here hears nothing, while inside a service answers", async () => {
    const host = Object.values(networkInterfaces()).flatMap((each) => each ?? []).find(({ internal, family }) => !internal && family === "IPv4")?.address ?? "127.0.0.1";
    let heard = 0;
    const server = createServer((socket) => {
      heard++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => void server.listen(0, "0.0.0.0", resolve));
    afterUse(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const knock = `for each in ${host} 127.0.0.1; do timeout 2 bash -c "echo x > /dev/tcp/$each/${port}" && echo through; done`;
    expect(spawnSync("bash", ["-c", knock], { encoding: "utf8" }).stdout).toBe("through\nthrough\n");
    await sleep(200);
    expect(heard).toBe(2);
    const quarantine = await start();
    const interfaces = await quarantine.interfaces(never);
    const said = await inside(quarantine, `${knock}; timeout 2 getent hosts deb.debian.org; cat /proc/net/route | wc -l`);
    const looped = await inside(quarantine, "perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\", LocalPort => 0) or die; my $c = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $s->sockport); print $c ? \"loops\" : \"dead\"'");
    expect(await quarantine.close()).toEqual({ processesLeft: 0, mountsLeft: 0 });
    expect(interfaces).toEqual(["lo"]);
    expect(said).not.toContain("through");
    expect(said).toMatch(/^1$/m);
    expect(looped).toBe("loops");
    expect(heard).toBe(2);
  });
});

describe("what is inside", () => {
  test("sees its own processes, host name and files, and cannot reach this machine's devices, kernel or mounts", async () => {
    const folder = tempDir();
    writeFileSync(join(folder, "given"), "given");
    const quarantine = await start([{ path: folder, inside: "/run/given", writable: false }]);
    const said = await inside(quarantine, "hostname; ls /proc | grep -c '^[0-9]'; cat /run/given/given; ls -d /.coldkeep-old; ls /work /root/.. | head -3 >/dev/null");
    const tries = ["touch /run/given/x", "echo 1 > /proc/sys/kernel/panic", "mount -t tmpfs x /mnt", "mount -o remount,rw /proc/sys", "mknod /tmp/d b 259 0 && head -c1 /tmp/d", "mknod /d c 1 1 && head -c1 /d", "date -s 2001-01-01", "chroot /proc/1/root/.. /bin/mount -t proc x /mnt"];
    const outcomes = await inside(quarantine, tries.map((each) => `(${each}) >/dev/null 2>&1 && echo "done: ${each}"`).join("; "));
    await quarantine.close();
    expect(said).toMatch(/^drill-1\n[4-9]\ngiven/);
    expect(said).toContain("No such file or directory");
    expect(outcomes).toBe("");
    expect(existsSync(join(folder, "x"))).toBe(false);
  });

  test("is reaped when its parents are gone", async () => {
    const quarantine = await start();
    const states = await inside(quarantine, "for i in 1 2 3; do (setsid sleep 0.2 >/dev/null 2>&1 &); done; sleep 1; grep -h '^State' /proc/[0-9]*/status | grep -c Z");
    await quarantine.close();
    expect(states).toBe("0\n");
  });

  test("mail is dropped and counted; a cron that a package brings is held", async () => {
    const own = root.copy("with-cron");
    await placeStandIns(own.path, never);
    await own.must("apt-get update -qq && apt-get install -y -qq --no-install-recommends cron >/dev/null", { env: { DEBIAN_FRONTEND: "noninteractive" } });
    writeFileSync(join(own.path, "etc/cron.d/often"), "* * * * * root touch /srv/ran\n");
    const quarantine = await Quarantine.start({ root: own.path, hostName: "drill-2", shown: [], network: "none", signal: never });
    const said = await inside(quarantine, "for i in 1 2; do echo hi | /usr/sbin/sendmail a@example.net; done; /etc/init.d/cron start; /etc/init.d/cron status; file=$(cat /run/crond.pid); tr '\\0' ' ' </proc/$file/cmdline; ls /usr/sbin/cron.held");
    await quarantine.close();
    expect(mailsDropped(own.path)).toBe(2);
    expect(said).toContain("sleep infinity");
    expect(said).toContain("/usr/sbin/cron.held");
    expect(existsSync(join(own.path, "srv/ran"))).toBe(false);
  });
});

test("whoever makes it may be killed at any time: the kernel ends everything inside", async () => {
  const module = join(import.meta.dirname, "../../src/machine/quarantine/quarantine.ts");
  const long = 100_000 + process.pid;
  const script = `import { Quarantine } from ${JSON.stringify(module)};
    const quarantine = await Quarantine.start({ root: ${JSON.stringify(root.path)}, hostName: "doomed", shown: [], network: "none", signal: new AbortController().signal });
    console.log("ready");
    await quarantine.run({ argv: ["/bin/sh", "-c", "setsid sleep ${long} & sleep ${long + 1}"], timeoutMs: 600000 });`;
  const child: ChildProcess = spawn(process.execPath, ["--conditions=dev", "--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  afterUse(() => void child.kill("SIGKILL"));
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  // Other tests have namespaces too: this one is known by what runs in it.
  const sleeper = (): string | undefined => processes().find((pid) => commandOf(pid) === `sleep ${long}`);
  for (let waits = 0; sleeper() === undefined && waits < 200; waits++) await sleep(50);
  const namespace = namespaceOf(sleeper() ?? "") ?? "";
  expect(namespace).toMatch(/^pid:/);
  expect(namespace).not.toBe(namespaceOf("self"));
  expect(commandsIn(namespace)).toEqual(expect.arrayContaining([`sleep ${long}`, `sleep ${long + 1}`, "cat"]));
  child.kill("SIGKILL");
  for (let waits = 0; commandsIn(namespace).length > 0 && waits < 100; waits++) await sleep(50);
  expect(commandsIn(namespace)).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(root.path);
});

test("a root that is no system is refused, with nothing left", async () => {
  const empty = join(tempDir(), "empty");
  mkdirSync(empty);
  await expect(Quarantine.start({ root: empty, hostName: "x", shown: [], network: "none", signal: never })).rejects.toMatchObject({ code: "E_REFUSED" });
  expect(execFileSync("cat", ["/proc/self/mountinfo"], { encoding: "utf8" })).not.toContain(empty);
});
