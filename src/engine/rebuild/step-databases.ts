/** Databases: dumps are loaded into servers of this machine, and counted. One that holds anything is left alone, and the step fails. */
import { mkdirSync } from "node:fs";
import { beginLog, countRedis, redisLog } from "../../machine/databases/load-redis.ts";
import { loadDatabase, waitForServer } from "../../machine/databases/load.ts";
import type { CountDifference, LoadReport } from "../../machine/databases/load-report.ts";
import type { ServerAddress } from "../../machine/databases/postgresql-client.ts";
import { isLocalServer } from "../../machine/databases/source.ts";
import { ensureDataDirectory } from "../../machine/rebuild/data-directory.ts";
import { restartService, starterOf, stopService, unitStates } from "../../machine/rebuild/init-system.ts";
import { ColdkeepError } from "../../errors.ts";
import type { DataFact } from "../../format/data-facts.ts";
import { fetchPaths } from "./archived.ts";
import { RebuildJournal } from "./journal.ts";
import type { StepNotes } from "./plan-types.ts";
import type { StepContext } from "./step.ts";

const ANSWER_MS = 120_000;
const LOAD_MS = 12 * 3_600_000;
/** By which units a server is run, where the archive does not say. */
const USUAL_UNITS: Partial<Record<DataFact["engine"], string[]>> = { postgresql: ["postgresql.service"], mysql: ["mariadb.service", "mysql.service"], redis: ["redis-server.service", "redis.service"] };
const HERE: ServerAddress = { socket: null, host: null, port: null, user: null, passwordFile: null, runAs: null };

/** How the server is reached here: as it was configured. */
function addressOf({ engine, name, address }: DataFact, { archived: { config } }: StepContext): ServerAddress {
  const configured = config.databases.find((each) => each.type === engine && each.name === name);
  if (configured !== undefined && configured.type !== "sqlite") return configured;
  return { ...HERE, port: /^\d+$/.test(address) ? Number(address) : null };
}

/** The unit that starts it here. Throws E_NOT_FOUND. */
async function unitOf({ engine, name, unit }: DataFact, signal: AbortSignal): Promise<string> {
  const states = await unitStates(signal);
  const found = [unit, ...(USUAL_UNITS[engine] ?? [])].find((each) => each !== "" && starterOf(each, states) !== undefined);
  if (found !== undefined) return found;
  throw new ColdkeepError("E_NOT_FOUND", `nothing on this machine starts the ${engine} server of ${name}`, { hint: "Install its server," });
}

/** Throws E_DISK with what it said. */
async function startServer(unit: string, signal: AbortSignal): Promise<void> {
  const { ok, how, said } = await restartService(unit, signal);
  if (!ok) throw new ColdkeepError("E_DISK", `${how} failed:\n${said.join("\n")}`, { hint: "See the server's own log," });
}

type Loading = { fact: DataFact; target: ServerAddress; /** Whether what is there is of an earlier try. */ again: boolean; onBegin: () => void; context: StepContext };

function orderOf({ fact, target, again, onBegin, context: { signal } }: Loading): Parameters<typeof loadDatabase>[0] {
  return { fact, root: RebuildJournal.path("dumps"), target, replace: again, timeoutMs: LOAD_MS, into: "/", onBegin, signal };
}

async function loadServer(loading: Loading): Promise<LoadReport> {
  const { fact, target, context: { signal } } = loading;
  const unit = await unitOf(fact, signal);
  await ensureDataDirectory(fact, signal);
  await startServer(unit, signal);
  await waitForServer(fact.engine, target, ANSWER_MS, signal);
  return loadDatabase(orderOf(loading));
}

/** Redis writes an empty file when it stops: whether anything would be lost is asked of the running server. */
async function loadRedis(loading: Loading): Promise<LoadReport> {
  const { fact, target, again, context: { signal } } = loading;
  const unit = await unitOf(fact, signal);
  await startServer(unit, signal);
  await waitForServer("redis", target, ANSWER_MS, signal);
  const nothing = { ...fact, dumps: fact.dumps.map((dump) => ({ ...dump, rows: {} })) };
  if (!again && (await countRedis(nothing, target, signal)).length > 0) throw new ColdkeepError("E_REFUSED", `Redis ${fact.name} is there and holds something`, { hint: "See what it is (redis-cli --scan); FLUSHALL if nobody needs it," });
  const log = await redisLog(target, signal);
  loading.onBegin();
  const stopped = await stopService(unit, signal);
  if (!stopped.ok) throw new ColdkeepError("E_DISK", `${stopped.how} failed:\n${stopped.said.join("\n")}`);
  const order = orderOf({ ...loading, again: true });
  const report = await loadDatabase(order);
  if (log !== null) beginLog(order, log);
  await startServer(unit, signal);
  await waitForServer("redis", target, ANSWER_MS, signal);
  return { ...report, differences: await countRedis(fact, target, signal) };
}

function load(loading: Loading): Promise<LoadReport> {
  const { engine } = loading.fact;
  if (engine === "redis") return loadRedis(loading);
  return engine === "sqlite" || engine === "command" ? loadDatabase(orderOf(loading)) : loadServer(loading);
}

function told({ database, table, wanted, found }: CountDifference): string {
  return `${database}: ${table} has ${found} rows and had ${wanted}`;
}

/** Each is noted before its first change and when it is done: what a cut-off try left may be replaced, and nothing else. */
export async function makeDatabases(context: StepContext): Promise<StepNotes> {
  const { plan, archived, vault, journal, emit, signal } = context;
  const notes: string[] = [];
  const lacks: string[] = [];
  const facts = plan.databases.filter(({ engine, name }) => !journal.parts.has(`${engine} ${name} done`));
  if (facts.length > 0) {
    const target = RebuildJournal.path("dumps");
    mkdirSync(target, { recursive: true, mode: 0o700 });
    await fetchPaths(vault, archived, facts.flatMap(({ dumps }) => dumps.map(({ path }) => path)), target, emit, signal);
  }
  for (const fact of facts) {
    const label = `${fact.engine} ${fact.name}`;
    const target = addressOf(fact, context);
    if (!isLocalServer(target)) {
      notes.push(`${label} runs on ${target.host}: a rebuild of this machine does not write there`);
      continue;
    }
    const again = journal.parts.has(label);
    const onBegin = (): void => {
      if (!journal.parts.has(label)) journal.notePart(label);
    };
    emit({ kind: "progress", text: `loading ${label}` });
    const { differences, remarks } = await load({ fact, target, again, onBegin, context });
    lacks.push(...differences.map(told));
    notes.push(...remarks);
    journal.notePart(`${label} done`);
  }
  return { notes, lacks };
}
