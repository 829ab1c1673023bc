/** Health: a database answers a statement as expected, asked by its own tool. */
import type { SqlCheck } from "../../config/health-schema.ts";
import { readSecretLine } from "../../config/private-file.ts";
import { ColdkeepError } from "../../errors.ts";
import type { ToolOrder, ToolResult } from "../run-tool.ts";
import { type Finding, ill, type ProbeOrder, well } from "./probe.ts";
import { ending, runAs, said } from "./tool-line.ts";

const TRUE = ["true", "t", "1"];
const SHOWN_MAX = 100;

type Asking = Pick<ToolOrder, "env" | "input"> & { /** Whichever is there first. */ tools: readonly [string, ...string[]][] };

function pair(name: string, value: string | number | null): string[] {
  return value === null ? [] : [name, String(value)];
}

/** How each engine's tool prints a bare value. Statement and password never stand in argv. */
const ASK: Record<SqlCheck["engine"], (check: SqlCheck, password: string | null) => Asking> = {
  postgresql: ({ database, statement, host, port, user }, password) => ({
    tools: [["psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", ...pair("-h", host), ...pair("-p", port), ...pair("-U", user), "-d", database, "-f", "-"]],
    env: password === null ? {} : { PGPASSWORD: password },
    input: statement,
  }),
  mysql: ({ database, statement, host, port, user }, password) => {
    const args = ["--batch", "--skip-column-names", "--raw", ...pair("-h", host), ...pair("-P", port), ...pair("-u", user), database];
    return { tools: [["mariadb", ...args], ["mysql", ...args]], env: password === null ? {} : { MYSQL_PWD: password }, input: statement };
  },
  sqlite: ({ database, statement }) => ({ tools: [["sqlite3", "-batch", "-bail", "-noheader", "-readonly", database]], input: statement.trimEnd().endsWith(";") ? statement : `${statement};` }),
};

/** Throws E_NOT_FOUND without the tool, E_REFUSED, E_CONFIG for a password file that cannot be used. */
export async function probeSql(check: SqlCheck, { timeoutMs, signal }: ProbeOrder): Promise<Finding> {
  const password = check.passwordFile === null ? null : readSecretLine(check.passwordFile);
  const { tools, ...order } = ASK[check.engine](check, password);
  const result = await firstTool(tools, (argv) => runAs(check.runAs, { ...order, argv, timeoutMs, signal }));
  if (result.status !== 0) return ill(`${check.engine} ${ending(result)}${said(result)}`);
  const value = result.stdout.trim();
  const measured = { value: value.slice(0, SHOWN_MAX) };
  const isRight = check.expect === null ? TRUE.includes(value.toLowerCase()) : value === check.expect;
  return isRight ? well(measured) : ill(`the statement printed ${value === "" ? "nothing" : `"${value.slice(0, SHOWN_MAX)}"`}, not ${check.expect === null ? "true" : `"${check.expect}"`}`, measured);
}

/** runuser says with 127 that it found no such program. */
async function firstTool(tools: Asking["tools"], run: (argv: [string, ...string[]]) => Promise<ToolResult>): Promise<ToolResult> {
  const names = tools.map(([name]) => name).join(" or ");
  for (const argv of tools) {
    try {
      const result = await run(argv);
      if (result.status !== 127) return result;
    } catch (error) {
      if (!(error instanceof ColdkeepError) || error.code !== "E_NOT_FOUND") throw error;
    }
  }
  throw new ColdkeepError("E_NOT_FOUND", `there is no program ${names}`, { hint: `Install the package that brings ${names}.` });
}
