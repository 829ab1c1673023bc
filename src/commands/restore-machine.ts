/** `coldkeep restore --machine`: this machine becomes the host that was archived. */
import { hostname } from "node:os";
import { prepareRebuild, resumeRebuild, unfinishedRebuild } from "../engine/rebuild/begin.ts";
import { type StepName, STEPS } from "../engine/rebuild/plan-types.ts";
import { runRebuild } from "../engine/rebuild/run.ts";
import type { StepContext } from "../engine/rebuild/step.ts";
import { ColdkeepError, EXIT } from "../errors.ts";
import { WAIVERS } from "../policy/adequacy.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { openSealedVault } from "./open.ts";
import type { Outcome } from "./outcome.ts";
import { planLines, reportLines } from "./rebuild-text.ts";
import type { RestoreOptions } from "./verb-options.ts";

function stepNames(given: readonly string[]): StepName[] {
  return STEPS.filter((step) => given.flatMap((each) => each.split(",")).includes(step));
}

export async function runMachine(context: CommandContext, options: RestoreOptions): Promise<Outcome> {
  const { terminal, signal } = context;
  const startedAtMs = context.now();
  const unfinished = unfinishedRebuild();
  if (unfinished !== null && !options.resume && !options.startOver && !options.plan) {
    throw new ColdkeepError("E_REFUSED", `a rebuild from archive ${unfinished.plan.archive} was begun here and is not finished`, { hint: "Go on with --resume, or begin anew with --start-over." });
  }
  if (options.resume && unfinished === null) throw new ColdkeepError("E_NOT_FOUND", "no rebuild was begun on this machine that is not finished", { hint: "Begin one with `coldkeep restore --machine --kit FILE --plan`." });
  if (!options.plan && !options.resume) checkConfirm(context, options.confirm);
  using vault = await openSealedVault(context, options);
  const ground = { vault, emit: emitTo(terminal), signal };
  if (options.resume && unfinished !== null) return await rebuild(context, await resumeRebuild(unfinished, ground, stepNames(options.skip)), startedAtMs);
  const accepted = WAIVERS.filter((each) => options.accept.includes(each));
  const choice = { accepted, only: stepNames(options.only), skip: stepNames(options.skip), packagesFrom: options.packagesFrom ?? null, takeOver: options.takeOver };
  const { plan, begin } = await prepareRebuild({ ...ground, archive: options.archive, choice, onlyLook: options.plan });
  if (terminal.wantsJson && options.plan) terminal.json({ ...plan });
  else if (options.plan) terminal.data(planLines(plan, context.now()).join("\n"));
  else for (const text of planLines(plan, context.now())) terminal.say(text);
  if (options.plan) return { exitStatus: plan.adequacy.verdict === "not adequate" ? EXIT.refused : EXIT.done, summary: { archive: plan.archive, regions: {}, counts: {} } };
  refuseLacking(plan.packages?.unavailable.map(({ name }) => name) ?? [], options.accept);
  await confirm(context, options.confirm);
  return await rebuild(context, begin(startedAtMs), startedAtMs);
}

/** What cannot be had is found out before anything is changed. */
function refuseLacking(packages: readonly string[], accepted: readonly string[]): void {
  const missing = packages.filter((name) => !accepted.includes("packages") && !accepted.includes(`package:${name}`));
  if (missing.length === 0) return;
  throw new ColdkeepError("E_REFUSED", `${missing.length === 1 ? "a package" : `${missing.length} packages`} cannot be had: ${missing.join(", ")}`, {
    hint: "Make their source reachable, give --packages-from DIR, or go on without them: --accept packages.",
  });
}

/** Whoever rebuilds the wrong machine loses it: its own name has to be said. */
async function confirm({ terminal, signal }: CommandContext, given: string | undefined): Promise<void> {
  if (given === undefined) checkName(await terminal.ask(`This changes this machine. Type its name, ${hostname()}, to go on:`, signal));
}

/** What can be known before a plan is made. */
function checkConfirm({ terminal }: CommandContext, given: string | undefined): void {
  if (given !== undefined) checkName(given);
  else if (!terminal.canAsk) throw new ColdkeepError("E_USAGE", "--confirm is missing", { hint: `To rebuild this machine, give its own name: --confirm ${hostname()}.` });
}

function checkName(answer: string): void {
  const name = hostname();
  if (answer !== name) throw new ColdkeepError("E_REFUSED", `this machine is called ${name}, not "${answer}": nothing was changed`, { hint: `If this is the machine to rebuild, give --confirm ${name}.` });
}

async function rebuild(context: CommandContext, step: StepContext, startedAtMs: number): Promise<Outcome> {
  const { terminal } = context;
  const report = await runRebuild(step, startedAtMs);
  const { exitStatus, ...rest } = report;
  if (!terminal.wantsJson) for (const text of reportLines(report)) terminal.say(text);
  const firstArchive = step.plan.takeOver ? await takeOver(context, step) : null;
  if (terminal.wantsJson) terminal.json({ ...rest, firstArchive });
  else if (firstArchive !== null) terminal.say(`this machine has taken over the chain of ${report.host} with archive ${firstArchive}`);
  else terminal.say(`coldkeep's own schedule is held; when this machine is ${report.host} from now on: coldkeep backup --take-over, then coldkeep schedule install`);
  return { exitStatus, summary: { archive: report.archive, regions: {}, counts: { entries: step.plan.files.entries, sourceBytes: step.plan.files.bytes } } };
}

/** The chain of archives goes on from this machine: the old one, should it wake up, is refused from here on. */
async function takeOver({ env, terminal, signal }: CommandContext, { plan }: StepContext): Promise<string | null> {
  const [{ loadConfig }, { runBackup }] = await Promise.all([import("../config/load.ts"), import("../engine/backup/run.ts")]);
  const order = { loaded: loadConfig(plan.configPath), env, dryRun: false, takeOver: true, newChain: false, acceptChanges: false, inBackground: false, emit: emitTo(terminal), signal };
  return (await runBackup(order)).archive;
}
