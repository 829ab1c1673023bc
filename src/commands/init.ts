/** `coldkeep init`: the beginning, in questions on a terminal, every answer of which has a flag. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { configPath, defaultStateDir, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { initHost, type InitOrder, type InitReport } from "../engine/init.ts";
import { usualSources } from "../engine/machine-survey.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { defaultLabel, KIT_NAME, localRegions, parseLabel, parseRegion } from "./init-answers.ts";
import { guideInit } from "./init-guide.ts";
import type { InitOptions } from "./verb-options.ts";

function defaultSources({ uid, env }: CommandContext): string[] {
  const sources = usualSources(uid, env["HOME"]);
  if (sources.length > 0) return sources;
  throw new ColdkeepError("E_USAGE", "--source is missing, and HOME is not set", { hint: "Give --source PATH." });
}

/** What the flags leave open comes from the configuration that is there, so that a second call agrees with the first. */
function existing(path: string): Config | undefined {
  return existsSync(path) ? loadConfig(path).config : undefined;
}

/** Without questions: what the flags say, and what is usual. */
function orderOf(context: CommandContext, options: InitOptions, path: string, known: Config | undefined): InitOrder {
  const stateDir = known?.state ?? defaultStateDir(path, context.uid);
  const givenRegions = options.region.map(parseRegion);
  return {
    configPath: path,
    host: options.host === undefined && known !== undefined ? known.host : parseLabel(options.host ?? defaultLabel()),
    regions: givenRegions.length > 0 ? givenRegions : (known?.regions.map(({ name, url }) => ({ name, url })) ?? localRegions(stateDir)),
    databases: [],
    sources: (options.source.length > 0 ? options.source.map((source) => resolve(context.cwd, source)) : (known?.sources.map((source) => source.path) ?? defaultSources(context))).map((source) => ({ path: source, exclude: [] })),
    recipients: [...options.recipient],
    stateDir,
    kitPath: resolve(context.cwd, options.kit ?? KIT_NAME),
    wantsKit: options.kit !== undefined,
    emit: emitTo(context.terminal),
  };
}

export async function run(context: CommandContext, _args: readonly string[], options: InitOptions): Promise<ExitStatus> {
  const { terminal } = context;
  const path = configPath(options.config, context.env, context.uid);
  const known = existing(path);
  const isGuided = terminal.canAsk && !options.yes && known === undefined;
  const { order, plan } = isGuided ? await guideInit(context, options, path) : { order: orderOf(context, options, path, known), plan: undefined };
  const report = await initHost(order, plan);
  const isLocal = !report.unchanged && JSON.stringify(order.regions) === JSON.stringify(localRegions(order.stateDir));
  if (terminal.wantsJson) terminal.json({ ...report });
  else tell(context, report, isLocal);
  const isChosen = report.kitHoldsIdentity || order.recipients.length > 0;
  if (isChosen && report.recipients.length === 1) terminal.warn("a single identity opens the archives: when it is lost, so are they", "Make a second one elsewhere with `coldkeep key new --kit FILE --to FILE`, and add its recipient to the configuration.");
  if (isLocal) terminal.warn("both regions are directories on this machine: that is no off-site copy", "Give --region NAME=URL for places elsewhere, or edit the configuration.");
  return EXIT.done;
}

function tell({ terminal }: CommandContext, report: InitReport, isLocal: boolean): void {
  if (report.unchanged) {
    terminal.say(`already set up: ${report.config}`);
    if (report.signerMade) terminal.warn("keys of this host were made anew: no kit trusts them yet", `Run where the kit is kept: coldkeep signer trust ${report.signerLine} --kit FILE.`);
    return;
  }
  terminal.say(`${report.joined ? "joined" : "made"} vault ${report.vault} as host ${report.host}`);
  for (const region of report.regions) terminal.say(`  region ${region.name}: ${region.url}`);
  terminal.say(`configuration: ${report.config}`);
  if (report.joined || report.kitWritten === null) {
    terminal.say("add this line to the kit, so that restores trust this host:");
    terminal.say(`  # signer: ${report.signerLine}`);
    if (!report.knowsOperator) terminal.say(`and the kit's "operator ed25519:…" to the signers of ${report.config}, so that this host believes what \`prune\`, \`hold\` and \`drill\` record`);
  }
  if (report.kitWritten !== null) {
    terminal.say(`kit: ${report.kitWritten}`);
    if (report.kitHoldsIdentity) terminal.warn("the kit holds the only key to the archives", `Move ${report.kitWritten} off this host, and keep a second copy.`);
  }
  terminal.say(`next: ${isLocal ? "edit the regions, then " : ""}\`coldkeep backup --dry-run\``);
}
