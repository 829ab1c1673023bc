/** Dumps of a real PostgreSQL in archives: what they hold, what they cost, what becomes of one that breaks, and of a fresh server they are loaded into. */
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { readDataFacts, type DataFact } from "../../src/format/data-facts.ts";
import { loadDatabase, waitForServer } from "../../src/machine/databases/load.ts";
import { planDatabase } from "../../src/machine/databases/plan.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { setUpHost, type TestHost } from "../support/host.ts";
import { PostgresServer, runAs } from "../support/postgres.ts";
import { restore } from "../support/restore.ts";
import { tempDir } from "../support/program.ts";

const ODD = `Größe "x" 'y' \\z=1`;
const ROWS = 100_000;
const FOLDER = ".coldkeep/databases/postgresql-main";

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
  server.sql(`CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE DATABASE shop OWNER shop; CREATE DATABASE "${ODD.replaceAll('"', '""')}"; CREATE DATABASE empty ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;`);
  server.sql(`CREATE EXTENSION pg_trgm; CREATE SCHEMA s; CREATE TABLE s.item (id int PRIMARY KEY, name text); INSERT INTO s.item SELECT n, md5(n::text) || md5((n * 7)::text) || md5((n * 3)::text) FROM generate_series(1, ${ROWS}) n; CREATE TABLE "odd.name" (t text); INSERT INTO "odd.name" VALUES (E'a\\nb\\\\c'); SELECT lo_from_bytea(4711, '\\x00ff10'); ALTER DATABASE shop SET search_path = s, public; GRANT SELECT ON s.item TO shop;`, "shop");
  server.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);", ODD);
  server.sql("CREATE TABLE latin (t text); INSERT INTO latin VALUES ('caf\u00e9'); DELETE FROM latin;", "empty");
});

/** What the dumps of a server say of themselves, taken without an archive. */
async function dumpInto(dir: string, from: PostgresServer): Promise<DataFact> {
  const { databases: [config] } = parseConfig(`vault: "${"a".repeat(32)}"\nhost: h\nregions: [{name: a, url: "file:///nowhere"}]\nrecipients: [${RECIPIENT}]\nsources: [/nowhere]\nstate: /nowhere\n${from.config()}\n`, "test");
  if (config === undefined) throw new Error("no database");
  const signal = AbortSignal.timeout(60_000);
  const source = await planDatabase(config, dir, signal);
  const dumps = [];
  for (const dump of source.dumps) {
    const path = join(dir, dump.path);
    spawnSync("mkdir", ["-p", join(path, "..")]);
    const parts: Buffer[] = [];
    const facts = await dump.write(async (bytes) => void parts.push(Buffer.from(bytes)), signal);
    writeFileSync(path, Buffer.concat(parts));
    dumps.push({ ...facts, path: dump.path, what: dump.what, name: dump.name, bytes: statSync(path).size });
  }
  const [fact] = readDataFacts([{ ...source.fact, dumps }]);
  if (fact === undefined) throw new Error("facts that cannot be read");
  return fact;
}

const RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

function checksum(of: PostgresServer): string {
  return of.sql("SELECT md5(string_agg(id || name, ',' ORDER BY id)) FROM s.item;", "shop");
}

/** Puts a program of that name before the real one. */
function wrap(name: string, script: string): Record<string, string> {
  const dir = tempDir();
  chmodSync(dir, 0o755);
  writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { PATH: `${dir}:${process.env["PATH"] ?? ""}` };
}

