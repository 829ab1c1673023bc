/** `coldkeep init`: the guided beginning, every answer of which has a flag. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { configPath, defaultStateDir, loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { initHost, type InitReport } from "../engine/init.ts";
import { ColdkeepError, EXIT, type ExitStatus } from "../errors.ts";
import { REGION_NAME } from "../format/kit.ts";
import { isHostLabel } from "../format/object-key.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { InitOptions } from "./verb-options.ts";

const ROOT_SOURCES = ["/etc", "/home", "/root", "/srv", "/opt", "/usr/local", "/var/lib", "/var/www", "/var/spool/cron"];
const KIT_NAME = "coldkeep-kit.txt";

function hostLabel(given: string | undefined): string {
  const label = given ?? hostname().toLowerCase().replace(/[^a-z0-9.-]/g, "-").replace(/^[^a-z0-9]+/, "");
  if (isHostLabel(label)) return label;
  throw new ColdkeepError("E_USAGE", `"${label}" cannot be a host label`, { hint: "Give --host with small letters, digits, dots and dashes." });
}

function parseRegion(text: string): { name: string; url: string } {
  const equals = text.indexOf("=");
  const name = text.slice(0, Math.max(0, equals));
  if (REGION_NAME.test(name)) return { name, url: text.slice(equals + 1) };
  throw new ColdkeepError("E_USAGE", `"${text}" is not a region`, { hint: "Write NAME=URL, like usb=file:///mnt/usb/vault; names have small letters, digits and dashes." });
}

/** Two directories beside the state: enough to try everything, and no protection against the loss of this machine. */
function localRegions(stateDir: string): { name: string; url: string }[] {
  const folder = join(dirname(stateDir), basename(stateDir) === "coldkeep" ? "coldkeep-regions" : "regions");
  return ["a", "b"].map((name) => ({ name, url: `file://${encodeURI(join(folder, name))}` }));
}

function defaultSources(context: CommandContext): string[] {
  if (context.uid === 0) return ROOT_SOURCES.filter((path) => existsSync(path));
  const home = context.env["HOME"];
  if (home?.startsWith("/") === true) return [home];
  throw new ColdkeepError("E_USAGE", "--source is missing, and HOME is not set", { hint: "Give --source PATH." });
}

/** What the flags leave open comes from the configuration that is there, so that a second call agrees with the first. */
function existing(path: string): Config | undefined {
  return existsSync(path) ? loadConfig(path).config : undefined;
}

export async function run(context: CommandContext, _args: readonly string[], options: InitOptions): Promise<ExitStatus> {
  const { terminal } = context;
  const path = configPath(options.config, context.env, context.uid);
  const known = existing(path);
  const stateDir = known?.state ?? defaultStateDir(path, context.uid);
  const isLocal = options.region.length === 0 && known === undefined;
  const givenRegions = options.region.map(parseRegion);
  const report = await initHost({
    configPath: path,
    host: options.host === undefined && known !== undefined ? known.host : hostLabel(options.host),
    regions: givenRegions.length > 0 ? givenRegions : (known?.regions.map(({ name, url }) => ({ name, url })) ?? localRegions(stateDir)),
    sources: (options.source.length > 0 ? options.source.map((source) => resolve(context.cwd, source)) : (known?.sources.map((source) => source.path) ?? defaultSources(context))).map((source) => ({ path: source, exclude: [] })),
    recipients: [...options.recipient],
    stateDir,
    kitPath: resolve(context.cwd, options.kit ?? KIT_NAME),
    wantsKit: options.kit !== undefined,
    emit: emitTo(terminal),
  });
  if (terminal.wantsJson) terminal.json({ ...report });
  else tell(context, report, isLocal);
  if (isLocal) terminal.warn("both regions are directories on this machine: that is no off-site copy", "Give --region NAME=URL for places elsewhere, or edit the configuration.");
  return EXIT.done;
}

function tell({ terminal }: CommandContext, report: InitReport, isLocal: boolean): void {
  if (report.unchanged) {
    terminal.say(`already set up: ${report.config}`);
    return;
  }
  terminal.say(`${report.joined ? "joined" : "made"} vault ${report.vault} as host ${report.host}`);
  for (const region of report.regions) terminal.say(`  region ${region.name}: ${region.url}`);
  terminal.say(`configuration: ${report.config}`);
  if (report.joined || report.kitWritten === null) {
    terminal.say("add this line to the kit, so that restores trust this host:");
    terminal.say(`  # signer: ${report.signerLine}`);
  }
  if (report.kitWritten !== null) {
    terminal.say(`kit: ${report.kitWritten}`);
    if (report.kitHoldsIdentity) terminal.warn("the kit holds the only key to the archives", `Move ${report.kitWritten} off this host, and keep a second copy.`);
  }
  terminal.say(`next: ${isLocal ? "edit the regions, then " : ""}\`coldkeep backup --dry-run\``);
}
