/** The sections about data that no file holds: databases, output of commands, and programs that run around a run. */
import { z } from "zod";
import { durationUpTo, path } from "./value-types.ts";

export type OnError = "fail" | "partial";

type Common = {
  /** Short name, unique among those of its type; part of the dumps' path. */
  name: string;
  /** Whether a dump that fails ends the run, or makes it partial. */
  onError: OnError;
  /** How long one dump may take, ms. */
  timeoutMs: number;
};

/** How a server is reached. Null: as its own tools do by themselves. */
export type ServerConfig = Common & {
  type: "postgresql" | "mysql" | "redis";
  socket: string | null;
  host: string | null;
  port: number | null;
  user: string | null;
  /** Private file whose first line is the password. */
  passwordFile: string | null;
  /** User of this machine that the tools run as. Null: by the server's kind. */
  runAs: string | null;
  /** Null: all. */
  databases: string[] | null;
  /** Whether the server's own files are archived too. */
  keepFiles: boolean;
};

export type SqliteConfig = Common & {
  type: "sqlite";
  /** A path; `*` and `?` stand for parts of one name. */
  path: string;
  keepFiles: boolean;
};

export type DatabaseConfig = ServerConfig | SqliteConfig;

export type CommandConfig = Common & { argv: readonly [string, ...string[]]; runAs: string | null };

export const HOOK_MOMENTS = ["backup", "restore", "drill", "error"] as const;
export type HookMoment = (typeof HOOK_MOMENTS)[number];

export type HookConfig = {
  when: "before" | "after";
  moment: HookMoment;
  argv: readonly [string, ...string[]];
  timeoutMs: number;
  onError: "fail" | "warn";
};

export type DataConfig = { databases: DatabaseConfig[]; commands: CommandConfig[]; hooks: HookConfig[] };

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const USER = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?$/;
const DUMP_TIMEOUT = "12h";
const HOOK_TIMEOUT = "5m";

const name = z.string().regex(NAME, { error: "is not a name: lower-case letters, digits, hyphens and underscores" });
const osUser = z.string().regex(USER, { error: "is not the name of a user" });
const onError = z.enum(["fail", "partial"]).prefault("partial").describe("What a dump that fails makes of the run: partial, or fail.");
const timeout = durationUpTo(30).prefault(DUMP_TIMEOUT).describe("How long one dump may take. A duration like 30m.");
const keepFiles = z.boolean().prefault(false).describe("Whether its own files are archived too, beside the dumps.");
const databases = z.array(z.string().min(1)).min(1).optional().describe("Names of the databases to dump. Default: all.");

/** Program and arguments. A program that is not named by its path is looked for in the PATH. */
const argv = z
  .array(z.string().refine((text) => !text.includes("\0"), { error: "cannot hold NUL" }))
  .min(1, { error: "must name a program" })
  .transform(([program = "", ...args]): readonly [string, ...string[]] => [program, ...args])
  .describe("Program and arguments, a list; no shell reads it.");

const common = { name: name.prefault("main").describe("Short name, part of the dumps' path."), onError, timeout, keepFiles };

const serverKeys = {
  ...common,
  socket: path.optional().describe("Path of its socket, or of the directory with it."),
  host: z.string().min(1).optional().describe("Name or address of its machine. Default: the local socket."),
  port: z.int().min(1).max(65_535).optional().describe("Its port."),
  user: z.string().min(1).optional().describe("User of the database server. Default: as its tools choose."),
  passwordFile: path.optional().describe("File whose first line is the password, mode 0600."),
  runAs: osUser.optional().describe("User of this machine to run its tools as. Default: postgres for a local PostgreSQL, when root."),
};

const PostgresqlKeys = z.strictObject({ type: z.literal("postgresql"), ...serverKeys, databases });
const MysqlKeys = z.strictObject({ type: z.literal("mysql"), ...serverKeys, databases });
const RedisKeys = z.strictObject({ type: z.literal("redis"), ...serverKeys });
const SqliteKeys = z.strictObject({ type: z.literal("sqlite"), ...common, path: path.describe("Path of the file; * and ? stand for parts of one name.") });

type ServerKeys = z.infer<typeof PostgresqlKeys> | z.infer<typeof MysqlKeys> | z.infer<typeof RedisKeys>;

