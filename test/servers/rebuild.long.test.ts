/**
 * A whole server, archived into two regions of Ceph RGW and rebuilt in a fresh minimal Debian that has nothing but the single
 * executable, the kit and credentials.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AptRepository } from "../support/apt-repository.ts";
import { BootedDebian, DebianRoot, type Entered } from "../support/debian.ts";
import { startRgw, type Rgw } from "../support/rgw.ts";
import { buildSingleFile } from "../support/single-file.ts";
import { DATABASES, FILL, HEALTH, installShop, ORDERS, PORTS, SHOP_PACKAGES, START } from "./rebuild/shop.ts";
import { RgwVault } from "./rgw-vault.ts";

const NEVER_TOUCHED = ["etc/fstab", "etc/network/interfaces", "etc/hostname", "etc/hosts", "etc/machine-id", "etc/os-release", "usr/lib/os-release", "etc/apt/sources.list", "etc/resolv.conf"];
const KIT = "/root/kit.txt";

let rgw: Rgw;
let vault: RgwVault;
let acme: AptRepository;
let old: DebianRoot;
let bare: DebianRoot;
let program: string;
/** What the old machine answers; its ports are free for others afterwards. */
let proofOfOld: string;

beforeAll(async () => {
  program = buildSingleFile();
  rgw = await startRgw([{ name: "north" }, { name: "south" }]);
  vault = await RgwVault.create(rgw);
  acme = await AptRepository.start("1.2-3");
  bare = DebianRoot.make("bare");
  old = bare.copy("old");
  copyFileSync(program, join(bare.path, "usr/local/bin/coldkeep"));
  copyFileSync(program, join(old.path, "usr/local/bin/coldkeep"));
  // What a cloud image has: a first user with the number of ours, and files of its own.
  await bare.must("useradd -m -u 1000 debian; echo '127.0.0.1 localhost fresh-7' > /etc/hosts; echo 11111111111111111111111111111111 > /etc/machine-id; mkdir -p /etc/network; echo '# of the new machine' > /etc/network/interfaces; echo /dev/new / ext4 > /etc/fstab; mkdir -p /etc/cron.d; echo '# other' > /etc/cron.d/shop");
  await installShop(old, acme);
  const regions = vault.regionArguments("shop").map((each) => `'${each}'`).join(" ");
  await old.must(`coldkeep init --host shop1 ${regions} --source /etc --source /srv --source /usr/local --source /home --source /var/spool/cron --source /root --kit ${KIT} --yes`, { hostName: "shop1", env: vault.credentials() });
  appendFileSync(join(old.path, "etc/coldkeep/coldkeep.yaml"), DATABASES + HEALTH);
  await old.must(`mv ${KIT} /opt/kit.txt; ${START}; ${FILL}; coldkeep backup -v; coldkeep schedule install --cron || true; coldkeep backup`, { hostName: "shop1", env: vault.credentials() });
  proofOfOld = await old.must(`${START}; ${PROOF}`, { hostName: "shop1" });
}, 900_000);

afterAll(async () => {
  await vault.remove();
  await rgw.stop();
  acme.stop();
}, 120_000);

let copies = 0;

/** A fresh machine with the kit. */
function freshMachine(): DebianRoot {
  const fresh = bare.copy(`fresh${++copies}`);
  mkdirSync(join(fresh.path, "root"), { recursive: true });
  writeFileSync(join(fresh.path, KIT), readFileSync(join(old.path, "opt/kit.txt")), { mode: 0o600 });
  mkdirSync(join(fresh.path, "mnt"), { recursive: true });
  copyFileSync(acme.package, join(fresh.path, "mnt/acme-agent.deb"));
  return fresh;
}

const enter = { hostName: "fresh-7", get env() {
  return vault.credentials();
} };

function contents(root: DebianRoot, paths: readonly string[]): Record<string, string | null> {
  return Object.fromEntries(paths.map((path) => [path, existsSync(join(root.path, path)) ? readFileSync(join(root.path, path), "utf8") : null]));
}

