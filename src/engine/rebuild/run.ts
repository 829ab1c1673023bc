/** A rebuild: the planned steps, each noted when it is done, so that whatever stops one is gone on from. */
import { existsSync, rmSync } from "node:fs";
import type { HookConfig } from "../../config/data-schema.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../../errors.ts";
import { withHooks } from "../../machine/hooks.ts";
import { releaseServices } from "../../machine/apt.ts";
import { formatDuration } from "../../units.ts";
import { RebuildJournal, type StepDone } from "./journal.ts";
import { type StepName, STEPS } from "./plan-types.ts";
import type { Step, StepContext } from "./step.ts";
import { checkHealth } from "./step-health.ts";
import { makeDatabases } from "./step-databases.ts";
import { makeFiles } from "./step-files.ts";
import { makePackages } from "./step-packages.ts";
import { makeServices } from "./step-services.ts";
import { makeUsers } from "./step-users.ts";

const STEP_OF: Record<StepName, Step> = {
  users: makeUsers,
  packages: makePackages,
  files: makeFiles,
  databases: makeDatabases,
  services: makeServices,
  health: checkHealth,
};

export type RebuildReport = {
  host: string;
  archive: string;
  archiveStartedAt: string;
  machine: string;
  steps: StepDone[];
  /** From the start of the command, also of one that was cut off, to the last health check; null where there was none to pass. */
  rtoMs: number | null;
  rtoObjectiveMs: number | null;
  durationMs: number;
  resumed: boolean;
  exitStatus: ExitStatus;
};

/** The same step fails in the same way until somebody does something about it. */
function failedStep(step: StepName, cause: unknown): unknown {
  if (!(cause instanceof ColdkeepError) || cause.code === "E_INTERRUPTED") return cause;
  const again = "then go on with: coldkeep restore --machine --kit FILE --resume";
  const hint = cause.hint === undefined ? `Put right what failed, ${again}.` : `${cause.hint.replace(/\.$/, ",")} ${again}.`;
  return new ColdkeepError(cause.code, `step ${step}: ${cause.message}`, { hint, cause });
}

/** The archived configuration's hooks; on a fresh machine the program of one that comes before may not be there yet. */
function hooksOf({ archived: { config }, emit }: StepContext): HookConfig[] {
  return config.hooks.filter(({ when, moment, argv: [program] }) => {
    if (when !== "before" || moment !== "restore" || !program.startsWith("/") || existsSync(program)) return true;
    emit({ kind: "warning", message: `the hook before restore (${program}) is not run: there is no such program yet` });
    return false;
  });
}

/** Throws what stopped a step, with its name, or a hook; everything up to there is kept, and `--resume` goes on. */
export function runRebuild(context: StepContext, startedAtMs: number): Promise<RebuildReport> {
  const { plan, emit, signal } = context;
  const facts = { COLDKEEP_HOST: plan.host, COLDKEEP_ARCHIVE: plan.archive };
  const warn = (message: string): void => emit({ kind: "warning", message });
  return withHooks({ hooks: hooksOf(context), moment: "restore", facts, warn, signal }, () => makeSteps(context, startedAtMs), ({ exitStatus }) => ({ COLDKEEP_OUTCOME: exitStatus === EXIT.partial ? "partial" : "done" }));
}

/** What runs is gone with the power, whatever the journal says; all else is on disk. */
function isStillDone(step: StepName, { done, isResumed }: RebuildJournal): boolean {
  return done.has(step) && !(isResumed && step === "services");
}

async function makeSteps(context: StepContext, startedAtMs: number): Promise<RebuildReport> {
  const { plan, journal, emit, signal } = context;
  for (const step of plan.steps) {
    if (isStillDone(step, journal)) continue;
    signal.throwIfAborted();
    const stepStartedMs = Date.now();
    journal.noteStep(step);
    emit({ kind: "progress", text: step });
    try {
      const notes = await STEP_OF[step](context);
      journal.noteDone(step, Date.now() - stepStartedMs, notes);
      for (const note of [...notes.lacks, ...notes.notes]) emit({ kind: "warning", message: note });
      emit({ kind: "detail", message: `${step}: ${formatDuration(Date.now() - stepStartedMs)}` });
    } catch (error) {
      signal.throwIfAborted();
      throw failedStep(step, error);
    }
  }
  // Where the step of services is not made, nothing may be held back for ever.
  releaseServices();
  rmSync(RebuildJournal.path("dumps"), { recursive: true, force: true });
  const report = reportOf(context, startedAtMs);
  journal.finish(report);
  return report;
}

function reportOf({ plan, journal }: StepContext, startedAtMs: number): RebuildReport {
  const steps = STEPS.flatMap((step) => journal.done.get(step) ?? []);
  const rtoMs = plan.steps.includes("health") && plan.checks.length > 0 ? Date.now() - Date.parse(journal.begunAt) : null;
  const isPartial = plan.passedOver.length > 0 || steps.some(({ lacks }) => lacks.length > 0);
  const isLate = rtoMs !== null && plan.rtoObjectiveMs !== null && rtoMs > plan.rtoObjectiveMs;
  return {
    host: plan.host,
    archive: plan.archive,
    archiveStartedAt: plan.archiveStartedAt,
    machine: plan.machine,
    steps,
    rtoMs,
    rtoObjectiveMs: plan.rtoObjectiveMs,
    durationMs: Date.now() - startedAtMs,
    resumed: journal.isResumed,
    exitStatus: isPartial ? EXIT.partial : isLate ? EXIT.threshold : EXIT.done,
  };
}
