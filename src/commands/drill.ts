/** `coldkeep drill`: is an archive good enough to get everything back, tried for real. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { configPath, loadConfig, type LoadedConfig } from "../config/load.ts";
import { readSecretLine } from "../config/private-file.ts";
import { type DrillReport, runDrill } from "../engine/drill/run.ts";
import { drillSigner } from "../engine/drill/signer.ts";
import { OpenVault } from "../engine/open-vault.ts";
import { ColdkeepError } from "../errors.ts";
import { formatDuration, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { Outcome } from "./outcome.ts";
import { warnOfPassedOver } from "./passed-over.ts";
import { openKitAt } from "./passphrase.ts";
import { printable } from "./printable.ts";
import type { DrillOptions } from "./verb-options.ts";

const USUAL_STATE = "/var/lib/coldkeep";

/** This machine's configuration, where it is of that host: its folder is worked in, and its files can be compared. */
function configOf({ env, uid }: CommandContext, explicit: string | undefined, vault: string): LoadedConfig | null {
  const path = configPath(explicit, env, uid);
  if (explicit === undefined && !existsSync(path)) return null;
  try {
    const loaded = loadConfig(path);
    return loaded.config.vault === vault ? loaded : null;
  } catch (error) {
    // What is wrong with it is no word on the archive.
    if (error instanceof ColdkeepError && explicit === undefined) return null;
    throw error;
  }
}

export async function run(context: CommandContext, _args: readonly string[], options: DrillOptions): Promise<Outcome> {
  const { terminal, signal, cwd, secrets } = context;
  const kit = await openKitAt(context, options.kit, options);
  const keyLine = options.signerKey === undefined ? undefined : readSecretLine(resolve(cwd, options.signerKey));
  if (keyLine !== undefined) secrets.learn(keyLine);
  const signer = options.unrecorded || options.sabotage ? null : drillSigner(kit, keyLine);
  if (signer === null && !options.unrecorded && !options.sabotage) terminal.warn("nobody at hand may sign the result: no record is left", "Give --signer-key FILE with a drill signer's key, use the kit with an operator's key, or give --unrecorded.");
  const emit = emitTo(terminal);
  using vault = await OpenVault.open({ authority: { kind: "kit", kit }, region: options.region, host: options.host, emit, signal });
  const host = vault.host();
  const config = configOf(context, options.config, kit.vault);
  const work = options.work === undefined ? join(config?.config.state ?? USUAL_STATE, "drill") : resolve(cwd, options.work);
  const { archive, depth, sabotage, accept } = options;
  const cache = join(config?.config.state ?? USUAL_STATE, "base-systems");
  const report = await runDrill({ vault, archive, depth, sabotage, accept, program: context.program, cache, work, own: config?.config.host === host ? config : null, signer, emit, signal });
  const { exitStatus, ...document } = report;
  if (terminal.wantsJson) terminal.json(document);
  else tell(context, report);
  return { exitStatus, summary: { archive: report.archive, regions: {}, counts: { entries: report.entries, sourceBytes: report.bytes, problems: report.why.length } } };
}

function machineLines({ machine, rtoMs, rtoObjectiveMs }: DrillReport): string[] {
  if (machine === null) return [];
  const { rebuild, mails, interfaces, lacks } = machine;
  const objective = rtoObjectiveMs === null ? "" : `; the objective is ${formatDuration(rtoObjectiveMs)}`;
  return [
    `rebuilt   ${rebuild.steps.map(({ step, ms }) => `${step} ${formatDuration(ms)}`).join(", ")}`,
    `RTO       ${rtoMs === null ? "not measured: no health check says when it was up" : `${formatDuration(rtoMs)}${objective}`}`,
    `isolated  network ${interfaces.join(", ")} alone; ${mails} mails dropped`,
    ...lacks.map((each) => `lacks     ${printable(each)}`),
  ];
}

function tell({ terminal }: CommandContext, report: DrillReport): void {
  const { host, archive, result, sabotaged, why, stages, compared, notKept, damaged, ageMs, entries, bytes } = report;
  const times = stages.map(({ name, seconds }) => `${name} ${formatDuration(seconds * 1000)}`).join(", ");
  terminal.report([
    { before: "", word: result === "passed" ? "PASSED" : "FAILED", tone: (result === "failed") === sabotaged ? "good" : "bad", after: `  ${printable(host)}, archive ${archive}, ${formatDuration(ageMs)} old, depth ${report.depth}` },
    ...(result === "passed" ? [`restored  ${entries} entries, ${formatSize(bytes)}`] : []),
    `stages    ${times}`,
    ...(compared === null ? [] : [`sample    ${compared.same} of ${compared.files} files are as they are here now; ${compared.differing} differ, ${compared.gone} are gone here`]),
    ...machineLines(report),
    "cleaned   nothing is left of it on this machine",
    ...why.map((each) => `why       ${printable(each)}`),
  ]);
  warnOfPassedOver(terminal, report.passedOver);
  for (const what of notKept) terminal.warn(`not given back here: ${what}`, "Drill as root on a file system that keeps what the host's does.");
  if (damaged.length > 0) terminal.warn(`${damaged.length} objects were bad or missing in a region`, "Run `coldkeep repair`.");
  if (sabotaged) terminal.say(result === "failed" ? "the copy was damaged on purpose, and the drill noticed" : "the copy was damaged on purpose, and the drill did not notice");
  else if (result === "failed") terminal.warn("this archive could not be restored", "Run `coldkeep verify --level content --kit FILE` to see what is damaged, and drill an older archive with --archive ID.");
}