/** What must be as it was, asked of the machine while its services run. */
const PROOF = `curl -fsS http://127.0.0.1:${PORTS.page}/; echo
runuser -u postgres -- psql -At -p ${PORTS.sql} shop -c "select count(*), sum(total), md5(string_agg(customer, ',' order by id)) from orders" -c "select rolname from pg_roles where rolname = 'shop'" -c "select pg_catalog.pg_get_userbyid(datdba) from pg_database where datname = 'shop'"
redis-cli -p ${PORTS.redis} get visits
acme-agent; dpkg-query -W -f '\${Version}\\n' acme-agent
getcap /usr/local/bin/shop-ping
stat -c '%U %G %a' /srv/shop/secret/key /home/alice/notes.txt
getfacl -pc /srv/shop/secret/key | grep alice
crontab -l -u alice; cat /etc/cron.d/shop
getent shadow alice | cut -d: -f2 | cut -c1-3
grep Umask /proc/$(pgrep -o -f /srv/shop/app.py)/status; tr '\\0' '\\n' < /proc/$(pgrep -o -f /srv/shop/app.py)/environ | grep ^TZ= || echo no zone of its own
id -nG alice; ls /etc/systemd/system/multi-user.target.wants/shop.service`;

describe("a fresh machine", () => {
  test("--plan shows everything, and changes nothing", async () => {
    const fresh = freshMachine();
    const listing = (): string => execFileSync("find", [fresh.path, "-xdev", "-not", "-path", "*/root/*", "-not", "-path", "*/tmp/*", "-printf", "%P %m %s %T@\n"], { encoding: "utf8", maxBuffer: 1 << 28 });
    const before = listing();
    const plan = await fresh.must(`coldkeep restore --machine --kit ${KIT} --plan`, enter);
    expect(listing()).toBe(before);
    expect(plan).toContain("fresh-7, becomes shop1");
    expect(plan).toMatch(/user alice was 1000 and is 1001 here/);
    expect(plan).toMatch(/packages +\d+ to install/);
    expect(plan).toMatch(/postgresql main.*: .*shop/);
    expect(plan).toMatch(/checks +page, redis, orders, tool, load/);
    expect(plan).toMatch(/not touched +network [^;]*;\s+file\s+systems\s+\(\/etc\/fstab\)/);
  });

  test("another machine's name, or none, changes nothing", async () => {
    const fresh = freshMachine();
    const wrong = await fresh.run(`coldkeep restore --machine --kit ${KIT} --confirm shop1`, enter);
    expect([wrong.status, wrong.stderr]).toEqual([5, expect.stringContaining('this machine is called fresh-7, not "shop1"')]);
    const none = await fresh.run(`coldkeep restore --machine --kit ${KIT}`, enter);
    expect([none.status, none.stderr]).toEqual([2, expect.stringContaining("--confirm fresh-7")]);
    expect(existsSync(join(fresh.path, "var/lib/coldkeep"))).toBe(false);
    expect(readFileSync(join(fresh.path, "etc/passwd"), "utf8")).not.toContain("alice");
  });

  test("one command rebuilds it: the page answers, counts match, the load is carried, nothing that must stay has moved", async () => {
    const fresh = freshMachine();
    const stays = contents(fresh, NEVER_TOUCHED);
    const said = await fresh.must(`coldkeep restore --machine --kit ${KIT} --confirm fresh-7 2>&1; ${PROOF}; coldkeep backup 2>&1 || echo "backup $?"`, enter);
    expect(said).toContain(proofOfOld);
    expect(said).toContain(`orders ${ORDERS}|`);
    expect(said).toMatch(/RTO +\d/);
    // It must not go on with the old machine's chain by itself.
    expect(said).toContain("--take-over");
    expect(said).toMatch(/backup 5\n$/);
    expect(existsSync(join(fresh.path, "etc/cron.d/coldkeep-shop1"))).toBe(false);
    expect(contents(fresh, NEVER_TOUCHED)).toEqual(stays);
    expect(readFileSync(join(fresh.path, "etc/group"), "utf8")).toMatch(/^debian:x:1000:/m);
    const archive = /archive +(\S+),/.exec(said)?.[1] ?? "";
    expect(readFileSync(join(fresh.path, ".coldkeep-replaced", archive, "etc/cron.d/shop"), "utf8")).toBe("# other\n");
    expect(readFileSync(join(fresh.path, "root/coldkeep-review", archive, "differences.diff"), "utf8")).toContain("-/dev/new / ext4");
    expect(existsSync(join(fresh.path, "usr/sbin/policy-rc.d"))).toBe(false);
    const report = JSON.parse(readFileSync(join(fresh.path, "var/lib/coldkeep/rebuild/report.json"), "utf8")) as { rtoMs: number; steps: { step: string }[] };
    expect(report.steps.map(({ step }) => step)).toEqual(["users", "packages", "files", "databases", "services", "health"]);
    process.stdout.write(`RTO of the shop: ${(report.rtoMs / 1000).toFixed(1)} s\n`);
  });
});