function serverOf(keys: ServerKeys, context: z.RefinementCtx): ServerConfig {
  const { type, timeout: timeoutMs, socket, host, port, user, passwordFile, runAs, ...same } = keys;
  if (socket !== undefined && host !== undefined) context.addIssue({ code: "custom", path: ["host"], message: "stands beside `socket`", params: { hint: "Name either the socket or the host." } });
  const wanted = "databases" in keys ? (keys.databases ?? null) : null;
  return { ...same, type, timeoutMs, databases: wanted, socket: socket ?? null, host: host ?? null, port: port ?? null, user: user ?? null, passwordFile: passwordFile ?? null, runAs: runAs ?? null };
}

const Database = z
  .discriminatedUnion("type", [PostgresqlKeys, MysqlKeys, RedisKeys, SqliteKeys])
  .transform((keys, context): DatabaseConfig => {
    if (keys.type !== "sqlite") return serverOf(keys, context);
    const { timeout: timeoutMs, ...same } = keys;
    return { ...same, timeoutMs };
  });

/** A database server of this machine as it is when nobody says otherwise. */
export function usualDatabase(type: ServerConfig["type"]): DatabaseConfig {
  return Database.parse({ type });
}

const CommandKeys = z.strictObject({ name: name.describe("Short name, and that of its entry."), run: argv, timeout, onError, runAs: osUser.optional().describe("User of this machine to run it as.") });

const Command = CommandKeys.transform(({ run, timeout: timeoutMs, runAs, ...same }): CommandConfig => ({ ...same, argv: run, timeoutMs, runAs: runAs ?? null }));

const moment = z.enum(HOOK_MOMENTS).optional();

const HookKeys = z.strictObject({
  before: moment.describe("What it runs before: backup, restore or drill."),
  after: moment.describe("What it runs after, also when that failed: backup, restore or drill; or error, when any of them failed."),
  run: argv,
  timeout: durationUpTo(7).prefault(HOOK_TIMEOUT).describe("How long it may take. A duration like 5m."),
  onError: z.enum(["fail", "warn"]).prefault("fail").describe("What its failure makes of the run: fail, or only a warning."),
});

const Hook = HookKeys.transform(({ before, after, run, timeout: timeoutMs, onError: verdict }, context): HookConfig => {
  const at = before ?? after;
  if (at === undefined || (before !== undefined && after !== undefined)) {
    context.addIssue({ code: "custom", message: "needs either `before` or `after`", params: { hint: "Write one entry of the list for each.", missing: true } });
    return z.NEVER;
  }
  if (before === "error") context.addIssue({ code: "custom", path: ["before"], message: "cannot be `error`: nobody knows of one before it", params: { hint: "Write after: error." } });
  return { when: before === undefined ? "after" : "before", moment: at, argv: run, timeoutMs, onError: verdict };
});

function requireUnique<Item>(what: string, nameOf: (item: Item) => string) {
  return (items: Item[], context: z.RefinementCtx): void => {
    items.forEach((item, index) => {
      const key = nameOf(item);
      if (items.findIndex((other) => nameOf(other) === key) < index) context.addIssue({ code: "custom", path: [index], message: `the ${what} "${key}" stands here a second time`, params: { hint: "Give each its own `name`." } });
    });
  };
}

/** Keys for the top of the configuration. */
export const dataKeys = {
  databases: z.array(Database).max(256).prefault([]).superRefine(requireUnique("database", ({ type, name: own }) => `${type} ${own}`)).describe("Database servers and files that are dumped into the archive."),
  commands: z.array(Command).max(256).prefault([]).superRefine(requireUnique("command", ({ name: own }) => own)).describe("Programs whose output is archived."),
  hooks: z.array(Hook).max(64).prefault([]).describe("Programs that run before and after."),
};

/** The keys that may stand at a path into these sections; undefined outside of them. */
export function knownDataKeys([section]: readonly PropertyKey[]): string[] | undefined {
  const databaseKeys = [PostgresqlKeys, MysqlKeys, RedisKeys, SqliteKeys].flatMap(({ shape }) => Object.keys(shape));
  if (section === "databases") return [...new Set(databaseKeys)];
  if (section === "commands") return Object.keys(CommandKeys.shape);
  return section === "hooks" ? Object.keys(HookKeys.shape) : undefined;
}
