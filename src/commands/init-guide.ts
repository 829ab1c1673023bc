/** `coldkeep init` on a terminal: question after question, and nothing is written before the last is answered. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { defaultStateDir } from "../config/load.ts";
import { checkRecipients, type InitOrder, type InitPlan, planInit } from "../engine/init.ts";
import { type MachineSurvey, surveyMachine, type SurveyedPath } from "../engine/machine-survey.ts";
import { probeRegion } from "../engine/region-probe.ts";
import { ColdkeepError } from "../errors.ts";
import { formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { defaultLabel, KIT_NAME, localRegions, type NamedRegion, parseLabel, parseRegion } from "./init-answers.ts";
import { chosenSources } from "./init-sources.ts";
import type { InitOptions } from "./verb-options.ts";

/** Time for the size of one path. */
const SURVEY_MS = 500;

export type GuidedInit = { order: InitOrder; plan: InitPlan };

class Guide {
  readonly #context: CommandContext;
  readonly #options: InitOptions;
  readonly #stateDir: string;
  readonly #configPath: string;
  /** Database servers that answered. */
  #databases: MachineSurvey["databases"] = [];
  /** The vault that the regions named so far hold; null for none. */
  #vault: string | null = null;

  constructor(context: CommandContext, options: InitOptions, configPath: string) {
    this.#context = context;
    this.#options = options;
    this.#configPath = configPath;
    this.#stateDir = defaultStateDir(configPath, context.uid);
  }

  async run(): Promise<GuidedInit> {
    this.#say("This sets up this machine to be archived. Enter takes what stands in brackets.", "Nothing is written before the last question; Ctrl-C leaves.");
    const host = await this.#host();
    const sources = await this.#sources();
    const regions = await this.#regions(host);
    const recipients = await this.#recipients();
    const order = {
      configPath: this.#configPath,
      host,
      regions,
      sources: sources.map((path) => ({ path, exclude: [] })),
      databases: this.#databases,
      recipients,
      stateDir: this.#stateDir,
      emit: emitTo(this.#context.terminal),
    };
    const guided = await this.#kit(order);
    await this.#confirm(guided);
    return guided;
  }

  #say(...lines: string[]): void {
    for (const line of lines) this.#context.terminal.say(line);
  }

