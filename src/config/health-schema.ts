/** The section `health`: what must work on this host, and on the machine that is rebuilt from its archives. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { formatDuration, parseDuration } from "../units.ts";
import { checked, path } from "./value-types.ts";

/** Where an HTTP request goes and what goes along. */
export type HttpTarget = {
  url: string;
  /** Connect to this host in place of the one in the URL, whose name stays in the request. */
  connect: string | null;
  /** A private file with headers to send. */
  headersFile: string | null;
  /** File with the certificate of a private authority. */
  caFile: string | null;
};

export const SQL_ENGINES = ["postgresql", "mysql", "sqlite"] as const;
export type SqlEngine = (typeof SQL_ENGINES)[number];

export type HttpCheck = { kind: "http"; target: HttpTarget; /** Null: any from 200 to 299. */ status: number | null; /** Must stand in the answer. */ text: string | null };
export type TcpCheck = { kind: "tcp"; host: string; port: number };
export type UnitCheck = { kind: "unit"; unit: string };
export type CommandCheck = { kind: "command"; argv: [string, ...string[]]; runAs: string | null };
export type SqlCheck = {
  kind: "sql";
  engine: SqlEngine;
  /** Of SQLite, the file. */
  database: string;
  statement: string;
  /** What it must print; null: true, t or 1. */
  expect: string | null;
  runAs: string | null;
  /** Null: the tool's own default, most often the local socket. */
  host: string | null;
  port: number | null;
  /** The database's user. */
  user: string | null;
  passwordFile: string | null;
};
export type LoadCheck = { kind: "load"; target: HttpTarget; /** Requests a second. */ rate: number; durationMs: number; /** 95 of 100 requests are answered within, ms. */ p95Ms: number; /** The most that may fail, 0 to 1. */ errorsMax: number };

export type HealthCheck = { name: string; /** How long one try may take, ms; of a load, one request. */ timeoutMs: number; /** How long it is tried again after services started, ms. */ withinMs: number } & (
  | HttpCheck
  | TcpCheck
  | UnitCheck
  | CommandCheck
  | SqlCheck
  | LoadCheck
);

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const USER = /^[a-z_][a-z0-9_-]{0,31}$/;
const UNIT = /^[A-Za-z0-9:_.@\\-]{1,250}$/;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
/** A figure for each is kept until the end. */
const REQUESTS_MAX = 5_000_000;

function durationBetween(minMs: number, maxMs: number) {
  const parse = (text: string): number => {
    const ms = parseDuration(text);
    if (ms >= minMs && ms <= maxMs) return ms;
    throw new ColdkeepError("E_CONFIG", `${text} is not between ${formatDuration(minMs)} and ${formatDuration(maxMs)}`);
  };
  return z.string({ error: "must be a duration with its unit" }).transform(checked(parse));
}

/** Credentials in an address would show in messages and in the signed result of a drill. */
function plainUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:") || url.hash !== "") throw new ColdkeepError("E_CONFIG", "is not an address to ask", { hint: "Write http://host:port/path or https://host/path." });
  if (url.username !== "" || url.password !== "") throw new ColdkeepError("E_CONFIG", "has a password in it", { hint: "Put an Authorization header into a file of mode 0600 and name it with headersFile." });
  return text;
}

function share(text: string): number {
  const percent = /^(\d{1,3}(?:\.\d+)?)\s*%$/.exec(text)?.[1];
  if (percent !== undefined && Number(percent) <= 100) return Number(percent) / 100;
  throw new ColdkeepError("E_CONFIG", `"${text}" is not a share from 0% to 100%`, { hint: "Write it like 1%." });
}

function hostAndPort(text: string): { host: string; port: number } {
  const { host = "", v6 = host, port = "" } = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[A-Za-z0-9._-]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  if (v6 !== "" && Number(port) >= 1 && Number(port) <= 65_535) return { host: v6, port: Number(port) };
  throw new ColdkeepError("E_CONFIG", `"${text}" is not a host and a port`, { hint: "Write it like localhost:5432 or [::1]:5432." });
}

