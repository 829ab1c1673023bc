/** A drill of a whole machine: a small web server, archived, rebuilt in quarantine from packages that were fetched before, and removed again. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { DebianRoot } from "../support/debian.ts";
import { PacketCapture } from "../support/packet-capture.ts";
import { runColdkeep } from "../support/program.ts";
import { buildSingleFile } from "../support/single-file.ts";
import { afterUse, fileTempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";
import { DrillMachine } from "./drill/drill-machine.ts";

const KIT = "/root/kit.txt";
const PAGE_PORT = 18_743;
let work: string;
let machine: DrillMachine;
let outside: { host: string; port: number };

/** In every packet that must not get out, and in one of our own that shows that the capture sees such packets. */
const SECRET = "canary-of-the-archive";
const CONTROL = "canary-of-the-test";

/** What a restored server may try by itself: mail to people, another machine, a name. */
const leak = ({ host, port }: typeof outside): string => `#!/bin/bash
echo ${SECRET} | /usr/sbin/sendmail somebody@example.net
echo ${SECRET} > /dev/udp/${host}/${port}
getent hosts ${SECRET}.example.net
! timeout 2 bash -c 'echo ${SECRET} > /dev/tcp/${host}/${port}' 2>/dev/null
`;

beforeAll(async () => {
  const host = Object.values(networkInterfaces()).flatMap((each) => each ?? []).find(({ internal, family }) => !internal && family === "IPv4")?.address ?? "127.0.0.1";
  const server = createServer((socket) => {
    socket.destroy();
  });
  await new Promise<void>((resolve) => void server.listen(0, host, resolve));
  afterUse(() => void server.close());
  const address = server.address();
  outside = { host, port: typeof address === "object" ? (address?.port ?? 0) : 0 };
  // It works: what shall not be reached from inside can be reached from here.
  execFileSync("bash", ["-c", `echo x > /dev/tcp/${host}/${outside.port}`]);
  const program = process.env["COLDKEEP_TEST_PROGRAM"] ?? buildSingleFile();
  work = fileTempDir();
  const old = DebianRoot.make("old");
  // What an earlier drill would have kept.
  mkdirSync(join(work, "state/base-systems"), { recursive: true });
  execFileSync("bash", ["-c", `tar -C '${old.path}' --numeric-owner -cf - . | zstd -q -1 -o '${join(work, "state/base-systems/debian-bookworm-amd64.tar.zst")}'`]);
  copyFileSync(program, join(old.path, "usr/bin/coldkeep"));
  await old.must("apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light cron >/dev/null", { env: { DEBIAN_FRONTEND: "noninteractive" } });
  makeTree(old.path, {
    "etc/nginx/sites-available/default": `server { listen 127.0.0.1:${PAGE_PORT}; root /srv/www; }\n`,
    "srv/www/index.html": "the page\n",
    "etc/cron.d/app": "* * * * * root touch /srv/cron-ran\n",
    "usr/local/bin/leak": leak(outside),
  });
  await old.must(
    `chmod 755 /usr/local/bin/leak; useradd -m alice
     coldkeep init --host web1 --region a=file:///mnt/a --region b=file:///mnt/b --source /etc --source /srv --source /usr/local --kit ${KIT} --yes
     cat >> /etc/coldkeep/coldkeep.yaml <<'END'
objectives: {rto: 2h}
health:
  - {name: page, within: 30s, http: {url: "http://127.0.0.1:${PAGE_PORT}/", text: the page}}
  - {name: nginx, within: 30s, unit: nginx}
  - {name: leak, within: 1s, command: {run: [/usr/local/bin/leak]}}
  - {name: load, within: 30s, load: {url: "http://127.0.0.1:${PAGE_PORT}/", rate: 20, duration: 2s, p95: 1s}}
END
     mv ${KIT} /mnt/kit.txt; coldkeep backup -v`,
    { hostName: "web1" },
  );
  machine = DrillMachine.make(work, old);
}, 600_000);

test("services run, checks are well, a packet capture outside sees nothing of it, and nothing stays", async () => {
  const capture = await PacketCapture.start();
  const { status, stderr, document } = await machine.drill(["--depth", "services"]);
  execFileSync("bash", ["-c", `echo ${CONTROL} > /dev/udp/${outside.host}/${outside.port}; echo ${CONTROL} > /dev/tcp/${outside.host}/${outside.port}`]);
  const packets = await capture.stop();
  expect(document.error?.message ?? document.why.join("\n"), stderr).toBe("");
  expect(document).toMatchObject({ host: "web1", depth: "services", result: "passed", cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false } });
  expect(document.machine?.interfaces).toEqual(["lo"]);
  expect(document.machine?.mails).toBeGreaterThanOrEqual(1);
  expect(document.machine?.rebuild.steps.map(({ step }) => step)).toEqual(["users", "packages", "files", "databases", "services", "health"]);
  expect(document.rtoMs).toBeGreaterThan(1000);
  expect(document.rtoObjectiveMs).toBe(7_200_000);
  expect([0, 3]).toContain(status);
  expect(packets.includes(CONTROL)).toBe(true);
  expect(packets.includes(SECRET)).toBe(false);
  // The load check asked for the page some forty times, inside.
  expect(packets.includes(`127.0.0.1:${PAGE_PORT}`)).toBe(false);
  expect(readdirSync(join(work, "state/drill"))).toEqual([]);
  const record = readdirSync(join(work, "b/hosts/web1/records"));
  expect(record).toHaveLength(1);
  const said = await runColdkeep(["status", "--kit", machine.kit]);
  expect(said.stdout).toMatch(/drilled +services passed .* ago; took /);
}, 500_000);

test("with a damaged copy it fails, which is what --sabotage is for", async () => {
  const { status, document } = await machine.drill(["--depth", "services", "--sabotage"]);
  expect(document).toMatchObject({ result: "failed", sabotaged: true, record: null, cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false } });
  expect(document.why.join("\n")).toMatch(/the rebuild ended with|lost/);
  expect(status).toBe(0);
}, 500_000);
