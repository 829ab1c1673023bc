/** The section `health`: what it becomes, and that each mistake is named. */
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { configJsonSchema } from "../../src/config/schema.ts";
import { ColdkeepError } from "../../src/errors.ts";

const TEXT = `vault: "00112233445566778899aabbccddeeff"
host: web1
regions: [{name: north, url: s3://bucket/prefix}]
recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
sources: [/etc]
state: /var/lib/coldkeep
`;

function failure(text: string): ColdkeepError {
  try {
    parseConfig(TEXT + text, "c.yaml");
  } catch (error) {
    if (error instanceof ColdkeepError && error.code === "E_CONFIG") return error;
    throw error;
  }
  throw new Error(`was accepted:\n${text}`);
}

test("becomes checks with their defaults", () => {
  const { health } = parseConfig(
    `${TEXT}health:
  - {name: site, http: "https://www.example.net/healthz"}
  - {name: api, http: {url: "http://localhost:8080/", connect: 127.0.0.1, status: 401, text: no, headersFile: /etc/coldkeep//headers, ca: /etc/ssl/own.pem}, timeout: 500ms, within: 5m}
  - {name: smtp, tcp: "[::1]:25"}
  - {name: web, unit: nginx}
  - {name: own, command: {run: [/usr/local/bin/check, --fast], runAs: app}}
  - {name: orders, sql: {engine: postgresql, database: shop, statement: "select count(*) from orders", expect: 3, runAs: postgres}}
  - {name: load, load: {url: "http://localhost/", rate: 50, p95: 300ms}}
`,
    "c.yaml",
  );
  const usual = { timeoutMs: 10_000, withinMs: 120_000 };
  const bare = { connect: null, headersFile: null, caFile: null };
  expect(health).toEqual([
    { name: "site", ...usual, kind: "http", target: { ...bare, url: "https://www.example.net/healthz" }, status: null, text: null },
    { name: "api", timeoutMs: 500, withinMs: 300_000, kind: "http", target: { url: "http://localhost:8080/", connect: "127.0.0.1", headersFile: "/etc/coldkeep/headers", caFile: "/etc/ssl/own.pem" }, status: 401, text: "no" },
    { name: "smtp", ...usual, kind: "tcp", host: "::1", port: 25 },
    { name: "web", ...usual, kind: "unit", unit: "nginx.service" },
    { name: "own", ...usual, kind: "command", argv: ["/usr/local/bin/check", "--fast"], runAs: "app" },
    { name: "orders", ...usual, kind: "sql", engine: "postgresql", database: "shop", statement: "select count(*) from orders", expect: "3", runAs: "postgres", host: null, port: null, user: null, passwordFile: null },
    { name: "load", ...usual, kind: "load", target: { ...bare, url: "http://localhost/" }, rate: 50, durationMs: 30_000, p95Ms: 300, errorsMax: 0.01 },
  ]);
  expect(parseConfig(TEXT, "c.yaml").health).toEqual([]);
  expect(JSON.stringify(configJsonSchema())).toContain("Requests a second");
});

describe("every mistake is named", () => {
  const cases: [string, string, RegExp, RegExp?][] = [
    ["no kind", "[{name: a}]", /health\[0\]: needs one of `http`, `tcp`/],
    ["two kinds", "[{name: a, unit: x, tcp: 'h:1'}]", /health\[0\]: needs one of .*has several/],
    ["the same name", "[{name: a, unit: x}, {name: a, unit: y}]", /health\[1\]\.name: the check "a" stands here a second time/],
    ["a name with blanks", "[{name: a b, unit: x}]", /is not a check's name/],
    ["an unknown key", "[{name: a, htpp: x}]", /health\[0\]\.htpp: is not a known key/, /http/],
    ["an unknown key inside", "[{name: a, load: {url: 'http://h/', rate: 1, p59: 1s}}]", /health\[0\]\.load\.p59: is not a known key/, /p95/],
    ["no port", "[{name: a, tcp: localhost}]", /is not a host and a port/, /localhost:5432/],
    ["a password in the address", "[{name: a, http: 'https://u:p@h/'}]", /has a password in it/, /headersFile/],
    ["a program that is looked up", "[{name: a, command: {run: [check]}}]", /is not an absolute path/],
    ["a SQLite file by a name", "[{name: a, sql: {engine: sqlite, database: x.db, statement: select 1}}]", /is not the absolute path of a SQLite file/],
    ["a database that is an option", "[{name: a, sql: {engine: mysql, database: --help, statement: select 1}}]", /begins with a dash/],
    ["too many requests", "[{name: a, load: {url: 'http://h/', rate: 20000, duration: 30m, p95: 1s}}]", /more than 5000000 requests/],
    ["no limit", "[{name: a, load: {url: 'http://h/', rate: 1}}]", /p95: is missing/],
  ];
  test.each(cases)("%s", (_, text, message, hint) => {
    const error = failure(`health: ${text}\n`);
    expect(error.message).toMatch(message);
    if (hint !== undefined) expect(error.hint).toMatch(hint);
  });
});
