/** Loads dumps of PostgreSQL with psql: roles first, then each database in one transaction. */
import { closeSync, createReadStream, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { ColdkeepError } from "../../errors.ts";
import type { Dump } from "../../format/data-facts.ts";
import { parseCounts } from "../../format/server-answers.ts";
import { MIB } from "../../units.ts";
import { requireWell, runTool, streamTool } from "../run-tool.ts";
import { compareCounts, type LoadOrder, type LoadReport } from "./load-report.ts";
import { COUNT_ROWS, PostgresqlClient, sqlName, sqlText } from "./postgresql-client.ts";

/** The state that says that what is to be made is there already. */
const IS_THERE = "42710";
/** The part of a dump that makes the database ends within this. */
const HEAD_BYTES_MAX = MIB;
const MAINTENANCE = "template1";

/** Roles and tablespaces: those that are there already are as they should be. Returns what else went wrong. */
async function loadGlobals(client: PostgresqlClient, path: string, { timeoutMs, signal }: LoadOrder): Promise<string[]> {
  const order = client.order("psql", MAINTENANCE, ["-X", "-q", "-v", "VERBOSITY=verbose", "-f", "-"], timeoutMs, signal);
  const result = await runTool({ ...order, input: readFileSync(path) });
  requireWell(order, result);
  const faults = result.stderr.split("\n").filter((line) => /\b(?:ERROR|FATAL):/.test(line));
  return faults.filter((line) => !line.includes(` ${IS_THERE}:`)).map((line) => `globals: ${line.replace(/^.*?(?=ERROR|FATAL)/, "")}`);
}

/** How many bytes of a dump make the database and connect to it: up to its last `\connect`. Throws E_FORMAT. */
function headLength(path: string): number {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(HEAD_BYTES_MAX);
    const text = bytes.toString("latin1", 0, readSync(fd, bytes, 0, HEAD_BYTES_MAX, 0));
    const last = [...text.matchAll(/^\\connect .*\n/gm)].at(-1);
    if (last !== undefined) return last.index + last[0].length;
    throw new ColdkeepError("E_FORMAT", `${path} makes no database`);
  } finally {
    closeSync(fd);
  }
}

async function databasesThere(client: PostgresqlClient, signal: AbortSignal): Promise<Set<string>> {
  const lines = await client.ask(MAINTENANCE, "SELECT json_build_array(datname) FROM pg_catalog.pg_database;\n", signal);
  return new Set(lines.map((line) => String((JSON.parse(line) as unknown[])[0])));
}

const HOLDS_SOMETHING = "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e');\n";

/** Refuses what would be lost, and what cannot work, before anything is changed. Returns the databases to make room for. */
async function check(client: PostgresqlClient, dumps: readonly Dump[], { replace, signal }: LoadOrder): Promise<string[]> {
  const wanted = new Set(dumps.flatMap(({ extensions }) => extensions));
  const there = new Set(await client.ask(MAINTENANCE, "SELECT name FROM pg_catalog.pg_available_extensions;\n", signal));
  const missing = [...wanted].filter((extension) => !there.has(extension));
  if (missing.length > 0) throw new ColdkeepError("E_REFUSED", `the server lacks the extensions ${missing.join(", ")}`, { hint: "Install the packages that bring them (on Debian often postgresql-contrib or postgresql-N-NAME), and go on." });
  const databases = await databasesThere(client, signal);
  const known = dumps.map(({ name }) => name).filter((name) => databases.has(name));
  for (const name of replace ? [] : known) {
    if ((await client.ask(name, HOLDS_SOMETHING, signal))[0] === "0") continue;
    throw new ColdkeepError("E_REFUSED", `the database ${name} is there and holds something`, { hint: "Rename it (ALTER DATABASE), or drop it if nobody needs it." });
  }
  return known;
}

async function loadOne(client: PostgresqlClient, { name, path }: Dump, { root, timeoutMs, signal }: LoadOrder): Promise<void> {
  const file = join(root, path);
  const length = headLength(file);
  const make = client.psql(MAINTENANCE, [], timeoutMs, signal);
  requireWell(make, await streamTool({ ...make, input: createReadStream(file, { end: length - 1 }) }));
  const fill = client.psql(name, ["--single-transaction"], timeoutMs, signal);
  requireWell(fill, await streamTool({ ...fill, output: async () => undefined, input: createReadStream(file, { start: length, highWaterMark: MIB }) }));
  await client.ask(name, "ANALYZE;\n", signal).catch(() => signal.throwIfAborted());
}

/** As `loadDatabase`. */
export async function loadPostgresql(order: LoadOrder): Promise<LoadReport> {
  const { fact, root, target, signal } = order;
  const client = await PostgresqlClient.open(target, signal);
  const dumps = fact.dumps.filter(({ what }) => what === "database");
  const known = await check(client, dumps, order);
  order.onBegin?.();
  const report: LoadReport = { loaded: [], differences: [], remarks: [] };
  for (const dump of fact.dumps) if (dump.what === "globals") report.remarks.push(...(await loadGlobals(client, join(root, dump.path), order)));
  for (const dump of dumps) {
    // An empty one goes too: only the dump knows its encoding, its owner and its rights.
    if (known.includes(dump.name)) {
      const others = `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = ${sqlText(dump.name)} AND pid <> pg_catalog.pg_backend_pid();\n`;
      await client.ask(MAINTENANCE, `${others}DROP DATABASE ${sqlName(dump.name)};\n`, signal);
    }
    await loadOne(client, dump, order);
    report.loaded.push(dump.name);
    report.differences.push(...compareCounts(dump, parseCounts(await client.ask(dump.name, COUNT_ROWS, signal))));
  }
  return report;
}
