/** Dumps of MariaDB and MySQL: accounts as statements, then each database. The system's own tables are never dumped: they fit one version only. */
import type { ServerConfig } from "../../config/data-schema.ts";
import { ColdkeepError } from "../../errors.ts";
import { parseMysqlAnswer, parseMysqlDatabase } from "../../format/server-answers.ts";
import { requireWell, streamTool } from "../run-tool.ts";
import { InsertCounter } from "./insert-counter.ts";
import { MysqlClient } from "./mysql-client.ts";
import { type DataSource, dumpFileName, dumpFolder, type DumpSink, isLocalServer, type PlannedDump, realPath, Tail } from "./source.ts";

const SERVER_FACTS = "SELECT JSON_OBJECT('version', @@version, 'datadir', @@datadir, 'socket', @@socket, 'port', @@port);\n";
const SCHEMAS = "SELECT JSON_OBJECT('name', SCHEMA_NAME, 'charset', DEFAULT_CHARACTER_SET_NAME, 'collation', DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') ORDER BY SCHEMA_NAME;\n";
const MYSQL_USERS = "SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user WHERE user NOT LIKE 'mysql.%' ORDER BY user, host;\n";

const END_MARK = "-- Dump completed";
const TAIL_BYTES = 256;
const DUMP_ARGS = ["--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--skip-dump-date"];
/** What MySQL's own tool needs beside: it would else ask for rights, and speak of replication. */
const MYSQL_ARGS = ["--no-tablespaces", "--set-gtid-purged=OFF"];

/** Runs the dump tool, and sees that it came to its end. */
async function dumpWhole(client: MysqlClient, args: readonly string[], timeoutMs: number, sink: DumpSink, signal: AbortSignal): Promise<void> {
  const tail = new Tail(TAIL_BYTES);
  const order = client.order("dump", args, timeoutMs, signal);
  requireWell(order, await streamTool({ ...order, output: async (bytes) => {
    tail.add(bytes);
    await sink(bytes);
  } }));
  if (!tail.bytes.toString("latin1").includes(END_MARK)) throw new ColdkeepError("E_DISK", "the dump ends before its end, though the tool reports none");
}

/** Accounts of MySQL, whose dump tool has no way to write them. */
async function mysqlAccounts(client: MysqlClient, signal: AbortSignal): Promise<string> {
  const users = await client.ask(MYSQL_USERS, signal);
  const asked = users.map((user) => `SHOW CREATE USER ${user};\nSHOW GRANTS FOR ${user};\n`).join("");
  const lines = await client.ask(`SET SESSION print_identified_with_as_hex = ON;\n${asked}`, signal);
  const statements = lines.map((line) => `${line.replace(/^CREATE USER /, "CREATE USER IF NOT EXISTS ")};\n`);
  return [...statements.filter((line) => line.startsWith("CREATE")), ...statements.filter((line) => !line.startsWith("CREATE"))].join("");
}

/** Asks the server what there is to dump. Throws E_DISK, E_FORMAT, E_NOT_FOUND, E_CONFIG, E_REFUSED, the signal's reason. */
export async function planMysql(config: ServerConfig, signal: AbortSignal): Promise<DataSource> {
  const { name, onError, timeoutMs, keepFiles } = config;
  const client = await MysqlClient.open(config, signal);
  const server = parseMysqlAnswer((await client.ask(SERVER_FACTS, signal)).join(""));
  const there = (await client.ask(SCHEMAS, signal)).map(parseMysqlDatabase);
  const isMaria = server.version.includes("MariaDB");
  const isLocal = isLocalServer(config);
  const fact = { engine: "mysql" as const, name, version: server.version, dataDirectory: isLocal ? realPath(server.datadir.replace(/(?<=.)\/+$/, "")) : "", address: isLocal ? server.socket : `${config.host}:${server.port}`, unit: "" };
  const folder = dumpFolder(fact);
  const wanted = config.databases ?? there.map((database) => database.name);
  const absent = wanted.filter((database) => !there.some((each) => each.name === database));
  if (absent.length > 0) throw new ColdkeepError("E_CONFIG", `there is no database ${absent.join(", ")}`, { hint: "Correct `databases` of this server in the configuration." });
  const accounts: PlannedDump = {
    path: `${folder}/accounts.sql`,
    what: "globals",
    name: "accounts",
    write: async (sink, stop) => {
      if (isMaria) await dumpWhole(client, ["--system=users", "--insert-ignore", "--skip-dump-date"], timeoutMs, sink, stop);
      else await sink(Buffer.from(await mysqlAccounts(client, stop)));
      return {};
    },
  };
  const dumps = there.filter((database) => wanted.includes(database.name)).map(({ name: database, charset, collation }): PlannedDump => ({
    path: `${folder}/db-${dumpFileName(database)}.sql`,
    what: "database",
    name: database,
    write: async (sink, stop) => {
      const counter = new InsertCounter(database);
      const counted: DumpSink = async (bytes) => {
        counter.add(bytes);
        await sink(bytes);
      };
      await dumpWhole(client, [...DUMP_ARGS, ...(isMaria ? [] : MYSQL_ARGS), "--databases", "--", database], timeoutMs, counted, stop);
      return { rows: counter.rows, encoding: charset, locale: collation };
    },
  }));
  const others = there.map((database) => database.name).filter((database) => !wanted.includes(database));
  const leftOut = isLocal && !keepFiles && fact.dataDirectory !== "/" ? [fact.dataDirectory] : [];
  return { label: `mysql ${name}`, onError, fact, dumps: [accounts, ...dumps], leftOut, settings: [], notes: others.length > 0 ? [`is not told to dump ${others.join(", ")}`] : [] };
}