const user = z.string().regex(USER, { error: "is not the name of a user" });

const TARGET = {
  url: z.string().transform(checked(plainUrl)).describe("The address that is asked. Redirects are not followed."),
  connect: z.string().regex(/^[A-Za-z0-9._:-]{1,253}$/, { error: "is not a host's name or address" }).optional().describe("Host to connect to in place of the one in the URL, like 127.0.0.1: the machine that is checked may not be the one the name leads to."),
  headersFile: path.optional().describe("File with headers to send, `Name: value` in each line, mode 0600."),
  ca: path.optional().describe("File with the certificate of a private authority."),
};

type TargetKeys = { url: string; connect?: string | undefined; headersFile?: string | undefined; ca?: string | undefined };

function targetOf({ url, connect, headersFile, ca }: TargetKeys): HttpTarget {
  return { url, connect: connect ?? null, headersFile: headersFile ?? null, caFile: ca ?? null };
}

const HttpKeys = z.strictObject({
  ...TARGET,
  status: z.int().min(100).max(599).optional().describe("The status it must answer with. Default: any from 200 to 299."),
  text: z.string().min(1).max(1000).optional().describe("What must stand in the first MiB of the answer."),
});

const CommandKeys = z.strictObject({
  run: z.tuple([path], z.string()).describe("Program, by its absolute path, and arguments; no shell. It is well when it ends with 0."),
  runAs: user.optional().describe("System user to run it as. Default: the one who checks."),
});

const SqlKeys = z.strictObject({
  engine: z.enum(SQL_ENGINES),
  database: z.string().min(1).max(4096).describe("Name of the database; of SQLite the absolute path of its file."),
  statement: z.string().min(1).max(64 * 1024).describe("A statement that prints one value."),
  expect: z.union([z.string(), z.number(), z.boolean()]).transform(String).optional().describe("What it must print. Default: true, t or 1."),
  runAs: user.optional().describe("System user to run the database's tool as, like postgres."),
  host: z.string().min(1).max(253).optional().describe("Host or socket folder of the server. Default: the tool's own."),
  port: z.int().min(1).max(65_535).optional(),
  user: z.string().min(1).max(128).optional().describe("User of the database. Default: the tool's own."),
  passwordFile: path.optional().describe("File whose first line is the password, mode 0600."),
});

const LoadKeys = z.strictObject({
  ...TARGET,
  rate: z.number().gt(0).max(20_000).describe("Requests a second, sent whether earlier ones were answered or not."),
  duration: durationBetween(SECOND_MS, 30 * MINUTE_MS).prefault("30s").describe("How long. A duration like 30s, up to 30m."),
  p95: durationBetween(1, 5 * MINUTE_MS).describe("95 of 100 requests must be answered within this time, counted from when each was due. A duration like 300ms."),
  errors: z.string({ error: "must be a share like 1%" }).transform(checked(share)).prefault("1%").describe("The most that may fail or not be answered. A share like 1%."),
});

const Sql = SqlKeys.transform(({ expect, runAs, host, port, user: name, passwordFile, ...same }, context): SqlCheck => {
  if (same.engine === "sqlite" && !same.database.startsWith("/")) context.addIssue({ code: "custom", path: ["database"], message: `"${same.database}" is not the absolute path of a SQLite file` });
  // These tools take a name that begins with a dash for an option.
  if (same.database.startsWith("-")) context.addIssue({ code: "custom", path: ["database"], message: "begins with a dash" });
  return { kind: "sql", ...same, expect: expect ?? null, runAs: runAs ?? null, host: host ?? null, port: port ?? null, user: name ?? null, passwordFile: passwordFile ?? null };
});

