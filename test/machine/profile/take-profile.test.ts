/** The profile of the machine these tests run on, against what its own tools say; and of a root with hardly anything in it. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Profile, readProfile } from "../../../src/format/profile.ts";
import { Look } from "../../../src/machine/profile/look.ts";
import { Ownership } from "../../../src/machine/profile/ownership.ts";
import { readProcesses } from "../../../src/machine/profile/processes.ts";
import { takeProfile } from "../../../src/machine/profile/take-profile.ts";
import { readUncovered } from "../../../src/machine/profile/uncovered.ts";
import { afterUse, tempDir } from "../../support/temp-dir.ts";

const said = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: "utf8", env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" } }).trim();

function tree(root: string, files: Record<string, string>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

describe("of this machine", () => {
  test("says what its tools say, within bounds and within seconds", async () => {
    const startedMs = performance.now();
    const profile = await takeProfile({ nowMs: Date.now(), coverage: null });
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    expect(readProfile(JSON.parse(JSON.stringify(profile)))).toEqual(profile);
    expect(profile.hardware).toMatchObject({ arch: said("dpkg", "--print-architecture"), kernel: said("uname", "-r") });
    const installed = said("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}:${Architecture} ${Version}\n").split("\n").filter((line) => line.slice(1, 2) === "i").map((line) => line.slice(4)).toSorted();
    expect(profile.packages.installed.map(({ name, arch, version }) => `${name}:${arch} ${version}`).toSorted()).toEqual(installed);
    const manual = said("apt-mark", "showmanual").split("\n").map((name) => name.replace(/:.*/, ""));
    expect(profile.packages.installed.filter((each) => each.manual).map(({ name }) => name).toSorted()).toEqual(manual.toSorted());
    expect(profile.users.map(({ name }) => name)).toContain(userInfo().username);
    expect(profile.mounts.find(({ path }) => path === "/")?.usedBytes).toBeGreaterThan(0);
    expect(profile.uncovered).toEqual([]);
  });

  test("finds a port with the process that listens, and nothing uncovered where everything is a source", async () => {
    const script = 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => console.log(s.address().port))';
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    afterUse(() => void child.kill());
    const port = Number(await new Promise<string>((resolve) => child.stdout.once("data", (bytes: Buffer) => resolve(String(bytes)))));
    const profile = await takeProfile({ nowMs: Date.now(), coverage: { sources: ["/"], vaults: [], except: [] } });
    expect(profile.ports).toContainEqual(expect.objectContaining({ protocol: "tcp", address: "127.0.0.1", port, process: expect.stringMatching(/node|Main/i) }));
    expect(profile.uncovered).toEqual([]);
  });

  test("sees which files a process holds open for writing", () => {
    const [written, read] = [join(tempDir(), "written"), join(tempDir(), "read")];
    writeFileSync(read, "");
    const child = spawn("sleep", ["30"], { stdio: ["ignore", openSync(written, "a"), openSync(read, "r")] });
    afterUse(() => void child.kill());
    const found = readProcesses(new Look()).find(({ pid }) => pid === child.pid);
    expect(found).toMatchObject({ program: expect.stringContaining("sleep"), files: [{ path: written, isWritable: true }, { path: read, isWritable: false }] });
  });
});

/** A root directory of its own, as a chroot without running systemd has it. */
function smallRoot(): string {
  const root = tempDir();
  tree(root, {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
    "etc/hostname": "small\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\neve:x:1000:1000::/home/eve:/bin/sh\n",
    "etc/group": "root:x:0:\neve:x:1000:\n",
    "etc/own.conf": "mine\n",
    "etc/brought.conf": "as brought\n",
    "etc/changed.conf": "changed\n",
    "var/lib/dpkg/status": `Package: dpkg\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.21\n\nPackage: p\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nConffiles:\n /etc/brought.conf ${said("sh", "-c", "printf 'as brought\\n' | md5sum | cut -c1-32")}\n /etc/changed.conf 00000000000000000000000000000000\n`,
    "var/lib/dpkg/info/p.list": "/.\n/etc\n/etc/brought.conf\n/etc/changed.conf\n/usr/local/bin/packaged\n/usr/share/keyrings/packaged.gpg\n",
    "etc/apt/sources.list.d/x.list": "deb [signed-by=/usr/share/keyrings/x.gpg] https://me:pw@x.example/ stable main\n",
    "etc/apt/sources.list.d/old.list.save": "deb http://old/\n",
    "etc/apt/auth.conf": "machine x.example login me password pw\n",
    "etc/apt/auth.conf.d/x.conf": "machine x.example login me password pw\n",
    "usr/share/keyrings/x.gpg": "key",
    "usr/share/keyrings/packaged.gpg": "key",
    "usr/local/bin/own": "#!/bin/sh\n",
    "usr/local/bin/packaged": "#!/bin/sh\n",
    "home/eve/.nvm/versions/node/v20.1.0/bin/node": "",
    "etc/cron.d/night": "0 2 * * * root true\n",
    "etc/cron.d/x.dpkg-old": "",
    "etc/sysctl.d/10-x.conf": "vm.swappiness = 10\n",
    "etc/crypttab": "data UUID=1 none luks,tpm2-device=auto\nswap /dev/vdb /dev/urandom swap\n",
    "etc/credstore.encrypted/db": "x",
    "etc/systemd/system/multi-user.target.wants/app.service": "",
    "etc/systemd/system/timers.target.wants/app.timer": "",
    "etc/systemd/system/app.timer": "[Timer]\nOnCalendar=daily\nUnit=other.service\n",
    "srv/data/file": "x".repeat(2 * 1024 * 1024),
  });
  for (const program of ["own", "packaged"]) chmodSync(join(root, "usr/local/bin", program), 0o755);
  return root;
}

