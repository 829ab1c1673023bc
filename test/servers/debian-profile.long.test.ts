/** The profile of a real Debian 12 that is entered by nobody and runs nothing, against what its own tools say inside of it. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Profile, readProfile } from "../../src/format/profile.ts";
import { takeProfile } from "../../src/machine/profile/take-profile.ts";
import { driftOf } from "../../src/policy/drift.ts";
import { fileTempDir } from "../support/temp-dir.ts";

function installDebian(): string {
  const debian = join(fileTempDir(), "debian");
  execFileSync("debootstrap", ["--variant=minbase", "bookworm", debian], { stdio: "pipe", maxBuffer: 1 << 28 });
  return debian;
}

const inside = (debian: string, ...argv: string[]): string => execFileSync("chroot", [debian, ...argv], { encoding: "utf8", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" } }).trim();
const paths = (items: readonly { path: string }[]): string[] => items.map(({ path }) => path);

test("a fresh one is as its packages brought it; then each thing that was done to it is named", async () => {
  const debian = installDebian();
  const take = (): Promise<Profile> => takeProfile({ nowMs: Date.parse("2026-11-28T00:00:00Z"), root: debian, coverage: { sources: ["/etc"], vaults: [], except: [] } });
  const fresh = await take();
  expect(readProfile(JSON.parse(JSON.stringify(fresh)))).toEqual(fresh);
  expect(fresh).toMatchObject({ os: { id: "debian", versionId: "12", codename: "bookworm" }, hardware: { arch: inside(debian, "dpkg", "--print-architecture") }, packages: { manager: "apt", holds: [] }, outside: [], uncovered: [] });
  const installed = inside(debian, "dpkg-query", "-W", "-f", "${Package}:${Architecture} ${Version}\n").split("\n");
  expect(fresh.packages.installed.map(({ name, arch, version }) => `${name}:${arch} ${version}`).toSorted()).toEqual(installed.toSorted());
  expect(fresh.packages.installed.filter(({ manual }) => manual).map(({ name }) => name).toSorted()).toEqual(inside(debian, "apt-mark", "showmanual").split("\n").toSorted());
  // The keyring of the distribution is on every fresh machine of it.
  expect(paths(fresh.packages.aptFiles)).toContain("/etc/apt/sources.list");
  expect(paths(fresh.packages.aptFiles).filter((path) => path.includes("trusted.gpg.d"))).toEqual([]);

  inside(debian, "groupadd", "--gid", "2000", "team");
  inside(debian, "useradd", "--create-home", "--uid", "1500", "--groups", "team", "--password", "$6$salt$secrethash", "eve");
  inside(debian, "apt-mark", "hold", "bash");
  inside(debian, "apt-mark", "auto", "hostname");
  mkdirSync(join(debian, "etc/apt/keyrings"), { recursive: true });
  writeFileSync(join(debian, "etc/apt/keyrings/third.asc"), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n");
  writeFileSync(join(debian, "usr/share/keyrings/other.gpg"), Buffer.from([0x99, 1, 2, 3]));
  writeFileSync(join(debian, "etc/apt/sources.list.d/third.sources"), "Types: deb\nURIs: https://user:geheim@third.example/debian\nSuites: bookworm\nComponents: main\nSigned-By: /etc/apt/keyrings/third.asc\n");
  writeFileSync(join(debian, "etc/apt/auth.conf"), "machine third.example login user password geheim\n");
  mkdirSync(join(debian, "etc/sysctl.d"), { recursive: true });
  writeFileSync(join(debian, "etc/sysctl.d/90-x.conf"), "net.ipv4.ip_forward = 1\n");
  mkdirSync(join(debian, "etc/cron.d"), { recursive: true });
  writeFileSync(join(debian, "etc/cron.d/night"), "0 2 * * * root true\n");
  mkdirSync(join(debian, "etc/systemd/system/multi-user.target.wants"), { recursive: true });
  writeFileSync(join(debian, "etc/systemd/system/app.service"), "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n");
  symlinkSync("/etc/systemd/system/app.service", join(debian, "etc/systemd/system/multi-user.target.wants/app.service"));
  appendFileSync(join(debian, "etc/bash.bashrc"), "# changed\n");
  writeFileSync(join(debian, "usr/local/bin/tool"), "#!/bin/sh\n", { mode: 0o755 });
  mkdirSync(join(debian, "srv/shop"));
  writeFileSync(join(debian, "srv/shop/orders"), Buffer.alloc(3_000_000, 1));

  const changed = await take();
  expect(JSON.stringify(changed)).not.toMatch(/geheim|secrethash/);
  expect(changed.packages.holds).toEqual(["bash"]);
  expect(changed.packages.installed.find(({ name }) => name === "hostname")).toMatchObject({ manual: false });
  expect(changed.users.find(({ name }) => name === "eve")).toEqual({ name: "eve", uid: 1500, gid: expect.any(Number), comment: "", home: "/home/eve", shell: expect.any(String), system: false });
  expect(changed.groups.find(({ name }) => name === "team")).toEqual({ name: "team", gid: 2000, members: ["eve"], system: false });
  expect(paths(changed.uncovered)).toEqual(["/srv/shop"]);
  const named = driftOf(fresh, changed).map(({ kind, change, name }) => `${kind} ${change} ${name}`);
  expect(named).toEqual([
    "source added /etc/apt/keyrings/third.asc",
    "source added /etc/apt/sources.list.d/third.sources",
    "source added /usr/share/keyrings/other.gpg",
    "configuration added /etc/apt/sources.list.d/third.sources",
    "configuration added /etc/bash.bashrc",
    "configuration added /etc/cron.d/night",
    "configuration added /etc/sysctl.d/90-x.conf",
    "configuration added /etc/systemd/system/app.service",
    "unit added app.service",
    "crontab added /etc/cron.d/night",
    "user added eve",
    "group added eve",
    "group added team",
    "sysctl added net.ipv4.ip_forward",
    "program added /usr/local/bin/tool",
  ]);
}, 300_000);