test("packages from a folder, where no source answers", async () => {
  const fresh = freshMachine();
  // A name that apt has to make a set of: what the shop needs and a minimal system lacks.
  await fresh.must(`mkdir -p /debs/partial; export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y -qq --no-install-recommends --download-only -o Dir::Cache::Archives=/debs -o APT::Keep-Downloaded-Packages=true ${SHOP_PACKAGES} >/dev/null; rm -rf /etc/apt/sources.list /etc/apt/sources.list.d /var/lib/apt/lists; cp /mnt/acme-agent.deb /debs/`);
  const said = await fresh.must(`coldkeep restore --machine --kit ${KIT} --packages-from /debs --confirm fresh-7 2>&1; ${PROOF}`, enter);
  expect(said).toContain(proofOfOld);
  expect(said).toMatch(/packages +\d+ to install from \/debs/);
});

test("where systemd is the init, it starts the services, and knows them afterwards", async () => {
  const fresh = freshMachine();
  await fresh.must("export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y -qq --no-install-recommends systemd systemd-sysv dbus >/dev/null");
  const machine = await BootedDebian.boot(fresh);
  try {
    const name = (await machine.must("hostname")).trim();
    const said = await machine.must(`coldkeep restore --machine --kit ${KIT} --confirm ${name} 2>&1; ${PROOF}`, vault.credentials());
    expect(said).toContain(proofOfOld);
    expect(await machine.must("systemctl is-active shop nginx redis-server postgresql; systemctl is-enabled shop; systemctl show -P MainPID shop | grep -v '^0$' >/dev/null && echo runs")).toBe("active\nactive\nactive\nactive\nenabled\nruns\n");
    expect(await machine.must("coldkeep health")).toContain("5 well, 0 failed");
  } finally {
    await machine.powerOff();
  }
});

describe("power lost in the middle of a step, and resumed", () => {
  test.each(["users", "packages", "files", "databases", "services", "health"])("%s", async (step) => {
    const fresh = freshMachine();
    const journal = join(fresh.path, "var/lib/coldkeep/rebuild/journal.ndjson");
    const cut = new AbortController();
    const running = fresh.run(`coldkeep restore --machine --kit ${KIT} --confirm fresh-7`, { ...enter, env: vault.credentials(), signal: cut.signal });
    await waitFor(running, () => existsSync(journal) && readFileSync(journal, "utf8").includes(`"step","step":"${step}"`));
    await sleep({ users: 100, packages: 8000, files: 400, databases: 800, services: 600, health: 500 }[step] ?? 0);
    cut.abort();
    await running;
    const again = await fresh.run(`coldkeep restore --machine --kit ${KIT} --confirm fresh-7`, enter);
    expect([again.status, again.stderr]).toEqual([5, expect.stringContaining("--resume")]);
    // After a power cut the services are down, too: they are started again.
    const said = await fresh.must(`coldkeep restore --machine --kit ${KIT} --resume 2>&1; ${PROOF}`, enter);
    expect(said).toContain(proofOfOld);
  });
});

