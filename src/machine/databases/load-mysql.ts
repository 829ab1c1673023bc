/** Loads dumps of MariaDB and MySQL: databases first, then accounts, whose rights may name what is in them. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { ColdkeepError } from "../../errors.ts";
import type { Dump } from "../../format/data-facts.ts";
import { MIB } from "../../units.ts";
import { lastLines, requireWell, streamTool } from "../run-tool.ts";
import { compareCounts, type LoadOrder, type LoadReport } from "./load-report.ts";
import { MysqlClient, mysqlName } from "./mysql-client.ts";

function text(value: string): string {
  return `_utf8mb4 x'${Buffer.from(value).toString("hex")}'`;
}

async function tablesOf(client: MysqlClient, name: string, signal: AbortSignal): Promise<string[]> {
  const lines = await client.ask(`SELECT HEX(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${text(name)} AND TABLE_TYPE LIKE 'BASE%';\n`, signal);
  return lines.map((line) => Buffer.from(line, "hex").toString());
}

async function countRows(client: MysqlClient, name: string, signal: AbortSignal): Promise<Record<string, number>> {
  const tables = await tablesOf(client, name, signal);
  const lines = await client.ask(tables.map((table) => `SELECT count(*) FROM ${mysqlName(name)}.${mysqlName(table)};\n`).join(""), signal);
  return Object.fromEntries(tables.map((table, index) => [`${name}.${table}`, Number(lines[index])]));
}

/** Refuses what would be lost. Returns the databases to make room for. */
async function check(client: MysqlClient, dumps: readonly Dump[], { replace, signal }: LoadOrder): Promise<string[]> {
  const full: string[] = [];
  for (const { name } of dumps) if ((await tablesOf(client, name, signal)).length > 0) full.push(name);
  if (full.length === 0 || replace) return full;
  throw new ColdkeepError("E_REFUSED", `the database ${full.join(", ")} is there and holds something`, { hint: "Rename its tables, or drop it if nobody needs it." });
}

/** As `loadDatabase`. */
export async function loadMysql(order: LoadOrder): Promise<LoadReport> {
  const { fact, root, target, timeoutMs, signal } = order;
  const client = await MysqlClient.open(target, signal);
  const dumps = fact.dumps.filter(({ what }) => what === "database");
  const report: LoadReport = { loaded: [], differences: [], remarks: [] };
  const full = await check(client, dumps, order);
  order.onBegin?.();
  for (const name of full) await client.ask(`DROP DATABASE ${mysqlName(name)};\n`, signal);
  for (const dump of dumps) {
    const load = client.order("client", ["--batch"], timeoutMs, signal);
    requireWell(load, await streamTool({ ...load, input: createReadStream(join(root, dump.path), { highWaterMark: MIB }) }));
    report.loaded.push(dump.name);
    report.differences.push(...compareCounts(dump, await countRows(client, dump.name, signal)));
  }
  for (const { path } of fact.dumps.filter(({ what }) => what === "globals")) {
    const load = client.order("client", ["--batch", "--force"], timeoutMs, signal);
    const result = await streamTool({ ...load, input: createReadStream(join(root, path)) });
    if (result.stderr.trim() !== "") report.remarks.push(...lastLines({ stdout: "", stderr: result.stderr }).filter((line) => line.startsWith("ERROR")).map((line) => `accounts: ${line}`));
  }
  await client.ask("FLUSH PRIVILEGES;\n", signal);
  return report;
}
