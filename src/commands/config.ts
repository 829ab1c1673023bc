/** `config check`, `config schema`, `config show`. */
import { configPath, loadConfig, type LoadedConfig } from "../config/load.ts";
import { type Config, configJsonSchema } from "../config/schema.ts";
import { formatRule } from "../config/retention-schema.ts";
import type { NotifyTarget } from "../config/watch-schema.ts";
import { checkSource, type SourceCheck } from "../engine/source-check.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import { signerLine } from "../format/kit.ts";
import { formatDuration, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { printable } from "./printable.ts";
import type { ConfigCheckOptions, ConfigSchemaOptions, ConfigShowOptions } from "./verb-options.ts";

function load(context: CommandContext, explicit: string | undefined): LoadedConfig {
  return loadConfig(configPath(explicit, context.env, context.uid));
}

/** Checks the configuration and walks its sources, counting what each pattern matches. */
export async function runCheck(context: CommandContext, _args: readonly string[], options: ConfigCheckOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const { config, path } = load(context, options.config);
  const sources: SourceCheck[] = [];
  for (const source of config.sources) {
    const onProgress = (entries: number): void => terminal.progress(`${source.path}: ${entries} entries`);
    sources.push(await checkSource(source, { excludedDirs: [config.state], signal, onProgress }));
  }
  if (terminal.wantsJson) terminal.json({ path, sources });
  else {
    terminal.data(`${printable(path)}: right`);
    for (const source of sources) printSource(terminal, source);
  }
  for (const source of sources) warnAbout(terminal, source);
  return sources.some((source) => source.problemsTotal > 0 || source.entries === 0) ? EXIT.partial : EXIT.done;
}

function printSource(terminal: CommandContext["terminal"], source: SourceCheck): void {
  terminal.data(`${printable(source.path)}: ${source.entries} entries, ${formatSize(source.sizeBytes)}`);
  for (const { pattern, matches } of source.patterns) terminal.data(`  ${String(matches).padStart(9)}  ${printable(pattern)}`);
  for (const mount of source.skippedMounts) terminal.data(`  not entered: ${printable(mount.path)} (${printable(mount.fsType)})`);
}

function warnAbout(terminal: CommandContext["terminal"], source: SourceCheck): void {
  for (const problem of source.problems) terminal.warn(`${problem.path}: ${problem.message}`);
  if (source.problemsTotal > source.problems.length) terminal.warn(`${source.path}: ${source.problemsTotal - source.problems.length} more problems`);
  for (const { pattern, matches } of source.patterns) {
    if (matches === 0) terminal.warn(`${source.path}: the pattern "${pattern}" matches nothing`, "A pattern with a slash inside is relative to the source; one that starts with a slash is an absolute path.");
  }
}

/** Prints the JSON Schema of the configuration. */
export async function runSchema(context: CommandContext, _args: readonly string[], _options: ConfigSchemaOptions): Promise<ExitStatus> {
  const schema = configJsonSchema();
  if (context.terminal.wantsJson) context.terminal.json({ schema });
  else context.terminal.data(JSON.stringify(schema, null, 2));
  return EXIT.done;
}

/** Prints the configuration as it is understood. */
export async function runShow(context: CommandContext, _args: readonly string[], options: ConfigShowOptions): Promise<ExitStatus> {
  const { config, path } = load(context, options.config);
  if (context.terminal.wantsJson) context.terminal.json({ path, config });
  else context.terminal.data([`configuration  ${printable(path)}`, ...describe(config)].join("\n"));
  return EXIT.done;
}

function describeObjectives({ rpoMs, rtoMs, verifyEveryMs, drillEveryMs }: Config["objectives"]): string {
  const named = { rpo: rpoMs, rto: rtoMs, verifyEvery: verifyEveryMs, drillEvery: drillEveryMs };
  return Object.entries(named).flatMap(([name, ms]) => (ms === null ? [] : [`${name} ${formatDuration(ms)}`])).join(", ");
}

function describeSafety({ minSizeBytes, maxChange, mustExist }: Config["safety"]): string {
  const size = minSizeBytes === null ? "no least size" : `at least ${formatSize(minSizeBytes)}`;
  const change = maxChange === null ? "any change" : `changes up to ${Math.round(maxChange * 1000) / 10} %`;
  return [size, change, ...mustExist.map((path) => `with ${path}`)].join(", ");
}

/** Not the whole address: some work for whoever knows them. */
function addressText({ address }: NotifyTarget): string {
  return "url" in address ? new URL(address.url).origin : address.urlFile;
}

function describe(config: Config): string[] {
  const row = (name: string, value: string): string => `${name.padEnd(13)}  ${printable(value)}`;
  return [
    row("vault", config.vault),
    row("host", config.host),
    ...config.regions.map(({ name, url, retryMs, deadlineMs }) => row("region", `${name}  ${url}  (retry ${formatDuration(retryMs)}, deadline ${formatDuration(deadlineMs)})`)),
    row("copies", `${config.copies} of ${config.regions.length}`),
    ...config.recipients.map((recipient) => row("recipient", recipient)),
    ...config.signers.map((signer) => row("signer", signerLine(signer))),
    ...config.sources.flatMap(({ path, exclude }) => [row("source", path), ...exclude.map((pattern) => row("", `without ${pattern}`))]),
    row("state", config.state),
    row("compression", String(config.compressionLevel)),
    row("volumeSize", formatSize(config.volumeSizeBytes)),
    row("memory", config.memoryBytes === null ? "by the cores" : formatSize(config.memoryBytes)),
    row("objectives", describeObjectives(config.objectives)),
    row("safety", describeSafety(config.safety)),
    row("retention", config.retention === null ? "for ever" : `${formatRule(config.retention.rule)}, signed by the ${config.retention.signedBy}`),
    row("readers", config.readers === null ? "by the cores" : String(config.readers)),
    row("schedule", `${config.schedule.at}, up to ${formatDuration(config.schedule.randomDelayMs)} later`),
    ...(config.schedule.verify === undefined ? [] : [row("", `verify ${config.schedule.verify.at}`)]),
    ...config.health.map(({ name, kind }) => row("health", `${name} (${kind})`)),
    ...config.notify.map((target) => row("notify", `${target.kind} ${addressText(target)} of ${target.on.join(", ")}${target.verbs === null ? "" : ` (${target.verbs.join(", ")})`}`)),
    ...(config.metrics === null ? [] : [row("metrics", config.metrics.textfile)]),
    ...(config.log === null ? [] : [row("log", `${config.log.file} (${config.log.level})`)]),
  ];
}