async function waitFor(running: Promise<Entered>, is: () => boolean): Promise<void> {
  let ended: Entered | undefined;
  void running.then((done) => (ended = done));
  while (!is()) {
    if (ended !== undefined) throw new Error(`ended before with ${ended.status}:\n${ended.stdout}\n${ended.stderr}`);
    await sleep(20);
  }
}

test("a database that is there stays as it is, a service that does not come up is named, and put right both go on", async () => {
  const fresh = freshMachine();
  const sql = `runuser -u postgres -- psql -At -p ${PORTS.sql}`;
  const script = `coldkeep restore --machine --kit ${KIT} --confirm fresh-7 >/dev/null 2>&1
${sql} -q shop -c "update orders set customer = 'of today' where id = 1"
cp -p /etc/init.d/shop /root/shop.good; sed -i 's/^  start).*/  start) echo no licence >\\&2; exit 1 ;;/' /etc/init.d/shop; /etc/init.d/shop stop
code=0; coldkeep restore --machine --kit ${KIT} --only databases --confirm fresh-7 2>&1 || code=$?; echo "databases $code"
${sql} shop -c "select customer from orders where id = 1"
${sql} -q -c "alter database shop rename to shop_today"; redis-cli -p ${PORTS.redis} rename visits visits_today
code=0; coldkeep restore --machine --kit ${KIT} --resume 2>&1 || code=$?; echo "databases again $code"
redis-cli -p ${PORTS.redis} flushall
coldkeep restore --machine --kit ${KIT} --resume 2>&1
${sql} shop_today -c "select customer from orders where id = 1"; ${sql} shop -c "select customer from orders where id = 1"
code=0; coldkeep restore --machine --kit ${KIT} --only services,health --confirm fresh-7 2>&1 || code=$?; echo "services $code"
cp -p /root/shop.good /etc/init.d/shop
coldkeep restore --machine --kit ${KIT} --resume 2>&1 || { curl -s http://127.0.0.1:${PORTS.page}/; ps axf; runuser -u shop -- psql -h /var/run/postgresql -p ${PORTS.sql} -At shop -c "select count(*), sum(total) from orders"; exit 1; }`;
  const said = await fresh.must(script, enter);
  expect(said).toMatch(/step databases: the database shop is there and holds something[\s\S]*hint: [\s\S]*--resume\.\ndatabases 5\nof today\n/);
  expect(said).toMatch(/step databases: Redis cache is there and holds something[\s\S]*databases again 5\n/);
  expect(said).toMatch(/is rebuilt as shop1[\s\S]*of today\nKunde 1\n/);
  expect(said).toMatch(/step services: 1 of \d+ services did not start:\s+shop\.service: .* failed: [^\n]*no licence[\s\S]*services 1\n/);
  expect(said).toMatch(/services 1\n[\s\S]*is rebuilt as shop1/);
});

describe("what cannot work is refused before anything is changed", () => {
  test("a package that no source has any more: named, refused, and gone on without when that is accepted", async () => {
    const fresh = freshMachine();
    acme.stop();
    const refused = await fresh.run(`coldkeep restore --machine --kit ${KIT} --confirm fresh-7`, enter);
    expect([refused.status, refused.stderr]).toEqual([5, expect.stringMatching(/a package cannot be had: acme-agent[\s\S]*--accept packages/)]);
    expect(existsSync(join(fresh.path, "var/lib/coldkeep/rebuild"))).toBe(false);
    const accepted = await fresh.run(`coldkeep restore --machine --kit ${KIT} --confirm fresh-7 --accept package:acme-agent`, enter);
    expect([accepted.status, accepted.stderr]).toEqual([3, expect.stringContaining("package acme-agent 1.2-3 could not be had")]);
  });
});
