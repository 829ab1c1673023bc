/** How PostgreSQL is asked: psql and its sisters, by one address. */
import type { ServerConfig } from "../../config/data-schema.ts";
import { readSecretLine } from "../../config/private-file.ts";
import { type AsUser, asUser, withUser } from "../as-user.ts";
import { requireWell, runTool, type StreamOrder, type ToolOrder, type ToolResult } from "../run-tool.ts";

/** How a server is reached, for dumping and for loading. */
export type ServerAddress = Pick<ServerConfig, "socket" | "host" | "port" | "user" | "passwordFile" | "runAs">;

const ASK_TIMEOUT_MS = 60_000;
const CONNECT_SECONDS = "10";
const OWN_USER = "postgres";

/** As a value in a connection string: quotes let it hold anything. */
function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}

/** As a text in SQL, with standard strings on. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** As a name in SQL. */
export function sqlName(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

export class PostgresqlClient {
  readonly #address: ServerAddress;
  readonly #user: AsUser;

  private constructor(address: ServerAddress, user: AsUser) {
    this.#address = address;
    this.#user = user;
  }

  /** Throws E_CONFIG for a user that is not there, E_NOT_FOUND, the signal's reason. */
  static async open(address: ServerAddress, signal: AbortSignal): Promise<PostgresqlClient> {
    const isLocal = address.host === null && process.geteuid?.() === 0;
    return new PostgresqlClient(address, await asUser(address.runAs ?? (isLocal ? OWN_USER : null), signal));
  }

  #connection(database: string): string {
    const { socket, host, port, user } = this.#address;
    const parts: [string, string | null][] = [["dbname", database], ["host", socket ?? host], ["port", port === null ? null : String(port)], ["user", user]];
    return parts.flatMap(([key, value]) => (value === null ? [] : [`${key}=${quoted(value)}`])).join(" ");
  }

  /** An order for one of the tools, connected to a database. Throws E_CONFIG, E_REFUSED for the password's file. */
  order(tool: string, database: string, args: readonly string[], timeoutMs: number, signal: AbortSignal): Pick<ToolOrder, "argv" | "env" | "cwd" | "timeoutMs"> & { signal: AbortSignal } {
    const { passwordFile } = this.#address;
    const password = passwordFile === null ? {} : { PGPASSWORD: readSecretLine(passwordFile) };
    const env = { ...this.#user.env, PGCONNECT_TIMEOUT: CONNECT_SECONDS, PGAPPNAME: "coldkeep", PGCLIENTENCODING: "UTF8", PGOPTIONS: "", ...password };
    return { argv: withUser(this.#user, [tool, `--dbname=${this.#connection(database)}`, "--no-password", ...args]), env, cwd: this.#user.cwd, timeoutMs, signal };
  }

  /** An order for psql that reads its standard input and stops at the first error. */
  psql(database: string, args: readonly string[], timeoutMs: number, signal: AbortSignal): Omit<StreamOrder, "input"> & { signal: AbortSignal } {
    return this.order("psql", database, ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", ...args, "-f", "-"], timeoutMs, signal);
  }

  async #run(database: string, sql: string, signal: AbortSignal): Promise<{ order: ToolOrder; result: ToolResult }> {
    const order = { ...this.psql(database, [], ASK_TIMEOUT_MS, signal), input: sql };
    return { order, result: await runTool(order) };
  }

  /** Runs SQL in a database; returns the lines it answers. Throws E_DISK with psql's last lines, E_NOT_FOUND. */
  async ask(database: string, sql: string, signal: AbortSignal): Promise<string[]> {
    const { order, result } = await this.#run(database, sql, signal);
    requireWell(order, result);
    return result.stdout.split("\n").filter((line) => line !== "");
  }

  /** As `ask`, in whichever database there is to ask about all of them. */
  async askServer(sql: string, signal: AbortSignal): Promise<string[]> {
    const { result } = await this.#run("postgres", sql, signal);
    if (result.status === 0) return result.stdout.split("\n").filter((line) => line !== "");
    return this.ask("template1", sql, signal);
  }
}

/** Has psql count the rows of every table that a dump holds rows of; a line of JSON each. Large objects count as a table. */
export const COUNT_ROWS = String.raw`
SELECT format('SELECT json_build_array(%L::text, count(*)) FROM ONLY %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY 1 \gexec
SELECT json_build_array('pg_catalog.pg_largeobject_metadata', count(*)) FROM pg_catalog.pg_largeobject_metadata HAVING count(*) > 0;
`;
