/** Parsers of the profile's collectors, each with text that real tools and kernels printed. */
import { describe, expect, test } from "vitest";
import { parseGroups, parseUsers } from "../../../src/machine/profile/accounts.ts";
import { signedByPaths, withoutSecrets } from "../../../src/machine/profile/apt-files.ts";
import { parseImages } from "../../../src/machine/profile/images.ts";
import { parseSysctl, plainIptables } from "../../../src/machine/profile/kernel.ts";
import { parseAutoInstalled, parseDpkgStatus, withMarks } from "../../../src/machine/profile/packages.ts";
import { parseSockets } from "../../../src/machine/profile/ports.ts";
import { isWritable, unitOfCgroup } from "../../../src/machine/profile/processes.ts";
import { parseMemory, parseOsRelease, parseSar } from "../../../src/machine/profile/system.ts";
import { parseActiveUnits, parseUnitFiles } from "../../../src/machine/profile/units.ts";

const DPKG = `Package: adduser
Status: install ok installed
Priority: important
Architecture: all
Version: 3.134
Conffiles:
 /etc/adduser.conf 2c2ae7b95d2c4e0d5e8e4e6e6b6e8f17
 /etc/deluser.conf 8a2f1c2ae7b95d2c4e0d5e8e4e6e6b6e obsolete
Description: add and remove users and groups
 This package includes the commands.

Package: nginx
Status: hold ok installed
Architecture: amd64
Multi-Arch: foreign
Version: 1.22.1-9+deb12u1

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: half
Status: install ok half-configured
Architecture: amd64
Version: 1.0
`;

test("dpkg's status: what is installed, what is held, what its configuration files were; marks as apt-mark counts them", () => {
  const list = parseDpkgStatus(DPKG);
  expect(list.installed).toEqual([{ name: "adduser", version: "3.134", arch: "all" }, { name: "nginx", version: "1.22.1-9+deb12u1", arch: "amd64" }]);
  expect(list.holds).toEqual(["nginx"]);
  expect([...list.conffiles]).toEqual([["/etc/adduser.conf", "2c2ae7b95d2c4e0d5e8e4e6e6b6e8f17"]]);
  const auto = parseAutoInstalled("Package: adduser\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: nginx\nArchitecture: amd64\nAuto-Installed: 0\n");
  expect(withMarks(list, auto, "amd64").map(({ name, manual }) => [name, manual])).toEqual([["adduser", false], ["nginx", true]]);
});

test("os-release: quoted, bare, with a comment", () => {
  const text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n# a comment\nID=debian\n';
  expect(parseOsRelease(text)).toEqual({ id: "debian", versionId: "12", codename: "bookworm", name: "Debian GNU/Linux 12 (bookworm)" });
  expect(parseOsRelease("ID='arch'\nPRETTY_NAME=\"say \\\"hi\\\"\"\n")).toMatchObject({ id: "arch", name: 'say "hi"', versionId: "" });
  expect(parseOsRelease("")).toMatchObject({ id: "linux" });
});

test("meminfo and sadf", () => {
  expect(parseMemory("MemTotal:       24683620 kB\nMemFree:        20000000 kB\nMemAvailable:   23683620 kB\nSwapTotal:       2097148 kB\nSwapFree:        2097000 kB\n")).toEqual({
    memoryBytes: 24_683_620 * 1024,
    swapBytes: 2_097_148 * 1024,
    usedBytes: 1_000_000 * 1024,
    swapUsedBytes: 148 * 1024,
  });
  expect(parseMemory("")).toMatchObject({ memoryBytes: 0, usedBytes: null });
  const sadf = `# hostname;interval;timestamp;kbmemfree;kbavail;kbmemused;%memused;kbbuffers;kbcached;kbcommit;%commit;kbactive;kbinact;kbdirty
web1;599;2026-11-27 00:10:01 UTC;500000;700000;300000;30.00;1000;2000;3000;10.0;1;2;3
web1;600;2026-11-27 00:20:01 UTC;100000;150000;850000;85.00;1000;2000;3000;10.0;1;2;3
# hostname;interval;timestamp;kbswpfree;kbswpused;%swpused;kbswpcad;%swpcad
web1;599;2026-11-27 00:10:01 UTC;1000;24;2.4;0;0.0
web1;-1;2026-11-27 00:15:00 UTC;LINUX-RESTART	(4 CPU)
`;
  expect(parseSar(sadf, 1_000_000 * 1024)).toEqual({ memoryBytes: 850_000 * 1024, swapBytes: 24 * 1024, sinceMs: Date.parse("2026-11-27T00:10:01Z") });
  expect(parseSar("", 1)).toBeNull();
});

test("users and groups by the limits of login.defs, and never a password", () => {
  const passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\neve:$6$salt$hash:1001:1001:Eve,,,:/home/eve:/bin/zsh\nold:x:500:500::/home/old:/bin/sh\nbad:x:many:1::/:/bin/sh\n+::::::\n";
  const users = parseUsers(passwd, "UID_MIN 1000\nUID_MAX 60000\n");
  expect(users.map(({ name, system }) => [name, system])).toEqual([["root", true], ["nobody", true], ["eve", false], ["old", true]]);
  expect(JSON.stringify(users)).not.toContain("hash");
  expect(parseUsers(passwd, "UID_MIN\t\t  500\n").find(({ name }) => name === "old")).toMatchObject({ system: false });
  expect(parseGroups("docker:x:999:eve,old\nteam:!:1005:\n", "")).toEqual([{ name: "docker", gid: 999, members: ["eve", "old"], system: true }, { name: "team", gid: 1005, members: [], system: false }]);
});

