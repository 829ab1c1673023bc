/** A rebuild of a small machine, without packages or databases: users, files, what stays, what is refused. */
import { copyFileSync, cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { DebianRoot } from "../support/debian.ts";
import { buildSingleFile } from "../support/single-file.ts";
import { makeTree } from "../support/tree.ts";

let bare: DebianRoot;
let kit: string;
let regions: string;

const KIT = "/root/kit.txt";
const REBUILD = `coldkeep restore --machine --kit ${KIT} --skip packages`;

beforeAll(async () => {
  const program = process.env["COLDKEEP_TEST_PROGRAM"] ?? buildSingleFile();
  bare = DebianRoot.make("bare");
  copyFileSync(program, join(bare.path, "usr/bin/coldkeep"));
  const old = bare.copy("old");
  makeTree(old.path, { "etc/app.conf": "archived", "etc/fstab": "/dev/old", "etc/cron.d/app": "@daily app run\n", "srv/app/key": "s3cr3t", "usr/local/bin/tool": "#!/bin/sh\necho tool\n" });
  await old.must(
    `useradd -m -u 1000 alice; useradd --system -u 500 app; echo 'alice:$6$x$y' | chpasswd -e; usermod -aG adm alice
     chown app:app /srv/app/key; chmod 600 /srv/app/key; chmod 755 /usr/local/bin/tool; ln -s tool /usr/local/bin/tool2; chown 12345:54321 /srv/app
     coldkeep init --host shop --region a=file:///mnt/a --region b=file:///mnt/b --source /etc --source /srv --source /usr/local --source /home --kit ${KIT} --yes
     mv ${KIT} /mnt/kit.txt
     printf 'health:\\n  - {name: tool, within: 3s, command: {run: [/usr/local/bin/tool]}}\\n  - {name: key, within: 3s, command: {run: [/usr/bin/test, -s, /srv/app/key], runAs: app}}\\n' >> /etc/coldkeep/coldkeep.yaml
     coldkeep schedule install --cron
     coldkeep backup -v`,
    { hostName: "shop" },
  );
  kit = readFileSync(join(old.path, "mnt/kit.txt"), "utf8");
  regions = join(old.path, "mnt");
}, 300_000);

let copies = 0;

/** A machine with the kit and the regions' disks, and accounts and files of its own. */
async function freshMachine(): Promise<DebianRoot> {
  const fresh = bare.copy(`fresh${++copies}`);
  cpSync(regions, join(fresh.path, "mnt"), { recursive: true });
  writeFileSync(join(fresh.path, KIT), kit, { mode: 0o600 });
  await fresh.must("useradd -m -u 1000 debian; groupadd -g 500 other; mkdir -p /etc/cron.d; echo mine > /etc/app.conf; echo /dev/new > /etc/fstab");
  return fresh;
}

test("users get free numbers and files follow them; what is replaced is kept, what must stay stays, and checks say it works", async () => {
  const fresh = await freshMachine();
  const said = await fresh.must(`${REBUILD} --confirm fresh-1 2>&1; id -u alice; id -nG alice; stat -c '%U:%G %a' /srv/app/key /home/alice; stat -c '%u:%g' /srv/app; tool; tool2`, { hostName: "fresh-1" });
  expect(said).toContain("user alice was 1000 and is 1001 here");
  expect(said).toMatch(/1001\nalice adm\napp:app 600\nalice:alice 7\d\d\n12345:54321\ntool\ntool\n$/);
  const read = (path: string): string => readFileSync(join(fresh.path, path), "utf8");
  expect(read("etc/app.conf")).toBe("archived");
  const archive = /archive +(\S+),/.exec(said)?.[1] ?? "";
  expect(read(`.coldkeep-replaced/${archive}/etc/app.conf`)).toBe("mine\n");
  expect(read("etc/fstab")).toBe("/dev/new\n");
  expect(read(`root/coldkeep-review/${archive}/differences.diff`)).toContain("+/dev/old");
  expect(read("etc/passwd")).toMatch(/^debian:x:1000:/m);
  expect(read("etc/shadow")).toMatch(/^alice:\$6\$x\$y:/m);
  expect(read("etc/cron.d/app")).toBe("@daily app run\n");
  expect(existsSync(join(fresh.path, "etc/cron.d/coldkeep-shop"))).toBe(false);
  expect(JSON.parse(read("var/lib/coldkeep/rebuild/report.json"))).toMatchObject({ host: "shop", machine: "fresh-1", exitStatus: 0, resumed: false });
  expect(existsSync(join(fresh.path, ".coldkeep-restore"))).toBe(false);
});

test("a check that fails is a failed step, named with its reason; put right, the rebuild goes on and is done", async () => {
  const fresh = await freshMachine();
  const failed = await fresh.run(`mkdir -p /etc/coldkeep; ${REBUILD} --only users,health --confirm fresh-2`, { hostName: "fresh-2" });
  expect([failed.status, failed.stderr]).toEqual([1, expect.stringMatching(/step health: 2 of 2 health checks fail:[\s\S]*tool \(command\)[\s\S]*restore --machine --kit FILE --resume/)]);
  expect((await fresh.run(`${REBUILD} --confirm fresh-2`, { hostName: "fresh-2" })).stderr).toContain("--resume");
  await fresh.must("printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/tool; chmod 755 /usr/local/bin/tool; mkdir -p /srv/app; echo x > /srv/app/key; chmod 644 /srv/app/key");
  const done = await fresh.must(`coldkeep restore --machine --kit ${KIT} --resume 2>&1`, { hostName: "fresh-2" });
  expect(done).toContain("fresh-2 is rebuilt as shop");
  expect(done).not.toMatch(/^users: /m);
}, 200_000);

test("taken over, it goes on with the chain and its schedule; the old one is refused from then on", async () => {
  const fresh = await freshMachine();
  const said = await fresh.must(`${REBUILD} --take-over --confirm fresh-3 2>&1; coldkeep backup; ls /etc/cron.d; coldkeep list --kit ${KIT} | wc -l`, { hostName: "fresh-3" });
  expect(said).toMatch(/has taken over the chain of shop with archive \S+/);
  expect(said).toMatch(/coldkeep-shop\n(?:.*\n)*4\n$/);
});

/** What the profile of another machine says: much more memory, another architecture and release. */
const OF_ANOTHER = `cd /tmp; sed 's/^MemTotal: .*/MemTotal: 4294967296 kB/; s/^MemAvailable: .*/MemAvailable: 1048576 kB/' /proc/meminfo > meminfo; mount --bind meminfo /proc/meminfo
sed 's/bookworm/trixie/; s/^VERSION_ID=.*/VERSION_ID="13"/' /usr/lib/os-release > os-release; mount --bind os-release /usr/lib/os-release
sed '/^Package: dpkg$/,/^$/s/^Architecture: .*/Architecture: riscv64/' /var/lib/dpkg/status > status; mount --bind status /var/lib/dpkg/status`;

test("a machine that cannot carry it is told all it lacks, and nothing is changed; what is fatal cannot be waived", async () => {
  const other = bare.copy("other");
  await other.must(`${OF_ANOTHER}; coldkeep init --host big --region a=file:///mnt/a --source /srv --kit /mnt/kit.txt --yes; coldkeep backup`, { hostName: "big" });
  const fresh = bare.copy("small");
  cpSync(join(other.path, "mnt"), join(fresh.path, "mnt"), { recursive: true });
  const restore = "coldkeep restore --machine --kit /mnt/kit.txt --confirm fresh-5";
  const refused = await fresh.run(restore, { hostName: "fresh-5" });
  expect(refused.status).toBe(5);
  for (const lack of [/arch needs riscv64 and has /, /os needs debian 13 and has debian 12/, /memory needs 3.0 TiB/]) expect(refused.stdout + refused.stderr).toMatch(lack);
  const waived = await fresh.run(`${restore} --accept memory --accept os`, { hostName: "fresh-5" });
  expect([waived.status, waived.stdout + waived.stderr]).toEqual([5, expect.stringMatching(/not adequate: arch needs riscv64 and has \S+\n/)]);
  const asked = await fresh.run("coldkeep requirements --kit /mnt/kit.txt", { hostName: "fresh-5" });
  expect([asked.status, asked.stdout]).toEqual([5, expect.stringMatching(/FAIL +arch[\s\S]*not adequate/)]);
  expect(existsSync(join(fresh.path, "var/lib/coldkeep"))).toBe(false);
});

test.each([
  ["another machine's name", ["--confirm", "shop"], 5, "this machine is called fresh-4"],
  ["no name, and nobody to ask", [], 2, "--confirm fresh-4"],
  ["a step there is not", ["--only", "reboot", "--confirm", "fresh-4"], 2, "users, packages, files"],
  ["a directory beside it", ["--to", "/x"], 2, "--to is of no use with --machine"],
  ["nothing to resume", ["--resume"], 1, "no rebuild was begun"],
])("refused: %s", async (_what, args, status, said) => {
  const done = await bare.run(`cd /root; cat > kit.txt <<'KIT'\n${kit}KIT\nchmod 600 kit.txt; mkdir -p /mnt/a /mnt/b; coldkeep restore --machine --kit ${KIT} ${args.includes("--resume") ? "" : "--skip packages"} ${args.join(" ")}`, { hostName: "fresh-4" });
  expect([done.status, done.stderr]).toEqual([status, expect.stringContaining(said)]);
  expect(existsSync(join(bare.path, "var/lib/coldkeep/rebuild"))).toBe(false);
});
