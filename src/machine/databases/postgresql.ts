/** Dumps of PostgreSQL: roles and tablespaces, then each database as SQL that psql alone loads, counted by the very view it was dumped from. */
import { createInterface } from "node:readline";
import type { ServerConfig } from "../../config/data-schema.ts";
import { ColdkeepError } from "../../errors.ts";
import { isWithin } from "../../format/entry-path.ts";
import { parseCounts, parsePostgresqlAnswer, type PostgresqlAnswer } from "../../format/server-answers.ts";
import { lastLines, requireWell, RunningTool, streamTool } from "../run-tool.ts";
import { COUNT_ROWS, PostgresqlClient } from "./postgresql-client.ts";
import { type DataSource, type DumpFacts, dumpFileName, dumpFolder, type DumpSink, isLocalServer, type PlannedDump, realPath, Tail } from "./source.ts";

/** How long a dump waits for a table that somebody holds. */
const LOCK_WAIT = "10min";
/** The end of a dump: a comment, and up to two lines of random letters after it. */
const TAIL_BYTES = 1024;

const SERVER_FACTS = `
SELECT json_build_object(
  'version', (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'server_version'),
  'port', (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'port'),
  'directory', (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'),
  'settings', (SELECT coalesce(json_agg(setting), '[]') FROM pg_catalog.pg_settings WHERE name IN ('config_file', 'hba_file', 'ident_file')),
  'tablespaces', (SELECT json_agg(pg_catalog.pg_tablespace_location(oid)) FROM pg_catalog.pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')),
  'databases', (SELECT json_agg(json_build_object('name', datname, 'owner', pg_catalog.pg_get_userbyid(datdba),
      'encoding', pg_catalog.pg_encoding_to_char(encoding), 'locale', coalesce(datcollate, '')) ORDER BY datname)
    FROM pg_catalog.pg_database WHERE NOT datistemplate AND datallowconn));
`;

const EXTENSIONS = "SELECT extname FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1;\n";

/** A transaction that stays open: what it sees, the dump sees too. */
class HeldView {
  readonly #tool: RunningTool;
  readonly #lines: AsyncIterator<string>;

  constructor(client: PostgresqlClient, database: string, timeoutMs: number, signal: AbortSignal) {
    this.#tool = new RunningTool(client.psql(database, [], timeoutMs, signal));
    this.#lines = createInterface({ input: this.#tool.child.stdout })[Symbol.asyncIterator]();
  }

  /** Runs SQL and returns its lines. Throws E_DISK with psql's last lines. */
  async ask(sql: string): Promise<string[]> {
    const end = "end of the answer";
    this.#tool.child.stdin.write(`${sql}\n\\echo ${end}\n`);
    const lines: string[] = [];
    for (;;) {
      const next = await this.#lines.next();
      if (next.done === true) throw new ColdkeepError("E_DISK", `psql ended: ${lastLines({ stdout: "", ...(await this.#tool.result()) }, 5).join(" | ")}`);
      if (next.value === end) return lines;
      if (next.value !== "") lines.push(next.value);
    }
  }

  async close(): Promise<void> {
    this.#tool.child.stdin.end();
    this.#tool.child.stdout.resume();
    await this.#tool.result();
  }

  /** Ends it where it is. */
  async abandon(): Promise<void> {
    this.#tool.end();
    await this.#tool.result().catch(() => undefined);
  }
}

async function dumpDatabase(client: PostgresqlClient, database: string, timeoutMs: number, sink: DumpSink, signal: AbortSignal): Promise<Pick<DumpFacts, "rows" | "extensions">> {
  const view = new HeldView(client, database, timeoutMs, signal);
  try {
    const [id = ""] = await view.ask("SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = off;\nBEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\nSELECT pg_catalog.pg_export_snapshot();");
    const order = client.order("pg_dump", database, ["--create", `--snapshot=${id}`, `--lock-wait-timeout=${LOCK_WAIT}`], timeoutMs, signal);
    await dumpWhole(order, "PostgreSQL database dump complete", sink);
    const extensions = await view.ask(EXTENSIONS);
    const rows = parseCounts(await view.ask(COUNT_ROWS));
    await view.close();
    return { rows, extensions };
  } catch (error) {
    await view.abandon();
    throw error;
  }
}