describe("files of apt", () => {
  test("keyrings that lists name", () => {
    const text = "deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg,/etc/apt/keyrings/b.asc] https://x.example/debian stable main\n# deb [signed-by=/no.gpg] x\nTypes: deb\nSigned-By: /usr/share/keyrings/c.gpg\n";
    expect(signedByPaths(text)).toEqual(["/usr/share/keyrings/a.gpg", "/etc/apt/keyrings/b.asc", "/usr/share/keyrings/c.gpg"]);
    expect(signedByPaths("Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n")).toEqual([]);
  });

  test("go along without passwords", () => {
    expect(withoutSecrets("deb https://joe:s3cret@packages.example/debian stable main\n")).toBe("deb https://packages.example/debian stable main\n");
    expect(withoutSecrets('Acquire::http::Proxy "http://u:p@proxy.example:3128/";\n')).toBe('Acquire::http::Proxy "http://proxy.example:3128/";\n');
    expect(withoutSecrets('Acquire::https::x::Password "abc";\nAPT::Get "1";\n')).toBe('\nAPT::Get "1";\n');
    const plain = "deb http://deb.debian.org/debian bookworm main\n# mail me@example.org\n";
    expect(withoutSecrets(plain)).toBe(plain);
  });
});

test("units as systemctl lists them", () => {
  const files = "apache2.service                        enabled         enabled\nautovt@.service                        alias           -\ncron.service  enabled enabled\ndebug-shell.service disabled disabled\nrescue.service static -\nx.timer masked enabled\n";
  expect(parseUnitFiles(files)).toEqual([{ name: "apache2.service", state: "enabled" }, { name: "cron.service", state: "enabled" }, { name: "debug-shell.service", state: "disabled" }, { name: "x.timer", state: "masked" }]);
  expect([...parseActiveUnits("cron.service loaded active running Regular background program\nx.service loaded failed failed X\n")]).toEqual(["cron.service"]);
});

test("sysctl files: dots, slashes, blanks, a leading minus, comments", () => {
  const text = "# a comment\nnet.ipv4.ip_forward=1\n  kernel.printk = 4 4 1 7\n-net.ipv4.conf.all.rp_filter = 2\nnet/ipv4/conf/eth0.100/forwarding = 1\n; other\nnot a setting\n";
  expect(parseSysctl(text)).toEqual([["net.ipv4.ip_forward", "1"], ["kernel.printk", "4 4 1 7"], ["net.ipv4.conf.all.rp_filter", "2"], ["net.ipv4.conf.eth0/100.forwarding", "1"]]);
});

test("iptables-save without what changes by itself", () => {
  const text = "# Generated by iptables-save v1.8.9 on Fri Nov 20 02:30:00 2026\n*filter\n:INPUT DROP [12:3456]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n# Completed on Fri Nov 20 02:30:00 2026\n";
  expect(plainIptables(text)).toBe("*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n");
});

describe("sockets that wait", () => {
  const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

  test("of TCP: listening ones only", () => {
    const text = `${head}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0\n   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 12346 1 0\n`;
    expect(parseSockets(text, "tcp")).toEqual([{ protocol: "tcp", address: "127.0.0.1", port: 8080, inode: "12345" }]);
  });

  test("of IPv6, in its short form", () => {
    const line = (address: string): string => `${head}   0: ${address}:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n`;
    expect(parseSockets(line("00000000000000000000000000000000"), "tcp")).toMatchObject([{ address: "::", port: 22 }]);
    expect(parseSockets(line("00000000000000000000000001000000"), "tcp")).toMatchObject([{ address: "::1" }]);
    expect(parseSockets(line("0000000000000000FFFF00000100007F"), "tcp")).toMatchObject([{ address: "127.0.0.1" }]);
    expect(parseSockets(line("000080FE00000000FF5A1150BEEFCAFE"), "tcp")).toMatchObject([{ address: "fe80::5011:5aff:feca:efbe" }]);
  });

  test("of UDP: bound ones without a peer", () => {
    const text = `${head}  100: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 999 2 0 0\n  101: 0100007F:D431 0100007F:0035 01 00000000:00000000 00:00000000 00000000   101        0 998 2 0 0\n`;
    expect(parseSockets(text, "udp")).toEqual([{ protocol: "udp", address: "0.0.0.0", port: 53, inode: "999" }]);
  });
});

test("units of control groups, and files that are open for writing", () => {
  expect(unitOfCgroup("0::/system.slice/nginx.service\n")).toBe("nginx.service");
  expect(unitOfCgroup("0::/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service\n")).toBe("syncthing.service");
  expect(unitOfCgroup("12:pids:/x\n1:name=systemd:/system.slice/system-postgresql.slice/postgresql@15-main.service\n")).toBe("postgresql@15-main.service");
  expect(unitOfCgroup("0::/system.slice/dev-disk\\x2dby.service\n")).toBe("dev-disk-by.service");
  expect(unitOfCgroup("0::/\n")).toBe("");
  expect(isWritable("pos:\t0\nflags:\t0100002\nmnt_id:\t30\n")).toBe(true);
  expect(isWritable("pos:\t0\nflags:\t0102001\n")).toBe(true);
  expect(isWritable("pos:\t0\nflags:\t0100000\n")).toBe(false);
});

test("images as docker and podman list them", () => {
  const text = "nginx\t1.27\tsha256:aa\tsha256:id1\nregistry.example/app\tlatest\t<none>\tsha256:id2\n<none>\t<none>\t<none>\tsha256:id3\n";
  expect(parseImages(text, "docker")).toEqual([
    { engine: "docker", reference: "nginx:1.27", digest: "sha256:aa" },
    { engine: "docker", reference: "registry.example/app:latest", digest: "id:sha256:id2" },
    { engine: "docker", reference: "sha256:id3", digest: "id:sha256:id3" },
  ]);
  expect(parseImages("", "docker")).toEqual([]);
});
