/** A drill of databases: a base system made anew by debootstrap, PostgreSQL and Redis loaded and counted in quarantine. */
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { DebianRoot } from "../support/debian.ts";
import { buildSingleFile } from "../support/single-file.ts";
import { fileTempDir } from "../support/temp-dir.ts";
import { DrillMachine } from "./drill/drill-machine.ts";

const KIT = "/root/kit.txt";
const ROWS = 3000;
let machine: DrillMachine;

const FILL = `/etc/init.d/postgresql start >/dev/null; /etc/init.d/redis-server start >/dev/null; sleep 1
runuser -u postgres -- psql -q -c "create role shop login" -c "create database shop owner shop encoding 'UTF8' template template0"
runuser -u postgres -- psql -q shop -c "create table orders as select n id, 'Kunde ' || n customer from generate_series(1, ${ROWS}) n"
redis-cli set visits 4711 >/dev/null; redis-cli save >/dev/null`;

beforeAll(async () => {
  const program = process.env["COLDKEEP_TEST_PROGRAM"] ?? buildSingleFile();
  const old = DebianRoot.make("old");
  copyFileSync(program, join(old.path, "usr/bin/coldkeep"));
  await old.must("export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql redis-server >/dev/null");
  await old.must(
    `sed -i 's/^#\\?port = .*/port = 55442/' /etc/postgresql/15/main/postgresql.conf; sed -i 's/^port .*/port 56389/' /etc/redis/redis.conf
     export PGPORT=55442 REDISCLI_PORT=56389; ${FILL.replaceAll("redis-cli", "redis-cli -p 56389")}
     coldkeep init --host db1 --region a=file:///mnt/a --region b=file:///mnt/b --source /etc --source /srv --kit ${KIT} --yes
     printf 'databases:\\n  - {type: postgresql, name: main, port: 55442}\\n  - {type: redis, name: cache, port: 56389}\\n' >> /etc/coldkeep/coldkeep.yaml
     mv ${KIT} /mnt/kit.txt; coldkeep backup -v`,
    { hostName: "db1" },
  );
  machine = DrillMachine.make(fileTempDir(), old);
}, 600_000);

test("dumps are loaded, their rows counted, no service of the application starts, and the base system is kept for the next", async () => {
  const { status, stderr, document } = await machine.drill(["--depth", "databases"]);
  expect(document.error?.message ?? document.why.join("\n"), stderr).toBe("");
  expect(document).toMatchObject({ host: "db1", depth: "databases", result: "passed", cleanUp: { processesLeft: 0, mountsLeft: 0, folderLeft: false } });
  expect(document.machine?.rebuild.steps.map(({ step }) => step)).toEqual(["users", "packages", "files", "databases"]);
  expect(status).toBe(0);
  expect(existsSync(join(machine.state, "base-systems/debian-bookworm-amd64.tar.zst"))).toBe(true);
}, 900_000);
