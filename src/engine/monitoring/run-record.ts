/**
 * One run, for those who were not there: kept in the history, told to alarms, shown in the metrics. Nothing that goes wrong
 * here changes how the run ends or holds it up for long; it is a warning.
 */
import { randomUUID } from "node:crypto";
import type { Surroundings } from "../../config/surroundings.ts";
import { EXIT, type ExitStatus, messageOf } from "../../errors.ts";
import { alarmEventOf, type AlarmEvent, type RecordedVerb } from "../../policy/run-outcome.ts";
import type { Secrets } from "../../policy/secrets.ts";
import { type BegunRun, RunHistory, type RunEnd, type RunSummary } from "../../state/run-history.ts";
import type { RunMessage } from "./alarm-message.ts";
import type { AlarmReport, Alarms } from "./alarms.ts";
import type { RunLog } from "./run-log.ts";

export type { RunSummary };

/** What a record needs from around it. */
export type RecordGround = {
  surroundings: Surroundings;
  log: RunLog;
  secrets: Secrets;
  version: string;
  warn: (message: string, hint: string) => void;
};

/** How a run ended, as the one who ran it saw it. */
export type RunOutcome = {
  exitStatus: ExitStatus;
  error: { code: string; message: string; hint?: string | undefined } | null;
  summary: RunSummary | null;
};

/** A run that ends sooner, as one that finds the host held, has nothing to announce. */
const START_AFTER_MS = 2000;
/** How long the alarms at the end may take in all; less where somebody waits for an interrupted run to go away. */
const END_ALARMS_MS = 20_000;
const INTERRUPTED_ALARMS_MS = 8000;
const LOG_LEVEL_OF = { start: "info", success: "info", partial: "warn", fail: "error" } as const;
const HISTORY_HINT = "The run itself goes on; only its place in the history is lost.";

export class RunRecord {
  readonly #run: BegunRun;
  readonly #ground: RecordGround;
  readonly #history: RunHistory | null;
  readonly #alarms: Promise<Alarms> | null;
  readonly #starting = new AbortController();
  /** What came of telling the start; rejects never. */
  #started: Promise<AlarmReport[]> = Promise.resolve([]);
  readonly #timer: NodeJS.Timeout | undefined;

