/** Installing by the real systemctl, as in an image that is being built: systemd is there and does not run. Needs root. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { setUpHost } from "../support/host.ts";
import { tempDir } from "../support/program.ts";

test("the timer is enabled where systemctl wants it, and removing it leaves nothing", async () => {
  const host = await setUpHost();
  const dir = tempDir();
  spawnSync("cp", ["-a", "/etc", dir]);
  mkdirSync(join(dir, "etc/systemd/system"), { recursive: true });
  const wrapper = ["unshare", "-m", "sh", "-c", `mount -t tmpfs none /run && mount --bind '${dir}/etc' /etc && exec "$@"`, "sh"];
  const schedule = (...args: string[]): ReturnType<typeof host.run> => host.run(["schedule", ...args, "--config", host.config], { wrapper });
  const run = await schedule("install", "--systemd");
  expect(run.status).toBe(0);
  expect(run.stderr).toContain("warning: systemd is not the running init: the timers are enabled and start with the machine\n");
  const link = join(dir, "etc/systemd/system/timers.target.wants/coldkeep-web1.timer");
  expect(readlinkSync(link)).toBe("/etc/systemd/system/coldkeep-web1.timer");
  expect((await schedule("status", "--json")).json()).toMatchObject({ installed: true, flavour: "systemd", jobs: [{ job: "backup", active: false }] });
  expect((await schedule("remove")).status).toBe(0);
  for (const path of ["timers.target.wants/coldkeep-web1.timer", "coldkeep-web1.timer", "coldkeep-web1.service"]) expect(existsSync(join(dir, "etc/systemd/system", path))).toBe(false);
});
