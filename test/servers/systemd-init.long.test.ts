/** The schedule where systemd really runs: a Debian that was booted, the single executable, and nothing else. */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BootedDebian, DebianRoot } from "../support/debian.ts";
import { buildSingleFile } from "../support/single-file.ts";

let debian: BootedDebian;

beforeAll(async () => {
  const root = DebianRoot.make("debian");
  await root.must("export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y -qq --no-install-recommends systemd systemd-sysv dbus libcap2-bin");
  copyFileSync(buildSingleFile(), join(root.path, "usr/local/bin/coldkeep"));
  debian = await BootedDebian.boot(root);
  await debian.must("mkdir -p /srv/data && echo alpha > /srv/data/a && coldkeep init --host web1 --region a=file:///srv/a --region b=file:///srv/b --source /srv/data --kit /root/kit.txt --yes && mv /root/kit.txt /srv/kit.txt && chmod 600 /srv/kit.txt");
}, 600_000);

afterAll(async () => debian.powerOff(), 60_000);

const SERVICE = "coldkeep-web1.service";

test("installs a timer that waits, runs the service under systemd, and says how the last run went", async () => {
  await debian.must("coldkeep schedule install");
  expect(await debian.must("systemctl is-enabled coldkeep-web1.timer")).toBe("enabled\n");
  expect(await debian.must("systemctl list-timers --no-pager")).toContain("coldkeep-web1.timer");
  await debian.must(`systemctl start ${SERVICE}`);
  expect(await debian.must("coldkeep schedule status")).toMatch(/backup +next 20.*; last 20.*, success \(exit status 0\)/);
  expect(await debian.must("coldkeep list --kit /srv/kit.txt")).toContain("complete");
  // A success has nothing to say.
  expect(await debian.must(`journalctl -u ${SERVICE} -o cat _COMM=coldkeep`)).not.toContain("error");
});

test("a run that fails is a failed unit, with the whole reason in the journal", async () => {
  await debian.must("mv /srv/a /srv/a.away; mv /srv/b /srv/b.away");
  expect((await debian.run(`systemctl start ${SERVICE}`)).status).toBe(1);
  expect((await debian.run(`systemctl is-failed ${SERVICE}`)).stdout).toBe("failed\n");
  expect(await debian.must(`journalctl -u ${SERVICE} -o cat`)).toContain("no region can be used");
  await debian.must(`mv /srv/a.away /srv/a; mv /srv/b.away /srv/b; systemctl start ${SERVICE}`);
  expect((await debian.run(`systemctl is-failed ${SERVICE}`)).stdout).toBe("inactive\n");
});

test("what the unit hides or forbids keeps nothing out of the archive: files only root may read, devices, capabilities", async () => {
  await debian.must("cd /srv/data; echo secret > shadow; chmod 000 shadow; mknod null c 1 3; cp /bin/true cap; setcap cap_net_raw+ep cap; echo x > /tmp/in-tmp; ln -s /tmp/in-tmp link; sleep 3");
  await debian.must(`systemctl start ${SERVICE}`);
  await debian.must("rm -rf /srv/out; coldkeep restore --kit /srv/kit.txt --to /srv/out");
  expect(await debian.must("cat /srv/out/srv/data/shadow; stat -c '%a %F' /srv/out/srv/data/shadow /srv/out/srv/data/null; getcap /srv/out/srv/data/cap")).toBe("secret\n0 regular file\n644 character special file\n/srv/out/srv/data/cap cap_net_raw=ep\n");
});

test("a timer that finds another run under way: exit 6, which is no failed unit", async () => {
  // So much more than before is flagged, and exit 4: that is the other run's, not the unit's.
  const said = await debian.must(`head -c 600M /dev/urandom > /srv/data/large; coldkeep backup >/dev/null 2>&1 & sleep 4
systemctl start ${SERVICE}; systemctl show -P ExecMainStatus ${SERVICE}; systemctl is-failed ${SERVICE} || true; wait $! || echo "the other ended with $?"`);
  expect(said).toBe("6\ninactive\nthe other ended with 4\n");
});

test("removal leaves nothing", async () => {
  await debian.must("coldkeep schedule remove");
  expect((await debian.run("systemctl list-timers --all --no-pager | grep -c coldkeep; ls /etc/systemd/system /etc/systemd/system/timers.target.wants | grep coldkeep")).stdout).toBe("0\n");
});