describe("dumps of PostgreSQL", () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await setUpHost({ config: server.config() });
  });

  test("every database comes back as SQL, its files are left out, and an unchanged night stores next to nothing", async () => {
    host.editConfig((text) => text.replace(/^sources:$/m, `sources:\n  - path: ${server.dir}`));
    const first = await host.backup();
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(new Set(first.document.dumps.map(({ name }) => name))).toEqual(new Set(["globals", "empty", ODD, "postgres", "shop"]));
    const run = await restore(host);
    expect(run.status).toBe(0);
    const shop = join(run.out, FOLDER, "db-shop.sql");
    const text = readFileSync(shop, "utf8");
    expect(text).toContain("CREATE DATABASE shop");
    expect(text).toContain("database dump complete");
    expect(text.match(/^\d+\t[0-9a-f]{96}$/gm)).toHaveLength(ROWS);
    expect(statSync(shop).mode & 0o7777).toBe(0o600);
    expect(readFileSync(join(run.out, FOLDER, "globals.sql"), "utf8")).toContain("SCRAM-SHA-256");
    // Its settings lie among its files, and are no data.
    expect(existsSync(join(run.out, server.data, "base"))).toBe(false);
    expect(existsSync(join(run.out, server.data, "postgresql.conf"))).toBe(true);
    const second = await host.backup();
    expect(second.status).toBe(0);
    expect(second.document.bytesStored).toBeLessThan(first.document.bytesStored / 20);
  });

  test("recover.sh rebuilds a dump from a region alone", async () => {
    const out = join(tempDir(), "out");
    const done = spawnSync("sh", [join(host.region("a"), "recover.sh"), host.movedKit, out], { encoding: "utf8", cwd: host.region("a") });
    if (done.status !== 0) console.error(done.stderr);
    expect(done.status).toBe(0);
    expect(readFileSync(join(out, FOLDER, "db-shop.sql"), "utf8")).toContain("database dump complete");
  });

  test("while somebody writes, the counts are those of the dump itself", async () => {
    server.sql("CREATE TABLE s.busy (n int);", "shop");
    const writer = spawn("setpriv", ["--reuid=postgres", "--clear-groups", "psql", "-q", "-h", server.dir, "-p", String(server.port), "shop"], { cwd: "/", stdio: ["pipe", "ignore", "ignore"] });
    writer.stdin.write("INSERT INTO s.busy SELECT generate_series(1, 7) \\watch 0.01\n");
    await sleep(500);
    const dir = tempDir();
    const fact = await dumpInto(dir, server);
    writer.kill("SIGKILL");
    const dump = fact.dumps.find(({ name }) => name === "shop");
    const text = readFileSync(join(dir, FOLDER, "db-shop.sql"), "utf8");
    const rows = /^COPY s\.busy .*\n([\s\S]*?)^\\\.$/m.exec(text)?.[1]?.split("\n").length ?? 0;
    expect(dump?.rows["s.busy"]).toBe(rows - 1);
    expect(rows).toBeGreaterThan(7);
    expect(dump).toMatchObject({ owner: "shop", encoding: "UTF8", extensions: ["pg_trgm"], rows: { "s.item": ROWS, "public.odd.name": 1, "pg_catalog.pg_largeobject_metadata": 1 } });
    server.sql("DROP TABLE s.busy;", "shop");
  });

  test("a fresh server with what was dumped is equal, and what is there is not overwritten", async () => {
    const dir = tempDir();
    const fact = await dumpInto(dir, server);
    const fresh = await PostgresServer.start();
    const target = { socket: fresh.dir, host: null, port: fresh.port, user: null, passwordFile: null, runAs: null };
    const signal = AbortSignal.timeout(120_000);
    await waitForServer("postgresql", target, 10_000, signal);
    const order = { fact, root: dir, target, replace: false, timeoutMs: 60_000, into: "/", signal };
    expect(await loadDatabase(order)).toEqual({ loaded: fact.dumps.filter(({ what }) => what === "database").map(({ name }) => name), differences: [], remarks: [] });
    expect(checksum(fresh)).toBe(checksum(server));
    const catalog = "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datacl FROM pg_database ORDER BY 1";
    expect(fresh.sql(catalog)).toBe(server.sql(catalog));
    expect(fresh.sql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")).toBe(server.sql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1"));
    expect(fresh.sql("SHOW search_path; SELECT lo_get(4711)", "shop")).toBe("s, public\n\\x00ff10");
    await expect(loadDatabase(order)).rejects.toMatchObject({ code: "E_REFUSED" });
    fresh.sql("DELETE FROM s.item WHERE id < 10", "shop");
    expect((await loadDatabase({ ...order, replace: true })).differences).toEqual([]);
    expect(checksum(fresh)).toBe(checksum(server));
    const missing = { ...fact, dumps: fact.dumps.map((dump) => ({ ...dump, extensions: ["no_such_extension"] })) };
    await expect(loadDatabase({ ...order, fact: missing, replace: true })).rejects.toThrow(/no_such_extension/);
    const wrong = { ...fact, dumps: fact.dumps.map((dump) => (dump.name === ODD ? { ...dump, rows: { "public.t": 3 } } : dump)) };
    expect((await loadDatabase({ ...order, fact: wrong, replace: true })).differences).toEqual([{ database: ODD, table: "public.t", wanted: 3, found: 2 }]);
    fresh.stop();
  }, 300_000);
});