  private constructor(run: BegunRun, ground: RecordGround, history: RunHistory | null) {
    const { surroundings, secrets } = ground;
    this.#run = run;
    this.#ground = ground;
    this.#history = history;
    const targets = surroundings.notify;
    this.#alarms = targets.length === 0 ? null : import("./alarms.ts").then((module) => new module.Alarms(targets, secrets));
    if (this.#alarms !== null) this.#timer = setTimeout(() => void (this.#started = this.#tellStart()), START_AFTER_MS).unref();
  }

  /** Notes that the run has begun; whoever wants to know is told soon. */
  static begin(run: BegunRun, ground: RecordGround): RunRecord {
    const { surroundings, warn } = ground;
    let history: RunHistory | null = null;
    try {
      if (surroundings.state !== null) history = new RunHistory(surroundings.state);
      history?.begin(run);
    } catch (error) {
      warn(messageOf(error), HISTORY_HINT);
    }
    return new RunRecord(run, ground, history);
  }

  /** Notes and tells how it ended. Resolves when that is done or given up; never throws. */
  async finish(outcome: RunOutcome): Promise<void> {
    clearTimeout(this.#timer);
    const { exitStatus, summary } = outcome;
    const error = outcome.error === null ? null : { code: outcome.error.code, message: this.#ground.secrets.without(outcome.error.message) };
    const end: RunEnd = { finishedAtMs: Math.max(Date.now(), this.#run.startedAtMs), exitStatus, error, summary };
    this.#keep(() => this.#history?.finish(this.#run, end));
    await this.#writeMetrics(end);
    this.#keep(() => this.#history?.close());
    const level = LOG_LEVEL_OF[alarmEventOf(exitStatus) ?? "partial"];
    this.#ground.log.note(level, `${this.#run.verb} ends with exit ${exitStatus}`, { event: "end", exitStatus, durationMs: end.finishedAtMs - this.#run.startedAtMs, ...summary, ...(error !== null && { error }) });
    await this.#tellEnd(outcome, end);
  }

  #keep(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#ground.warn(messageOf(error), HISTORY_HINT);
    }
  }

  async #writeMetrics(end: RunEnd): Promise<void> {
    const { surroundings, version, warn } = this.#ground;
    const { metrics, host, vault, regions, objectives } = surroundings;
    if (metrics === null) return;
    try {
      const { formatMetrics, gatherFacts, writeMetrics } = await import("./metrics.ts");
      const facts = gatherFacts(this.#history, { ...this.#run, end, isRunning: false });
      writeMetrics(metrics.textfile, formatMetrics({ host, vault, version, regions, rpoMs: objectives.rpoMs }, facts));
    } catch (error) {
      warn(`cannot write the metrics to ${metrics.textfile}: ${messageOf(error)}`, "Check that its folder is there, has room and may be written by this user.");
    }
  }

  async #tellStart(): Promise<AlarmReport[]> {
    const reports = await this.#send("start", null, null, this.#starting.signal);
    return this.#starting.signal.aborted ? [] : reports;
  }

  async #tellEnd(outcome: RunOutcome, end: RunEnd): Promise<void> {
    const event = alarmEventOf(outcome.exitStatus);
    // What is still on its way would only be told after the end.
    this.#starting.abort();
    const faults = new Map((await this.#started).map(({ target, fault }) => [target, fault]));
    const limitMs = outcome.exitStatus === EXIT.interrupted ? INTERRUPTED_ALARMS_MS : END_ALARMS_MS;
    const ended = event === null ? [] : await this.#send(event, outcome, end, AbortSignal.timeout(limitMs));
    for (const { target, fault } of ended) faults.set(target, fault);
    for (const [target, fault] of faults) if (fault !== null) this.#ground.warn(`alarm not delivered: ${target}: ${fault}`, "The run itself is not affected. Try it with `coldkeep notify test`.");
  }

  async #send(event: AlarmEvent, outcome: RunOutcome | null, end: RunEnd | null, signal: AbortSignal): Promise<AlarmReport[]> {
    if (this.#alarms === null) return [];
    const { log, surroundings } = this.#ground;
    const alarms = await this.#alarms;
    return alarms.send(messageFor(this.#run, surroundings, event, outcome, end), (count) => log.lastLines(count), signal);
  }
}

function messageFor(run: BegunRun, { host, vault }: Surroundings, event: AlarmEvent, outcome: RunOutcome | null, end: RunEnd | null): RunMessage {
  const { runId, verb, level, startedAtMs } = run;
  const error = outcome?.error ?? null;
  return {
    schemaVersion: 1,
    event,
    test: false,
    host,
    vault,
    runId,
    verb,
    level,
    exitStatus: outcome?.exitStatus ?? null,
    archive: outcome?.summary?.archive ?? null,
    error: error === null ? null : { code: error.code, message: error.message, hint: error.hint ?? null },
    startedAt: new Date(startedAtMs).toISOString(),
    finishedAt: end === null ? null : new Date(end.finishedAtMs).toISOString(),
    regions: outcome?.summary?.regions ?? {},
    counts: outcome?.summary?.counts ?? {},
  };
}

/** How a message that is only a test looks, for each event. */
const TEST_STATUS: Record<AlarmEvent, ExitStatus | null> = { start: null, success: EXIT.done, partial: EXIT.partial, fail: EXIT.failed };

/** Tells everyone of a run that there was not, whatever they want to be told of. */
export async function sendTestAlarm(surroundings: Surroundings, secrets: Secrets, event: AlarmEvent, signal: AbortSignal): Promise<AlarmReport[]> {
  const module = await import("./alarms.ts");
  const now = Date.now();
  const verb: RecordedVerb = "backup";
  const run: BegunRun = { runId: randomUUID(), verb, level: null, samplePercent: null, startedAtMs: now };
  const exitStatus = TEST_STATUS[event];
  const error = event === "fail" ? { code: "E_TEST", message: "this is a test of `coldkeep notify test`; nothing has failed" } : null;
  const outcome = exitStatus === null ? null : { exitStatus, error, summary: null };
  const end = exitStatus === null ? null : { finishedAtMs: now, exitStatus, error, summary: null };
  const message = { ...messageFor(run, surroundings, event, outcome, end), test: true };
  return new module.Alarms(surroundings.notify, secrets).send(message, () => ["(the last lines of a run would stand here)"], AbortSignal.any([signal, AbortSignal.timeout(END_ALARMS_MS)]), true);
}
