/** Dumps of a real MariaDB and a real Redis in archives, and loaded into fresh servers. */
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawn, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import type { DatabaseConfig } from "../../src/config/data-schema.ts";
import { type DataFact, readDataFacts } from "../../src/format/data-facts.ts";
import { loadDatabase } from "../../src/machine/databases/load.ts";
import { beginLog, countRedis, redisLog } from "../../src/machine/databases/load-redis.ts";
import { planDatabase } from "../../src/machine/databases/plan.ts";
import { setUpHost } from "../support/host.ts";
import { MariaServer } from "../support/mariadb.ts";
import { RedisServer } from "../support/redis.ts";
import { restore } from "../support/restore.ts";
import { tempDir } from "../support/program.ts";

const COMMON = { name: "main", onError: "partial", timeoutMs: 60_000, keepFiles: false, host: null, port: null, passwordFile: null, runAs: null, databases: null } as const;
const ODD = "o`dd é";

async function dumpInto(dir: string, config: DatabaseConfig): Promise<DataFact> {
  const signal = AbortSignal.timeout(60_000);
  const source = await planDatabase(config, join(dir, "spool"), signal);
  const dumps = [];
  for (const dump of source.dumps) {
    const path = join(dir, dump.path);
    mkdirSync(join(path, ".."), { recursive: true });
    const parts: Buffer[] = [];
    const facts = await dump.write(async (bytes) => void parts.push(Buffer.from(bytes)), signal);
    writeFileSync(path, Buffer.concat(parts));
    dumps.push({ ...facts, path: dump.path, what: dump.what, name: dump.name, bytes: statSync(path).size });
  }
  const [fact] = readDataFacts([{ ...source.fact, dumps }]);
  if (fact === undefined) throw new Error("facts that cannot be read");
  return fact;
}