describe("of a root directory in which nothing runs", () => {
  test("comes from its files alone", async () => {
    const root = smallRoot();
    const profile = await takeProfile({ nowMs: 0, root, coverage: { sources: ["/etc"], vaults: [], except: [] } });
    const paths = (items: readonly { path: string }[]): string[] => items.map(({ path }) => path);
    expect(profile).toMatchObject({ hostName: "small", os: { id: "debian", versionId: "12" }, hardware: { arch: "arm64" }, mounts: [], ports: [], firewall: null, images: [] });
    expect(profile.packages.installed.map(({ name, manual }) => [name, manual])).toEqual([["dpkg", true], ["p", true]]);
    expect(paths(profile.packages.aptFiles)).toEqual(["/etc/apt/sources.list.d/x.list", "/usr/share/keyrings/x.gpg"]);
    expect(Buffer.from(profile.packages.aptFiles[0]?.base64 ?? "", "base64").toString()).toBe("deb [signed-by=/usr/share/keyrings/x.gpg] https://x.example/ stable main\n");
    expect(profile.gaps).toContainEqual({ what: "/etc/apt/sources.list.d/x.list", why: expect.stringContaining("password") });
    expect(paths(profile.configuration)).toEqual(expect.arrayContaining(["/etc/own.conf", "/etc/changed.conf"]));
    expect(paths(profile.configuration)).not.toContain("/etc/brought.conf");
    expect(paths(profile.outside)).toEqual(["/home/eve/.nvm/versions/node/v20.1.0", "/usr/local/bin/own"]);
    expect(profile.outside[1]).toMatchObject({ bytes: 10, sha256: said("sh", "-c", "printf '#!/bin/sh\\n' | sha256sum | cut -c1-64") });
    expect(profile.units.map(({ name, state }) => [name, state])).toEqual([["app.service", "enabled"], ["app.timer", "enabled"]]);
    expect(profile.timers).toEqual(["other.service"]);
    expect(profile.crontabs).toEqual(["/etc/cron.d/night"]);
    expect(profile.sysctl).toEqual([{ key: "vm.swappiness", value: "10" }]);
    expect(profile.reenter.map(({ path, why }) => `${path} ${why}`)).toEqual([expect.stringMatching(/^\/etc\/crypttab .*tpm2-device/), expect.stringMatching(/^\/etc\/credstore.encrypted\/db /)]);
    expect(profile.uncovered).toEqual([{ path: "/srv/data", bytes: expect.any(Number), why: "no source covers it", process: "" }]);
    expect(JSON.stringify(profile)).not.toMatch(/pw@|password pw/);
  });

  test("has no uncovered data where a source, or the configuration, names it", async () => {
    const root = smallRoot();
    const uncovered = async (sources: string[], except: string[]): Promise<Profile["uncovered"]> => (await takeProfile({ nowMs: 0, root, coverage: { sources, vaults: [], except } })).uncovered;
    expect(await uncovered(["/srv"], [])).toEqual([]);
    expect(await uncovered(["/etc"], ["/srv/data"])).toEqual([]);
    expect(await uncovered(["/srv/data/file"], [])).toEqual([]);
  });

  test("names what services hold open for writing, however small, but no logs, logins and files of packages", () => {
    const root = smallRoot();
    tree(root, { "srv/small/db": "x", "var/log/app.log": "x", "root/notes": "x", "etc/brought.conf": "x" });
    const look = new Look(root);
    const files = ["/srv/small/db", "/var/log/app.log", "/etc/brought.conf", "/run/app.pid", "/srv/small/gone"].map((path) => ({ path, isWritable: true }));
    const service = { pid: 1, name: "app", program: "/usr/bin/app", unit: "app.service", sockets: [], files: [...files, { path: "/root/notes", isWritable: false }] };
    const login = { ...service, unit: "session-3.scope", files: [{ path: "/root/notes", isWritable: true }] };
    const found = readUncovered(look, [service, login], new Ownership(look, []), { sources: ["/home"], vaults: [], except: ["/srv/data"] }, { entries: 1000, endMs: Infinity });
    expect(found).toEqual([{ path: "/srv/small", bytes: expect.any(Number), why: "held open for writing by a service", process: "app (app.service)" }]);
  });

  test("of no Debian at all is one without packages", async () => {
    const root = tempDir();
    tree(root, { "etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n" });
    const profile = await takeProfile({ nowMs: 0, root, coverage: null });
    expect(profile).toMatchObject({ os: { id: "alpine", versionId: "3.20.1" }, packages: { manager: "none", installed: [], aptFiles: [] } });
    expect(readProfile(JSON.parse(JSON.stringify(profile)))).toEqual(profile);
  });
});

describe("what is not as it should be", () => {
  test("garbage in every file is a profile with gaps, no error", async () => {
    const root = smallRoot();
    for (const path of ["var/lib/dpkg/status", "etc/passwd", "etc/os-release", "etc/crypttab", "var/lib/dpkg/info/p.list", "etc/sysctl.d/10-x.conf"]) {
      const fd = openSync(join(root, path), "w");
      writeSync(fd, Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)));
      closeSync(fd);
    }
    const profile = await takeProfile({ nowMs: 0, root, coverage: { sources: ["/etc"], vaults: [], except: [] } });
    expect(readProfile(JSON.parse(JSON.stringify(profile)))).toEqual(profile);
  });
});
