/** Health checks against real servers, programs and files of the test's own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { HealthCheck, HttpTarget } from "../../src/config/health-schema.ts";
import { type HealthResult, runHealthChecks } from "../../src/machine/health/run.ts";
import { afterUse, tempDir } from "../support/temp-dir.ts";

const never = new AbortController().signal;

async function listening(server: Server, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => void server.listen(0, host, resolve));
  afterUse(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function site(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  afterUse(() => server.closeAllConnections());
  return `http://127.0.0.1:${await listening(server)}/`;
}

function target(url: string, more: Partial<HttpTarget> = {}): HttpTarget {
  return { url, connect: null, headersFile: null, caFile: null, ...more };
}

type Limits = { timeoutMs?: number; withinMs?: number; again?: boolean };
type Kind<K> = Extract<HealthCheck, { kind: K }>;
type Bare = { [K in HealthCheck["kind"]]: Omit<Kind<K>, "name" | "timeoutMs" | "withinMs"> }[HealthCheck["kind"]];

async function check(bare: Bare, { timeoutMs = 5000, withinMs = 0, again = false }: Limits = {}): Promise<HealthResult> {
  const [result] = await runHealthChecks([{ name: "it", timeoutMs, withinMs, ...bare }], { signal: never, again });
  if (result === undefined) throw new Error("no result");
  return result;
}

const http = (url: string, more: Partial<Extract<Bare, { kind: "http" }>> = {}): Bare => ({ kind: "http", target: target(url), status: null, text: null, ...more });

describe("http", () => {
  test("any status of the two hundreds, or the one that is asked for; redirects are not followed", async () => {
    const url = await site((request, response) => {
      response.statusCode = request.url === "/gone" ? 410 : request.url === "/away" ? 302 : 204;
      response.setHeader("location", "/");
      response.end();
    });
    expect(await check(http(url))).toMatchObject({ name: "it", kind: "http", ok: true, why: null, tries: 1, measured: { status: 204 } });
    expect(await check(http(`${url}gone`))).toMatchObject({ ok: false, why: "it answered 410", measured: { status: 410 } });
    expect(await check(http(`${url}gone`, { status: 410 }))).toMatchObject({ ok: true });
    expect(await check(http(`${url}away`))).toMatchObject({ ok: false, why: "it answered 302" });
    expect(await check(http(url, { status: 200 }))).toMatchObject({ ok: false, why: "it answered 204, not 200" });
  });

  test("a text in the first MiB of an answer that has no end", async () => {
    const url = await site((_, response) => {
      response.write("all is well\n");
      const more = setInterval(() => response.write(Buffer.alloc(256 * 1024)), 5);
      response.once("close", () => clearInterval(more));
    });
    expect(await check(http(url, { text: "is well" }))).toMatchObject({ ok: true, measured: { bytes: 1024 * 1024 } });
    expect(await check(http(url, { text: "is ill" }))).toMatchObject({ ok: false, why: 'its answer does not hold "is ill"' });
  });

  test("headers from a private file, to another host than the URL names", async () => {
    const seen: unknown[] = [];
    const url = await site((request, response) => {
      seen.push([request.headers.host, request.headers.authorization]);
      response.end();
    });
    const headersFile = join(tempDir(), "headers");
    writeFileSync(headersFile, "Authorization: Bearer secret\n", { mode: 0o600 });
    const named = url.replace("127.0.0.1", "www.example.invalid");
    expect(await check(http(named))).toMatchObject({ ok: false });
    expect(await check(http(named, { target: target(named, { connect: "127.0.0.1", headersFile }) }))).toMatchObject({ ok: true });
    expect(seen).toEqual([[new URL(named).host, "Bearer secret"]]);
    chmodSync(headersFile, 0o644);
    expect(await check(http(url, { target: target(url, { headersFile }) }))).toMatchObject({ ok: false, why: expect.stringContaining("can be reached by other users") as string });
  });

  test("one that never answers ends at its time-out, one that is refused says so", async () => {
    const url = await site(() => undefined);
    const result = await check(http(url), { timeoutMs: 300 });
    expect(result).toMatchObject({ ok: false, why: "no answer within 300ms" });
    expect(result.ms).toBeLessThan(2000);
    const closed = createTcpServer();
    const port = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await check(http(`http://127.0.0.1:${port}/`))).toMatchObject({ ok: false, why: expect.stringContaining("the connection was refused") as string });
  });
});

test("tcp: a port that takes connections, one that does not", async () => {
  const server = createTcpServer();
  const port = await listening(server);
  expect(await check({ kind: "tcp", host: "127.0.0.1", port })).toMatchObject({ ok: true, measured: { address: "127.0.0.1" } });
  await new Promise((resolve) => server.close(resolve));
  expect(await check({ kind: "tcp", host: "127.0.0.1", port })).toMatchObject({ ok: false, why: `127.0.0.1:${port}: the connection was refused` });
});

describe("command", () => {
  const command = (...argv: [string, ...string[]]): Bare => ({ kind: "command", argv, runAs: null });

  test("ends with 0, or says what it said last", async () => {
    expect(await check(command("/bin/true"))).toMatchObject({ ok: true, measured: { status: 0 } });
    expect(await check(command("/bin/sh", "-c", "echo no disk >&2; exit 7"))).toMatchObject({ ok: false, why: "/bin/sh ended with 7: no disk" });
    expect(await check(command("/no/such/program"))).toMatchObject({ ok: false, why: expect.stringContaining("/no/such/program") as string });
  });

  test("one that goes on, with a child that outlives it and holds its output, ends at the time-out", async () => {
    const result = await check(command("/bin/sh", "-c", "setsid sleep 20 & sleep 20"), { timeoutMs: 400 });
    expect(result).toMatchObject({ ok: false, why: "no answer within 400ms" });
    expect(result.ms).toBeLessThan(2000);
  });

  test("as another user, where that may be", async () => {
    const result = await check({ kind: "command", argv: ["/usr/bin/id", "-un"], runAs: "nobody" });
    expect(result).toMatchObject(process.geteuid?.() === 0 ? { ok: true } : { ok: false, why: expect.stringContaining("only root") as string });
    const asNobody: Bare = { kind: "command", argv: ["/bin/sh", "-c", 'test "$(id -un)" = nobody'], runAs: "nobody" };
    if (process.geteuid?.() === 0) expect(await check(asNobody)).toMatchObject({ ok: true });
  });
});

describe("sql in a SQLite file", () => {
  const statement = (database: string, text: string, wanted: string | null = null): Bare => ({ kind: "sql", engine: "sqlite", database, statement: text, expect: wanted, runAs: null, host: null, port: null, user: null, passwordFile: null });

  test("prints what is expected, or is quoted; nothing is written", async () => {
    const database = join(tempDir(), "orders.db");
    execFileSync("sqlite3", [database, "create table orders(id); insert into orders values (1), (2);"]);
    expect(await check(statement(database, "select count(*) > 1 from orders"))).toMatchObject({ ok: true, measured: { value: "1" } });
    expect(await check(statement(database, "select count(*) from orders", "2"))).toMatchObject({ ok: true });
    expect(await check(statement(database, "select count(*) from orders", "3"))).toMatchObject({ ok: false, why: 'the statement printed "2", not "3"' });
    expect(await check(statement(database, "select * from customers"))).toMatchObject({ ok: false, why: expect.stringContaining("no such table") as string });
    expect(await check(statement(database, "delete from orders; select 1"))).toMatchObject({ ok: false, why: expect.stringContaining("readonly") as string });
  });

  test("a statement without an end is ended", async () => {
    const database = join(tempDir(), "busy.db");
    execFileSync("sqlite3", [database, "create table t(a)"]);
    const endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    expect(await check(statement(database, endless), { timeoutMs: 400 })).toMatchObject({ ok: false, why: "no answer within 400ms" });
  });
});

test("unit: neither script nor unit file is an answer too", async () => {
  expect(await check({ kind: "unit", unit: "coldkeep-no-such.service" })).toMatchObject({ ok: false, why: expect.stringContaining("coldkeep-no-such") as string });
});

describe("load", () => {
  const load = (url: string, more: Partial<Extract<Bare, { kind: "load" }>> = {}): Bare => ({ kind: "load", target: target(url), rate: 100, durationMs: 1500, p95Ms: 250, errorsMax: 0.01, ...more });

  // How fast a server answers depends on what else this machine does at that moment: hence more than one try.
  test("a server that carries it", { retry: 3 }, async () => {
    let requests = 0;
    const url = await site((_, response) => {
      requests++;
      response.end("ok");
    });
    const result = await check(load(url));
    expect(result).toMatchObject({ ok: true, measured: { requests: 150, failed: 0 } });
    expect(requests).toBe(150);
    expect(Number(result.measured["answeredPerSecond"])).toBeGreaterThan(60);
  });

  test("one that is too slow", async () => {
    const url = await site((_, response) => void setTimeout(() => response.end(), 400));
    const result = await check(load(url));
    expect(result).toMatchObject({ ok: false, why: expect.stringMatching(/95 of 100 requests took up to .*longer than 250ms/) as string });
    expect(Number(result.measured["p50Ms"])).toBeGreaterThanOrEqual(395);
  });

  test("one that stalls once: whoever waits for answers would not notice, as it sends nothing in that time", async () => {
    const begunMs = performance.now();
    // For most of a second nothing is answered; all before and after at once. Nine of ten requests fall into that time.
    const url = await site((_, response) => {
      const at = performance.now() - begunMs;
      void setTimeout(() => response.end(), at > 100 && at < 1000 ? 1000 - at : 0);
    });
    const result = await check(load(url, { durationMs: 1000 }));
    expect(result).toMatchObject({ ok: false });
    expect(Number(result.measured["p50Ms"])).toBeGreaterThan(250);
    expect(Number(result.measured["maxMs"])).toBeGreaterThan(600);
  });

  test("one that fails for every tenth request", async () => {
    let requests = 0;
    const url = await site((_, response) => {
      response.statusCode = ++requests % 10 === 0 ? 503 : 200;
      response.end();
    });
    expect(await check(load(url))).toMatchObject({ ok: false, why: "15 of 150 requests failed, more than 1 %; most often: answered 503", measured: { failed: 15, errorsPercent: 10 } });
    expect(await check(load(url, { errorsMax: 0.1 }))).toMatchObject({ ok: true });
  });

  test("one that stops to answer ends at the time-out of each request", async () => {
    const url = await site(() => undefined);
    const result = await check(load(url, { durationMs: 1000 }), { timeoutMs: 300 });
    expect(result).toMatchObject({ ok: false, measured: { failed: 100 } });
    expect(result.ms).toBeLessThan(4000);
  });
});

describe("all together", () => {
  test("are tried again until services are up, at once but for the load, which comes last and alone", async () => {
    const startedMs = performance.now();
    const order: string[] = [];
    let open = 0;
    let sharedLoad = false;
    const url = await site((request, response) => {
      if (request.url === "/load") {
        sharedLoad ||= open > 0;
        response.end();
        return;
      }
      open++;
      response.statusCode = performance.now() - startedMs > 700 ? 200 : 503;
      setTimeout(() => {
        open--;
        response.end();
      }, 100);
    });
    const common = { timeoutMs: 5000, withinMs: 10_000 };
    const checks: HealthCheck[] = [
      { name: "load", ...common, kind: "load", target: target(`${url}load`), rate: 50, durationMs: 1000, p95Ms: 1000, errorsMax: 0 },
      ...["a", "b", "c"].map((name): HealthCheck => ({ name, ...common, kind: "http", target: target(url), status: null, text: null })),
    ];
    const results = await runHealthChecks(checks, { signal: never, again: true, onResult: ({ name }) => order.push(name) });
    expect(results.map(({ name, ok }) => [name, ok])).toEqual([["load", true], ["a", true], ["b", true], ["c", true]]);
    expect(order.at(-1)).toBe("load");
    expect(results.slice(1).every(({ tries }) => tries > 1)).toBe(true);
    expect(sharedLoad).toBe(false);
    expect((await runHealthChecks(checks.slice(1, 2), { signal: never, again: false }))[0]).toMatchObject({ ok: true, tries: 1 });
  });

  test("give up after the time that a check has", async () => {
    const result = await check({ kind: "command", argv: ["/bin/false"], runAs: null }, { withinMs: 900, again: true });
    expect(result.ok).toBe(false);
    expect(result.tries).toBeGreaterThan(2);
    expect(result.ms).toBeLessThan(4000);
  });

  test("end with the signal, and leave no process", async () => {
    const stop = new AbortController();
    const mark = `${process.pid}.31`;
    const running = runHealthChecks([{ name: "it", timeoutMs: 60_000, withinMs: 0, kind: "command", argv: ["/bin/sleep", mark], runAs: null }], { signal: stop.signal, again: false });
    setTimeout(() => stop.abort(new Error("enough")), 300);
    await expect(running).rejects.toThrow("enough");
    await new Promise((resolve) => setTimeout(resolve, 200));
    const found: ChildProcess = spawn("pgrep", ["-f", `^/bin/sleep ${mark}`]);
    expect(await new Promise((resolve) => found.once("close", resolve))).toBe(1);
  });
});