  /** Asks until `parse` takes the answer: a wrong one is said, and nothing else is lost. */
  async #ask<T>(question: string, parse: (answer: string) => T | Promise<T>): Promise<T> {
    const { terminal, signal } = this.#context;
    for (;;) {
      const answer = await terminal.ask(question, signal);
      try {
        return await parse(answer);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ColdkeepError) || error.code === "E_INTERNAL") throw error;
        terminal.warn(error.message, error.hint);
      }
    }
  }

  async #host(): Promise<string> {
    if (this.#options.host !== undefined) return parseLabel(this.#options.host);
    this.#say("", "The name of this machine in the vault (--host).");
    return this.#ask(`Host [${defaultLabel()}]:`, (answer) => parseLabel(answer === "" ? defaultLabel() : answer));
  }

  async #sources(): Promise<string[]> {
    const { source } = this.#options;
    const { cwd, uid, env, signal } = this.#context;
    if (source.length > 0) return source.map((path) => resolve(cwd, path));
    this.#say("", "What to archive (--source). Looking at this machine…");
    const survey = await surveyMachine({ uid, home: env["HOME"], limitMs: SURVEY_MS, signal });
    this.#databases = survey.databases;
    this.#tellSurvey(survey);
    this.#say("Enter takes all of them. Or give the numbers to take, and absolute paths of others.");
    return this.#ask("Sources [all]:", (answer) => chosenSources(answer, survey.sources.map(({ path }) => path)));
  }

  #tellSurvey({ sources, services, databases }: MachineSurvey): void {
    const width = Math.max(...sources.map(({ path }) => path.length), 0);
    sources.forEach((source, index) => this.#say(`  ${String(index + 1).padStart(2)}  ${source.path.padEnd(width)}  ${sizeOf(source)}`));
    for (const service of services) {
      this.#say(`  ${service.what}, ${service.path}, ${sizeOf(service)}`);
      if (service.remark === null) continue;
      this.#context.terminal.warn(`${service.what}: ${service.remark}`);
    }
    if (databases.length > 0) this.#say(`  What is running and answers will be dumped into each archive: ${databases.join(", ")}.`);
  }

  async #regions(host: string): Promise<NamedRegion[]> {
    const regions: NamedRegion[] = [];
    const add = async (text: string): Promise<void> => {
      const region = parseRegion(text);
      await this.#try(region, regions, host);
      regions.push(region);
    };
    for (const given of this.#options.region) await add(given);
    if (regions.length > 0) return regions;
    this.#say(
      "",
      "Regions (--region): each holds a full copy. Two in different places outlive the loss of one.",
      "  file:///mnt/usb/vault  a directory: a mounted disk or network share",
      "  s3://bucket/prefix?endpoint=https://host  a bucket of any S3 server, whose keys stand in",
      "    COLDKEEP_<NAME>_ACCESS_KEY_ID and COLDKEEP_<NAME>_SECRET_ACCESS_KEY, or in a file: &credentials-file=/path",
      "Each is tried at once. Write NAME=URL, like usb=file:///mnt/usb/vault.",
    );
    for (let isDone = false; !isDone; ) {
      const none = regions.length === 0 ? "two directories on this machine, to try it out" : "no more";
      isDone = await this.#ask(`Region ${regions.length + 1} [${none}]:`, async (answer) => {
        if (answer !== "") await add(answer);
        else if (regions.length === 0) regions.push(...localRegions(this.#stateDir));
        else return regions.length > 1 || (await this.#accept("One region only: when it is lost, every archive is. Go on with one?"));
        return answer === "";
      });
    }
    return regions;
  }

  /** Throws what is wrong with a region. */
  async #try(region: NamedRegion, others: readonly NamedRegion[], host: string): Promise<void> {
    const twin = others.find(({ name, url }) => name === region.name || url === region.url);
    if (twin !== undefined) throw new ColdkeepError("E_USAGE", `region "${twin.name}" is there already: ${twin.url}`, { hint: "Give another name and another place." });
    const { vault, warnings } = await probeRegion(region, host, this.#context.signal);
    if (vault !== null && this.#vault !== null && vault !== this.#vault) {
      throw new ColdkeepError("E_REFUSED", `region "${region.name}" holds the vault ${vault}, another region the vault ${this.#vault}`, { hint: "Use another prefix or directory: all regions hold copies of one vault." });
    }
    this.#vault = vault ?? this.#vault;
    this.#say(`  region ${region.name}: reached, written and read back${vault === null ? "" : `; it holds the vault ${vault}, which this host joins`}`);
    for (const { name, message, hint } of warnings) this.#context.terminal.warn(`${name}: ${message}`, hint);
  }

  async #recipients(): Promise<string[]> {
    const { recipient } = this.#options;
    if (recipient.length > 0) return checkRecipients(recipient);
    this.#say(
      "",
      "Who can read the archives (--recipient): public age keys, age1…, with blanks between them.",
      "Enter makes a new identity; it is written into the kit and nowhere else.",
    );
    if (this.#vault !== null) this.#say("This host joins a vault: give the recipients of its other hosts, or name the vault's kit at the next question.");
    return this.#ask("Recipients [a new identity]:", (answer) => (answer === "" ? [] : checkRecipients(answer.split(/[\s,]+/))));
  }

  /** Where the kit goes decides the rest: a kit that is there already holds an identity. */
  async #kit(order: Omit<InitOrder, "kitPath" | "wantsKit">): Promise<GuidedInit> {
    const { cwd } = this.#context;
    const planned = async (kitPath: string, wantsKit: boolean): Promise<GuidedInit> => {
      const whole = { ...order, kitPath: this.#goodKitPath(kitPath), wantsKit };
      return { order: whole, plan: await planInit(whole, this.#vault) };
    };
    if (this.#options.kit !== undefined) return planned(resolve(cwd, this.#options.kit), true);
    const usual = resolve(cwd, KIT_NAME);
    const isSecret = order.recipients.length === 0;
    this.#say("", "The kit (--kit): what a restore needs, in one file to keep away from this machine.");
    if (isSecret) this.#say("It will hold the only key to the archives.");
    return this.#ask(`Kit [${usual}]${isSecret ? "" : ", or none"}:`, (answer) => {
      const isNone = !isSecret && answer === "none";
      return planned(isNone || answer === "" ? usual : resolve(cwd, answer), !isNone);
    });
  }

  /** A backup refuses to run while an identity lies in these folders. */
  #goodKitPath(path: string): string {
    const folder = dirname(path);
    if (!existsSync(folder)) throw new ColdkeepError("E_USAGE", `there is no directory ${folder}`, { hint: "Make it, or name a file in another with --kit." });
    const own = [this.#stateDir, join(dirname(this.#configPath), "keys")];
    if (!own.includes(folder)) return path;
    throw new ColdkeepError("E_USAGE", `the kit may not lie in ${folder}: no backup would run`, { hint: "Name a file elsewhere with --kit, best on a disk you take away." });
  }

  async #confirm({ order, plan }: GuidedInit): Promise<void> {
    this.#say("", `${order.configPath} will be:`, ...plan.configText.trimEnd().split("\n").map((line) => `  ${line}`), "");
    if (await this.#accept("Write it, with the host's keys, the kit and the vault?", true)) return;
    throw new ColdkeepError("E_INTERRUPTED", "nothing was written");
  }

  async #accept(question: string, usual = false): Promise<boolean> {
    return this.#ask(`${question} ${usual ? "[yes]" : "[no]"}`, (answer) => {
      if (answer === "") return usual;
      if (/^y(es)?$/i.test(answer)) return true;
      if (/^no?$/i.test(answer)) return false;
      throw new ColdkeepError("E_USAGE", "the answer is yes or no");
    });
  }
}

function sizeOf({ sizeBytes, isWhole }: SurveyedPath): string {
  return `${isWhole ? "" : "at least "}${formatSize(sizeBytes)}`;
}

/**
 * Asks for what the flags leave open, and shows what will be written. Throws E_INTERRUPTED when the person leaves, and what is
 * wrong with a flag: E_USAGE, E_CONFIG, E_REFUSED, E_URL, E_CREDENTIALS, StoreError.
 */
export async function guideInit(context: CommandContext, options: InitOptions, configPath: string): Promise<GuidedInit> {
  return new Guide(context, options, configPath).run();
}