test("MariaDB: archived, its directory left out, and equal in a fresh server, accounts too", async () => {
  const server = await MariaServer.start();
  server.sql(`CREATE DATABASE \`o\`\`dd é\` CHARACTER SET utf8mb4; USE \`o\`\`dd é\`;
CREATE TABLE \`t\`\`1\` (id int primary key, s text, b blob); INSERT INTO \`t\`\`1\` VALUES (1, 'a('';
(2', x'00ff'), (2, 'b\\\\', NULL), (3, NULL, NULL);
CREATE TABLE big (id int primary key, s varchar(100)); INSERT INTO big SELECT seq, md5(seq) FROM seq_1_to_50000;
CREATE VIEW v AS SELECT id FROM big;
DELIMITER ;;
CREATE PROCEDURE p() BEGIN
INSERT INTO \`t\`\`1\` VALUES (9, '', NULL);
END;;
CREATE TRIGGER tr AFTER INSERT ON big FOR EACH ROW BEGIN
INSERT INTO \`t\`\`1\` VALUES (NEW.id, '', NULL);
END;;
DELIMITER ;
CREATE DATABASE nothing;
CREATE USER bob@localhost IDENTIFIED BY 'pw'; GRANT SELECT ON \`o\`\`dd é\`.* TO bob@localhost;`);
  const host = await setUpHost({ config: server.config() });
  host.editConfig((text) => text.replace(/^sources:$/m, `sources:\n  - path: ${server.dir}`));
  const first = await host.backup();
  expect(first).toMatchObject({ status: 0, stderr: "" });
  expect((await host.backup()).document.bytesStored).toBeLessThan(first.document.bytesStored / 5);
  const { out } = await restore(host);
  expect(existsSync(join(out, server.data))).toBe(false);
  expect(readFileSync(join(out, ".coldkeep/databases/mysql-main/db-nothing.sql"), "utf8")).toContain("-- Dump completed");
  const dir = tempDir();
  const fact = await dumpInto(dir, { ...COMMON, type: "mysql", socket: server.socket, user: "root" });
  expect(fact.dumps.find(({ name }) => name === ODD)?.rows).toEqual({ [`${ODD}.t\`1`]: 3, [`${ODD}.big`]: 50_000 });
  const fresh = await MariaServer.start();
  const target = { socket: fresh.socket, host: null, port: null, user: "root", passwordFile: null, runAs: null };
  const order = { fact, root: dir, target, replace: false, timeoutMs: 60_000, into: "/", signal: AbortSignal.timeout(120_000) };
  expect(await loadDatabase(order)).toEqual({ loaded: ["nothing", ODD], differences: [], remarks: [] });
  const sums = `CHECKSUM TABLE \`o\`\`dd é\`.big, \`o\`\`dd é\`.\`t\`\`1\`; SHOW GRANTS FOR bob@localhost; SHOW CREATE PROCEDURE \`o\`\`dd é\`.p;`;
  expect(fresh.sql(sums)).toBe(server.sql(sums));
  expect(spawnSync("mariadb", ["--no-defaults", `--socket=${fresh.socket}`, "--user=bob", "-ppw", "-e", "SELECT 1"]).status).toBe(0);
  await expect(loadDatabase(order)).rejects.toMatchObject({ code: "E_REFUSED" });
  expect((await loadDatabase({ ...order, replace: true })).differences).toEqual([]);
  server.stop();
  expect((await host.backup()).document.problems[0]?.message).toMatch(/mysql main: .*(Can't connect|connect)/);
  fresh.stop();
}, 200_000);

test("Redis: streamed while keys come in, checked to its end, counted, and read by a fresh server", async () => {
  const server = await RedisServer.start();
  server.run(`set a 1\nrpush l 1 2 3\nsadd s a b 1\nzadd z 1 a 2.5 b\nhset h a 1 b 2\nxadd st * a 1\nxgroup create st g 0\nxreadgroup group g c streams st >\npfadd hl 1\nset e 1 ex 1000\nselect 3\nset x 1\neval "for i=1,20000 do redis.call('set','key:'..i,i) end" 0\nset big ${"y".repeat(100_000)}`);
  const host = await setUpHost({ config: `databases:\n  - {type: redis, socket: ${server.socket}}` });
  host.editConfig((text) => text.replace(/^sources:$/m, `sources:\n  - path: ${server.dir}`));
  writeFileSync(join(server.dir, "dump.rdb"), "old");
  writeFileSync(join(server.dir, "notes"), "kept");
  expect(await host.backup()).toMatchObject({ status: 0, stderr: "" });
  const { out } = await restore(host);
  expect(existsSync(join(out, server.dir, "dump.rdb"))).toBe(false);
  expect(spawnSync("redis-check-rdb", [join(out, ".coldkeep/databases/redis-main/dump.rdb")]).status).toBe(0);
  const writer = spawn("redis-benchmark", ["-s", server.socket, "-t", "set", "-r", "100000", "-n", "100000000", "-q"], { stdio: "ignore" });
  const dir = tempDir();
  const fact = await dumpInto(dir, { ...COMMON, type: "redis", socket: server.socket, user: null });
  writer.kill("SIGKILL");
  expect(fact.dumps[0]?.rows["db3"]).toBe(20_002);
  const fresh = await RedisServer.start();
  const target = { socket: fresh.socket, host: null, port: null, user: null, passwordFile: null, runAs: null };
  fresh.stop();
  const there = { ...fact, dataDirectory: fresh.dir };
  const order = { fact: there, root: dir, target, replace: false, timeoutMs: 60_000, into: "/", signal: AbortSignal.timeout(60_000) };
  expect((await loadDatabase(order)).loaded).toEqual(["dump.rdb"]);
  await expect(loadDatabase(order)).rejects.toMatchObject({ code: "E_REFUSED" });
  await fresh.resume();
  expect(await countRedis(there, target, AbortSignal.timeout(10_000))).toEqual([]);
  fresh.run("select 3\ndel x");
  expect(await countRedis(there, target, AbortSignal.timeout(10_000))).toEqual([{ database: "dump.rdb", table: "db3", wanted: 20_002, found: 20_001 }]);
  // One that keeps a log of writes reads that at its start, and not the file.
  const logging = await RedisServer.start("--appendonly", "yes");
  const itsLog = await redisLog({ ...target, socket: logging.socket }, AbortSignal.timeout(10_000));
  expect([itsLog, await redisLog(target, AbortSignal.timeout(10_000))]).toEqual([{ file: "appendonly.aof", folder: "appendonlydir" }, null]);
  logging.stop();
  const logged = { ...order, fact: { ...fact, dataDirectory: logging.dir } };
  await loadDatabase(logged);
  beginLog(logged, itsLog ?? { file: "", folder: "" });
  for (let starts = 0; starts < 2; starts++) {
    await logging.resume();
    expect(await countRedis(logged.fact, { ...target, socket: logging.socket }, AbortSignal.timeout(10_000))).toEqual([]);
    logging.stop();
  }
  server.run("config set requirepass right-one");
  const password = join(host.dir, "redis-password");
  writeFileSync(password, "wrong-one\n", { mode: 0o600 });
  host.editConfig((text) => text.replace("type: redis,", `type: redis, passwordFile: ${password},`));
  const wrong = await host.backup();
  expect(wrong.status).toBe(3);
  expect(wrong.document.problems[0]?.message).toMatch(/redis main: .*(WRONGPASS|NOAUTH)/);
  writeFileSync(password, "right-one\n");
  expect((await host.backup()).document).toMatchObject({ status: "complete", problems: [] });
  chmodSync(password, 0o644);
  expect((await host.backup()).status).toBe(3);
}, 120_000);