const Load = LoadKeys.transform(({ rate, duration, p95, errors, ...target }, context): LoadCheck => {
  if ((rate * duration) / SECOND_MS > REQUESTS_MAX) context.addIssue({ code: "custom", path: ["rate"], message: `comes to more than ${REQUESTS_MAX} requests in ${formatDuration(duration)}` });
  return { kind: "load", target: targetOf(target), rate, durationMs: duration, p95Ms: p95, errorsMax: errors };
});

/** Each kind under its key; an address alone is the short form of http. */
const KINDS = {
  http: z
    .union([TARGET.url.transform((url): HttpCheck => ({ kind: "http", target: targetOf({ url }), status: null, text: null })), HttpKeys.transform(({ status, text, ...target }): HttpCheck => ({ kind: "http", target: targetOf(target), status: status ?? null, text: text ?? null }))], {
      error: "must be an address, or a map with `url`",
    })
    .describe("An address that must answer."),
  tcp: z.string().transform(checked((text): TcpCheck => ({ kind: "tcp", ...hostAndPort(text) }))).describe("A host and a port that must take a connection, like localhost:25."),
  unit: z.string().regex(UNIT, { error: "is not the name of a unit" }).transform((unit): UnitCheck => ({ kind: "unit", unit: unit.includes(".") ? unit : `${unit}.service` })).describe("A systemd unit that must be active; where systemd does not run, its script in /etc/init.d is asked, or its main process looked for."),
  command: CommandKeys.transform(({ run, runAs }): CommandCheck => ({ kind: "command", argv: run, runAs: runAs ?? null })).describe("A program that must end with 0."),
  sql: Sql.describe("A statement that must print what is expected."),
  load: Load.describe("The load that the host must carry. It is checked last and alone."),
} as const;

const CheckKeys = z.strictObject({
  name: z.string().regex(NAME, { error: "is not a check's name: lower-case letters, digits, dots, hyphens and underscores" }),
  http: KINDS.http.optional(),
  tcp: KINDS.tcp.optional(),
  unit: KINDS.unit.optional(),
  command: KINDS.command.optional(),
  sql: KINDS.sql.optional(),
  load: KINDS.load.optional(),
  timeout: durationBetween(100, 30 * MINUTE_MS).prefault("10s").describe("How long one try may take; of a load, one request. A duration like 10s."),
  within: durationBetween(0, 120 * MINUTE_MS).prefault("2m").describe("How long it is tried again after the services were started. A duration like 2m."),
});

const Check = CheckKeys.transform(({ name, timeout, within, ...kinds }, context): HealthCheck => {
  const given = Object.values(kinds).filter((kind) => kind !== undefined);
  const [only] = given;
  if (only !== undefined && given.length === 1) return { name, timeoutMs: timeout, withinMs: within, ...only };
  context.addIssue({ code: "custom", message: `needs one of ${Object.keys(KINDS).map((kind) => `\`${kind}\``).join(", ")}${given.length > 1 ? ", and has several" : ""}`, params: { hint: "Write one entry of the list for each check.", missing: given.length === 0 } });
  return z.NEVER;
});

/** For the top of the configuration. */
export const health = z
  .array(Check)
  .max(200, { error: "must name 200 checks at the most" })
  .superRefine((checks, context) => {
    for (const [index, { name }] of checks.entries()) {
      if (checks.findIndex((check) => check.name === name) < index) context.addIssue({ code: "custom", path: [index, "name"], message: `the check "${name}" stands here a second time` });
    }
  })
  .prefault([])
  .describe("What must work here, and on a machine that is rebuilt from the archives: for `coldkeep health`, rebuilds and drills.");

const KEYS_OF: Record<string, z.ZodObject> = { http: HttpKeys, command: CommandKeys, sql: SqlKeys, load: LoadKeys };

/** The keys that may stand at a path into this section. */
export function knownHealthKeys([, , kind]: readonly PropertyKey[]): string[] {
  return Object.keys((KEYS_OF[String(kind)] ?? CheckKeys).shape);
}
