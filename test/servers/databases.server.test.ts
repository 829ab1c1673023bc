/** Dumps of a real PostgreSQL in archives: what they hold, what they cost, and what becomes of one that breaks. */
import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { setUpHost } from "../support/host.ts";
import { PostgresServer } from "../support/postgres.ts";
import { restore } from "../support/restore.ts";

const ODD = `Größe "x" 'y' \\z=1`;
const ROWS = 100_000;

let server: PostgresServer;

beforeAll(async () => {
  server = await PostgresServer.start();
  server.sql(`CREATE ROLE shop LOGIN PASSWORD 'secret'; CREATE DATABASE shop OWNER shop; CREATE DATABASE "${ODD.replaceAll('"', '""')}"; CREATE DATABASE empty ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;`);
  server.sql(`CREATE EXTENSION pg_trgm; CREATE SCHEMA s; CREATE TABLE s.item (id int PRIMARY KEY, name text); INSERT INTO s.item SELECT n, md5(n::text) || md5((n * 7)::text) || md5((n * 3)::text) FROM generate_series(1, ${ROWS}) n; CREATE TABLE "odd.name" (t text); INSERT INTO "odd.name" VALUES (E'a\\nb\\\\c'); SELECT lo_from_bytea(0, '\\x00ff10'); ALTER DATABASE shop SET search_path = s, public;`, "shop");
  server.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);", ODD);
});

describe("dumps of PostgreSQL", () => {
  test("every database comes back as SQL, and an unchanged night stores next to nothing", async () => {
    const host = await setUpHost({ config: server.config() });
    const first = await host.backup();
    expect(first).toMatchObject({ status: 0, stderr: "" });
    expect(first.document.dumps.map(({ name }) => name)).toEqual(["globals", "empty", ODD, "postgres", "shop"].toSorted((a, b) => (first.document.dumps.findIndex((d) => d.name === a) - first.document.dumps.findIndex((d) => d.name === b))));
    const run = await restore(host, ["/.coldkeep"]);
    expect(run.status).toBe(0);
    const shop = join(run.out, ".coldkeep/databases/postgresql-main/db-shop.sql");
    const text = readFileSync(shop, "utf8");
    expect(text).toContain("CREATE DATABASE shop");
    expect(text).toContain("database dump complete");
    expect(statSync(shop).mode & 0o7777).toBe(0o600);
    expect(readFileSync(join(run.out, ".coldkeep/databases/postgresql-main/globals.sql"), "utf8")).toContain("SCRAM-SHA-256");
    const second = await host.backup();
    expect(second.status).toBe(0);
    expect(second.document.bytesStored).toBeLessThan(first.document.bytesStored / 10);
    console.error(first.document.bytesStored, second.document.bytesStored, first.document.dumps);
  });
});