describe("dumps that break", () => {
  test.each([
    ["a tool that is killed half-way", `case "$*" in *dbname=\\'shop*) /usr/bin/pg_dump "$@" | head -c 3000000; kill -9 $$;; *) exec /usr/bin/pg_dump "$@";; esac`],
    ["a tool that ends early and says nothing", `case "$*" in *dbname=\\'shop*) /usr/bin/pg_dump "$@" | head -c 3000000; exit 0;; *) exec /usr/bin/pg_dump "$@";; esac`],
  ])("%s makes the archive partial, and leaves no half of a dump", async (_what, script) => {
    const host = await setUpHost({ config: server.config(), env: wrap("pg_dump", script) });
    const { status, document } = await host.backup();
    expect({ status, made: document.status }).toEqual({ status: 3, made: "partial" });
    expect(document.problems).toEqual([expect.objectContaining({ path: `/${FOLDER}/db-shop.sql` })]);
    expect(document.dumps.map(({ name }) => name)).not.toContain("shop");
    const { out } = await restore(host, ["/.coldkeep"]);
    expect(readdirSync(join(out, FOLDER))).not.toContain("db-shop.sql");
    expect(readdirSync(join(out, FOLDER))).toContain("globals.sql");
  });

  test("a server that is down makes the archive partial, or the run fail; its files are archived then", async () => {
    const down = await PostgresServer.start();
    down.stop();
    const host = await setUpHost({ config: down.config() });
    const partial = await host.backup();
    expect(partial.status).toBe(3);
    expect(partial.document.problems[0]?.message).toMatch(/postgresql main: .*(No such file|refused)/);
    host.editConfig((text) => `${text}\n    onError: fail\n`.replace(/\n\n( +onError)/, "\n$1"));
    const failed = await host.backup();
    expect(failed).toMatchObject({ status: 1, document: { error: { code: "E_DISK" } } });
    const doctor = await host.run(["doctor", "--config", host.config]);
    expect(doctor.stdout + doctor.stderr).toMatch(/database postgresql main/);
  });

  test("a wrong password is named, and stands in no message", async () => {
    const guarded = await PostgresServer.start(["--locale=C.UTF-8", "-A", "scram-sha-256", "--pwfile=/dev/stdin"].slice(0, 1));
    guarded.sql("ALTER ROLE postgres PASSWORD 'right-one';");
    runAs("postgres", ["sh", "-c", `echo 'host all all 127.0.0.1/32 scram-sha-256' > ${guarded.data}/pg_hba.conf && kill -HUP $(head -1 ${guarded.data}/postmaster.pid)`]);
    const host = await setUpHost();
    const file = join(host.dir, "password");
    host.editConfig((text) => `${text}\ndatabases:\n  - {type: postgresql, host: 127.0.0.1, port: ${guarded.port}, user: postgres, passwordFile: ${file}}\n`);
    writeFileSync(file, "wrong-one\n", { mode: 0o600 });
    const wrong = await host.backup();
    expect(wrong.status).toBe(3);
    expect(wrong.document.problems[0]?.message).toMatch(/password authentication failed/);
    expect(JSON.stringify(wrong.document) + wrong.stderr).not.toContain("wrong-one");
    writeFileSync(file, "right-one\n");
    expect((await host.backup()).status).toBe(0);
    chmodSync(file, 0o644);
    expect((await host.backup()).document.problems[0]?.message).toMatch(/can be reached by other users/);
  });
});
