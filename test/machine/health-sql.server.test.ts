/** Health checks of SQL against a real PostgreSQL and a real MariaDB, each in a folder of its own. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chownSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { HealthCheck, SqlCheck } from "../../src/config/health-schema.ts";
import { type HealthResult, runHealthChecks } from "../../src/machine/health/run.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";

const never = new AbortController().signal;
const SECRET = "a b'c";

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A folder that belongs to the user who runs the server: neither runs as root. */
function serverFolder(user: string): { folder: string; uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync("id", [flag, user], { encoding: "utf8" }));
  const [uid, gid] = [id("-u"), id("-g")];
  return { folder: tempDir(uid), uid, gid };
}

function start(argv: [string, ...string[]], uid: number, gid: number): void {
  const [program, ...args] = argv;
  const child = spawn(program, args, { uid, gid, stdio: "ignore", cwd: "/" });
  afterUse(() => void child.kill("SIGKILL"));
}

async function ask(check: SqlCheck, { timeoutMs = 10_000, withinMs = 0 } = {}): Promise<HealthResult> {
  const checks: HealthCheck[] = [{ name: "sql", timeoutMs, withinMs, ...check }];
  const [result] = await runHealthChecks(checks, { signal: never, again: withinMs > 0 });
  if (result === undefined) throw new Error("no result");
  return result;
}

function passwordFile(password: string): string {
  const path = join(tempDir(), "password");
  writeFileSync(path, `${password}\n`, { mode: 0o600 });
  return path;
}

test("are run by root, who alone may become another user", () => {
  expect(userInfo().uid).toBe(0);
});

test("PostgreSQL: over its socket as its user, over TCP with a password, and what it says when it fails", async () => {
  const bin = globSync("/usr/lib/postgresql/*/bin").toSorted().at(-1) ?? "";
  const { folder, uid, gid } = serverFolder("postgres");
  const data = join(folder, "data");
  const password = passwordFile(SECRET);
  const initial = join(folder, "initial");
  writeFileSync(initial, SECRET, { mode: 0o600 });
  chownSync(initial, uid, gid);
  execFileSync(join(bin, "initdb"), ["-D", data, "--auth-local=peer", "--auth-host=scram-sha-256", `--pwfile=${initial}`, "-N", "-E", "UTF8", "--locale=C.UTF-8"], { uid, gid, cwd: "/", stdio: "pipe" });
  const port = await freePort();
  start([join(bin, "postgres"), "-D", data, "-p", String(port), "-k", folder, "-h", "127.0.0.1", "-F"], uid, gid);
  const base: SqlCheck = { kind: "sql", engine: "postgresql", database: "postgres", statement: "select 1 = 1", expect: null, runAs: "postgres", host: folder, port, user: null, passwordFile: null };
  // Also waits for the server: it is tried again until it is up.
  expect(await ask(base, { withinMs: 30_000 })).toMatchObject({ ok: true, measured: { value: "t" } });
  expect(await ask({ ...base, statement: "select count(*) from pg_roles where rolsuper", expect: "1" })).toMatchObject({ ok: true });
  expect(await ask({ ...base, statement: "select 1 = 2" })).toMatchObject({ ok: false, why: 'the statement printed "f", not true' });
  expect(await ask({ ...base, statement: "select * from orders" })).toMatchObject({ ok: false, why: expect.stringContaining('relation "orders" does not exist') as string });
  expect(await ask({ ...base, database: "shop" })).toMatchObject({ ok: false, why: expect.stringContaining('database "shop" does not exist') as string });
  expect(await ask({ ...base, statement: "select pg_sleep(30)" }, { timeoutMs: 700 })).toMatchObject({ ok: false, why: "no answer within 700ms" });
  const remote: SqlCheck = { ...base, runAs: null, host: "127.0.0.1", user: "postgres", passwordFile: password };
  expect(await ask(remote)).toMatchObject({ ok: true });
  expect(await ask({ ...remote, passwordFile: passwordFile("wrong") })).toMatchObject({ ok: false, why: expect.stringContaining("password authentication failed") as string });
  // Nobody is there to type one.
  expect(await ask({ ...remote, passwordFile: null })).toMatchObject({ ok: false, why: expect.stringContaining("no password supplied") as string });
});

describe("MariaDB", () => {
  test("over its socket with a password, and what it says when it fails", async () => {
    const { folder, uid, gid } = serverFolder("mysql");
    const data = join(folder, "data");
    mkdirSync(data);
    chownSync(data, uid, gid);
    execFileSync("mariadb-install-db", ["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal", "--skip-test-db"], { uid, gid, cwd: "/", stdio: "pipe" });
    const socket = join(folder, "s");
    const port = await freePort();
    start(["mariadbd", "--no-defaults", `--datadir=${data}`, `--socket=${socket}`, `--port=${port}`, "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"], uid, gid);
    const base: SqlCheck = { kind: "sql", engine: "mysql", database: "mysql", statement: "select 1 = 1", expect: null, runAs: null, host: "127.0.0.1", port, user: "root", passwordFile: null };
    expect(await ask(base, { withinMs: 30_000 })).toMatchObject({ ok: true, measured: { value: "1" } });
    const changed = spawnSync("mariadb", ["--no-defaults", `--socket=${socket}`, "-u", "root", "-e", `create user app@'127.0.0.1' identified by "${SECRET}"; create database shop; grant all on shop.* to app@'127.0.0.1'; create table shop.orders(id int); insert into shop.orders values (1), (2)`], { encoding: "utf8" });
    expect(changed.stderr).toBe("");
    const shop: SqlCheck = { ...base, database: "shop", user: "app", passwordFile: passwordFile(SECRET), statement: "select count(*) from orders", expect: "2" };
    expect(await ask(shop)).toMatchObject({ ok: true, measured: { value: "2" } });
    expect(await ask({ ...shop, statement: "select * from customers" })).toMatchObject({ ok: false, why: expect.stringContaining("doesn't exist") as string });
    expect(await ask({ ...shop, passwordFile: passwordFile("wrong") })).toMatchObject({ ok: false, why: expect.stringContaining("Access denied") as string });
  });
});