/** Runs a tool whose output is a dump, and sees that it came to its end. */
async function dumpWhole(order: ReturnType<PostgresqlClient["order"]>, mark: string, sink: DumpSink): Promise<void> {
  const tail = new Tail(TAIL_BYTES);
  const output: DumpSink = async (bytes) => {
    tail.add(bytes);
    await sink(bytes);
  };
  requireWell(order, await streamTool({ ...order, output }));
  if (!tail.bytes.toString("latin1").includes(mark)) throw new ColdkeepError("E_DISK", "the dump ends before its end, though the tool reports none");
}

/** What the walk leaves out, and what of it the walk keeps. */
function ownFiles({ directory, tablespaces, settings }: PostgresqlAnswer): Pick<DataSource, "leftOut" | "settings"> {
  if (directory === null) return { leftOut: [], settings: [] };
  const leftOut = [directory, ...(tablespaces ?? [])].map(realPath).filter((path) => path !== "/");
  const kept = settings.flatMap((path) => (path === null ? [] : [realPath(path)])).filter((path) => leftOut.some((dir) => isWithin(path, dir)));
  return { leftOut, settings: kept };
}

/** Asks the server what there is to dump. Throws E_DISK, E_FORMAT, E_NOT_FOUND, E_CONFIG, E_REFUSED, the signal's reason. */
export async function planPostgresql(config: ServerConfig, signal: AbortSignal): Promise<DataSource> {
  const { name, onError, timeoutMs, keepFiles } = config;
  const client = await PostgresqlClient.open(config, signal);
  const facts = parsePostgresqlAnswer((await client.askServer(SERVER_FACTS.replaceAll("\n", " "), signal)).join(""));
  const isLocal = isLocalServer(config);
  const fact = { engine: "postgresql" as const, name, version: facts.version, dataDirectory: isLocal ? (facts.directory ?? "") : "", address: config.socket ?? (config.host === null ? "" : `${config.host}:`) + facts.port, unit: "" };
  const folder = dumpFolder(fact);
  const there = facts.databases ?? [];
  const wanted = config.databases ?? there.map((database) => database.name);
  const absent = wanted.filter((database) => !there.some((each) => each.name === database));
  if (absent.length > 0) throw new ColdkeepError("E_CONFIG", `there is no database ${absent.join(", ")}`, { hint: "Correct `databases` of this server in the configuration." });
  const globals: PlannedDump = {
    path: `${folder}/globals.sql`,
    what: "globals",
    name: "globals",
    write: async (sink, stop) => {
      await dumpWhole(client.order("pg_dumpall", "postgres", ["--globals-only"], timeoutMs, stop), "PostgreSQL database cluster dump complete", sink);
      return {};
    },
  };
  const dumps = there.filter((database) => wanted.includes(database.name)).map(({ name: database, ...known }): PlannedDump => ({
    path: `${folder}/db-${dumpFileName(database)}.sql`,
    what: "database",
    name: database,
    write: async (sink, stop) => ({ ...known, ...(await dumpDatabase(client, database, timeoutMs, sink, stop)) }),
  }));
  const others = there.map((database) => database.name).filter((database) => !wanted.includes(database));
  const files = isLocal && !keepFiles ? ownFiles(facts) : { leftOut: [], settings: [] };
  const notes = others.length > 0 ? [`is not told to dump ${others.join(", ")}`] : [];
  return { label: `postgresql ${name}`, onError, fact, dumps: [globals, ...dumps], ...files, notes };
}
