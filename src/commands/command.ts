/** The shape of a verb: what the command line, the help and the body of the verb agree on. */
import type { LoadedConfig } from "../config/load.ts";
import type { RunLog } from "../engine/monitoring/run-log.ts";
import { ColdkeepError, type ExitStatus } from "../errors.ts";
import type { RecordedVerb } from "../policy/run-outcome.ts";
import type { Secrets } from "../policy/secrets.ts";
import { flagOf, type OptionsOf, type OptionSpecs } from "./options.ts";
import { exitStatusOf, type Outcome } from "./outcome.ts";
import type { Terminal } from "./terminal-port.ts";

/** What every body gets from the process; nothing else of it is touched. */
export type CommandContext = {
  readonly terminal: Terminal;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP; its reason is a ColdkeepError E_INTERRUPTED. */
  readonly signal: AbortSignal;
  /** Rejects with an error that nobody caught; never resolves. */
  readonly crash: Promise<never>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Effective user id. */
  readonly uid: number;
  /** The command line that starts this program, by absolute paths: for what starts it later. */
  readonly program: readonly string[];
  /** This program's version. */
  readonly version: string;
  /** Milliseconds since 1970. */
  now(): number;
  /** A UUID for this run of the program. */
  readonly runId: string;
  readonly verbosity: "quiet" | "normal" | "verbose";
  readonly log: RunLog;
  /** What no text that leaves the process may hold. */
  readonly secrets: Secrets;
  /** This host's configuration, where what surrounds the run has read it already; `ownConfig` asks for it. */
  readonly loaded?: LoadedConfig | undefined;
};

/** As what a run is recorded, and whose it is: this host's by its configuration, or by a kit of the same vault. */
export type RecordAs = {
  readonly verb: RecordedVerb;
  readonly level?: string | undefined;
  readonly samplePercent?: number | undefined;
  readonly config?: string | undefined;
  readonly kit?: string | undefined;
  /** The host the run is about, where the command line says. */
  readonly host?: string | undefined;
};

/** The body of a verb: does it, reports through the context's terminal, and says how the process ends. */
export type CommandBody<Options> = (context: CommandContext, args: readonly string[], options: Options) => Promise<Outcome>;

/** Exit status → what it means for this verb; the statuses the verb's help lists. */
export type ExitCodes = Readonly<Partial<Record<ExitStatus, string>>>;

type CommandText = {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line, for the list of verbs. */
  readonly summary: string;
  /** `[path...]` and the like, as the usage line shows them. */
  readonly arguments?: string;
  readonly argumentsHelp?: string;
  readonly exitCodes: ExitCodes;
  /** Command line and what it does. */
  readonly examples: readonly (readonly [string, string])[];
};

/** A verb as `defineCommand` takes it: its body is loaded only when it runs. */
export type CommandDefinition<Specs extends OptionSpecs> = CommandText & {
  readonly options: Specs;
  /** Pairs of options that exclude each other. */
  readonly conflicts?: readonly (readonly [keyof Specs & string, keyof Specs & string])[];
  /** Further checks of the command line before anything else happens. Throws E_USAGE. */
  check?(args: readonly string[], options: OptionsOf<Specs>): void;
  /** How such a run is recorded; null for one that is not. Without it, no run of the verb is. */
  record?(options: OptionsOf<Specs>): RecordAs | null;
  readonly load: () => Promise<{ run: CommandBody<OptionsOf<Specs>> }>;
};

/** Option name → what stood on the command line, in order; a flag that was given has one entry. */
export type GivenOptions = Readonly<Record<string, readonly string[]>>;

/** A verb for the command line, whatever its options are. */
export type Command = CommandText & {
  readonly options: OptionSpecs;
  readonly subcommands?: undefined;
  /** Checks the command line, without any I/O, and returns what runs the verb. Throws E_USAGE. */
  prepare(args: readonly string[], given: GivenOptions): (context: CommandContext) => Promise<ExitStatus>;
};

/** A word before a verb: `config check`. */
export type CommandGroup = { readonly name: string; readonly summary: string; readonly subcommands: readonly Command[] };

/** Ties the body of a verb to its options: the types of the two are checked against each other here. */
export function defineCommand<Specs extends OptionSpecs>(definition: CommandDefinition<Specs>): Command {
  const { conflicts = [], load, ...rest } = definition;
  return {
    ...rest,
    prepare(args, given) {
      for (const [a, b] of conflicts) {
        if (given[a] === undefined || given[b] === undefined) continue;
        throw new ColdkeepError("E_USAGE", `${flagOf(a)} and ${flagOf(b)} exclude each other`, { hint: "Give one of the two." });
      }
      const options = readOptions(definition.options, given);
      definition.check?.(args, options);
      const record = definition.record?.(options) ?? null;
      return async (context) => {
        const { run } = await load();
        const verb = (inner: CommandContext): Promise<Outcome> => Promise.race([run(inner, args, options), context.crash]);
        if (record === null) return exitStatusOf(await verb(context));
        const { recordedRun } = await import("./recorded-run.ts");
        return recordedRun(context, record, verb);
      };
    },
  };
}

function readOptions<Specs extends OptionSpecs>(specs: Specs, given: GivenOptions): OptionsOf<Specs> {
  const entries = Object.entries(specs).map(([name, spec]) => [name, spec.read(given[name] ?? [], flagOf(name))]);
  // Each value came from the spec of its own name, which is what the mapped type says.
  return Object.fromEntries(entries) as OptionsOf<Specs>;
}
