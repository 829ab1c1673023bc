/** What surrounds a verb whose runs are recorded: its start and its end in history, log, metrics and alarms. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readKitFile } from "../config/kit-file.ts";
import { configPath, loadConfig, type LoadedConfig } from "../config/load.ts";
import { looseSurroundings, type Surroundings, surroundingsOf } from "../config/surroundings.ts";
import { ColdkeepError, type ExitStatus } from "../errors.ts";
import type { CommandContext, RecordAs } from "./command.ts";
import { failureOf } from "./failure.ts";
import { exitStatusOf, type Outcome } from "./outcome.ts";

/** How long a run is left alone to start its threads and ask its regions, before what surrounds it takes time of its own. */
const START_MS = 300;

/** The configuration this run belongs to; `loaded` where it could be loaded. */
type Found = { surroundings: Surroundings; loaded: LoadedConfig | undefined };

/** Runs the verb, and reports its failure itself: whoever waits for the alarms should know by then. */
export async function recordedRun(context: CommandContext, as: RecordAs, verb: (context: CommandContext) => Promise<Outcome>): Promise<ExitStatus> {
  const found = findSurroundings(context, as);
  if (found === null) return exitStatusOf(await verb(context));
  const { surroundings, loaded } = found;
  const { terminal, log, secrets, version, runId, verbosity } = context;
  log.nameHost(surroundings.host);
  if (surroundings.log !== null && !log.isOpen) log.open(surroundings.log.file, verbosity === "verbose" ? "debug" : surroundings.log.level);
  const run = { runId, verb: as.verb, level: as.level ?? null, samplePercent: as.samplePercent ?? null, startedAtMs: context.now() };
  log.note("info", `${as.verb} begins`, { event: "begin", verifyLevel: as.level, version });
  const running = verb({ ...context, loaded });
  const ground = { surroundings, log, secrets, version, warn: (message: string, hint: string) => terminal.warn(message, hint) };
  const record = underWay(running).then(async () => (await import("../engine/monitoring/run-record.ts")).RunRecord.begin(run, ground));
  try {
    const outcome = await running;
    const exitStatus = exitStatusOf(outcome);
    await (await record).finish({ exitStatus, error: null, summary: typeof outcome === "number" ? null : outcome.summary });
    return exitStatus;
  } catch (error) {
    const { exitStatus, report } = failureOf(error, context.signal);
    if (report !== null) terminal.fail(report);
    await (await record).finish({ exitStatus, error: report, summary: null });
    return exitStatus;
  }
}

/** Resolves when the run has had the time to start, or has ended already. */
function underWay(running: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, START_MS);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    running.then(end, end);
  });
}

/** Null for a run that is not about this host, or on a machine that is none: there is nobody who would look it up here. */
function findSurroundings(context: CommandContext, { config, kit, host }: RecordAs): Found | null {
  const path = configPath(config, context.env, context.uid);
  if (!existsSync(path)) return null;
  try {
    const loaded = loadConfig(path);
    const isOwn = (host ?? loaded.config.host) === loaded.config.host && (kit === undefined || isOfVault(resolve(context.cwd, kit), loaded.config.vault));
    return isOwn ? { surroundings: surroundingsOf(loaded.config), loaded: kit === undefined ? loaded : undefined } : null;
  } catch (error) {
    if (!(error instanceof ColdkeepError)) throw error;
    // The verb fails with the same error, and that is a run of this host to tell of; what a kit is about nobody knows then.
    const surroundings = kit === undefined ? looseSurroundings(path) : null;
    return surroundings === null ? null : { surroundings, loaded: undefined };
  }
}

function isOfVault(kitPath: string, vault: string): boolean {
  return readKitFile(kitPath)?.vault === vault;
}
