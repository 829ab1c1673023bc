/** What database servers answer about themselves, as this program asks them for it in JSON. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseJson } from "./vault-marker.ts";

const PostgresqlAnswer = z.object({
  version: z.string(),
  port: z.string(),
  /** Null where the user may not know. */
  directory: z.string().nullable(),
  settings: z.array(z.string().nullable()),
  tablespaces: z.array(z.string()).nullable(),
  databases: z.array(z.object({ name: z.string(), owner: z.string(), encoding: z.string(), locale: z.string() })).nullable(),
});

const MysqlAnswer = z.object({ version: z.string(), datadir: z.string(), socket: z.string(), port: z.number() });

const MysqlDatabase = z.object({ name: z.string(), charset: z.string(), collation: z.string() });

const TableCount = z.tuple([z.string(), z.number().int().nonnegative()]);

export type PostgresqlAnswer = z.infer<typeof PostgresqlAnswer>;

function parsed<Shape extends z.ZodType>(shape: Shape, text: string, who: string): z.infer<Shape> {
  const result = shape.safeParse(parseJson(text, `the answer of ${who}`));
  if (result.success) return result.data;
  throw new ColdkeepError("E_FORMAT", `the answer of ${who} is malformed: ${shapeFault(result.error)}`);
}

/** Throws E_FORMAT. */
export function parsePostgresqlAnswer(text: string): PostgresqlAnswer {
  return parsed(PostgresqlAnswer, text, "PostgreSQL");
}

/** Throws E_FORMAT. */
export function parseMysqlAnswer(text: string): z.infer<typeof MysqlAnswer> {
  return parsed(MysqlAnswer, text, "the server");
}

/** Throws E_FORMAT. */
export function parseMysqlDatabase(text: string): z.infer<typeof MysqlDatabase> {
  return parsed(MysqlDatabase, text, "the server");
}

/** Numbers by table, from lines of `["schema.table", n]`. Throws E_FORMAT. */
export function parseCounts(lines: readonly string[]): Record<string, number> {
  return Object.fromEntries(lines.map((line) => parsed(TableCount, line, "the server")));
}
