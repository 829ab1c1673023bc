/** The verbs in the order of the help. Bodies are loaded only when they run. */
import { ColdkeepError, EXIT } from "../errors.ts";
import { type Command, type CommandGroup, defineCommand } from "./command.ts";
import { completionVerbs } from "./completion-verbs.ts";
import { machineVerbs } from "./machine-verbs.ts";
import { operatorVerbs } from "./operator-verbs.ts";
import { scheduleVerbs } from "./schedule-verbs.ts";
import * as options from "./verb-options.ts";

const READING_CONFLICTS = [["config", "kit"]] as const;

/** What may end any verb. */
const COMMON_EXITS = {
  [EXIT.failed]: "failed: what and where is said on stderr",
  [EXIT.usage]: "wrong usage, configuration or kit; nothing was done",
  [EXIT.interrupted]: "interrupted",
} as const;

const NOT_TRUSTED = "refused: a signature is missing or by a signer that is not pinned";

const init = defineCommand({
  name: "init",
  summary: "set up this host: configuration, keys, vault and kit",
  options: options.INIT_OPTIONS,
  exitCodes: { [EXIT.done]: "set up, or already was", ...COMMON_EXITS, [EXIT.refused]: "refused: something is there that would have to be overwritten" },
  examples: [
    ["coldkeep init", "in questions; without a terminal, or with --yes, two local directories as regions, to try it out"],
    ["coldkeep init --region north=s3://bucket/vault?endpoint=https://s3.example.net --region usb=file:///mnt/usb/vault", "two regions of your own"],
  ],
  load: () => import("./init.ts"),
});

const backup = defineCommand({
  name: "backup",
  summary: "archive this host's sources into every region",
  options: options.BACKUP_OPTIONS,
  conflicts: [["takeOver", "newChain"]],
  record: ({ dryRun, config }) => (dryRun ? null : { verb: "backup", config }),
  exitCodes: {
    [EXIT.done]: "archived whole, in every region",
    ...COMMON_EXITS,
    [EXIT.failed]: "failed, or fewer regions than `copies` hold the archive",
    [EXIT.partial]: "archived, but a source could not be read whole or a region is behind",
    [EXIT.threshold]: "archived whole, but far smaller, larger or more changed than usual",
    [EXIT.refused]: "refused: an identity lies on this host, or another instance wrote last",
    [EXIT.locked]: "another run holds this host",
  },
  examples: [
    ["coldkeep backup", "the nightly run; prints nothing when all is well and nobody watches"],
    ["coldkeep backup --dry-run", "what would be read and stored"],
  ],
  load: () => import("./backup.ts"),
});

const listArchives = defineCommand({
  name: "list",
  summary: "list the archives and where they are",
  options: options.LIST_OPTIONS,
  conflicts: READING_CONFLICTS,
  check: (_args, given) => options.checkReading(given),
  exitCodes: { [EXIT.done]: "listed", ...COMMON_EXITS, [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep list", "this host's archives"],
    ["coldkeep list --kit coldkeep-kit.txt --json", "all that the kit leads to, for a program"],
  ],
  load: () => import("./list.ts"),
});

const files = defineCommand({
  name: "files",
  aliases: ["ls"],
  summary: "list what an archive holds",
  arguments: "[path]",
  argumentsHelp: "only this path and what lies below it",
  options: options.FILES_OPTIONS,
  conflicts: READING_CONFLICTS,
  check: (_args, given) => options.checkReading(given),
  exitCodes: { [EXIT.done]: "listed", ...COMMON_EXITS, [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep files /etc", "what the latest archive holds below /etc"],
    ["coldkeep ls --archive 20261123 --long", "an older one, with owners and sizes"],
  ],
  load: () => import("./files.ts"),
});

const show = defineCommand({
  name: "show",
  summary: "show one archive: times, sizes, problems, regions",
  options: options.SHOW_OPTIONS,
  conflicts: READING_CONFLICTS,
  check: (_args, given) => options.checkReading(given),
  exitCodes: { [EXIT.done]: "shown", ...COMMON_EXITS, [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep show", "the latest archive"],
    ["coldkeep show --archive 20261123 --json", "an older one, for a program"],
  ],
  load: () => import("./show.ts"),
});

const diff = defineCommand({
  name: "diff",
  summary: "compare two archives",
  options: options.DIFF_OPTIONS,
  conflicts: READING_CONFLICTS,
  check: (_args, given) => options.checkReading(given),
  exitCodes: { [EXIT.done]: "compared, whether they differ or not", ...COMMON_EXITS, [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep diff --archive 20261122 --with latest", "what changed since"],
    ["coldkeep diff --archive 20261122 --with 20261123 --json", "the same, for a program"],
  ],
  load: () => import("./diff.ts"),
});

const verify = defineCommand({
  name: "verify",
  summary: "check that archives are whole in every region",
  options: options.VERIFY_OPTIONS,
  conflicts: [...READING_CONFLICTS, ["archive", "all"]],
  check: (_args, given) => {
    options.checkReading(given);
    if (given.level === "content" && given.kit === undefined) {
      throw new ColdkeepError("E_USAGE", "--level content decrypts, for which --kit is missing", { hint: "Give --kit FILE, or use --level checksum." });
    }
  },
  record: ({ signer, level, sample, config, kit, host }) => (signer.length > 0 ? null : { verb: "verify", level, samplePercent: sample, config, kit, host }),
  exitCodes: { [EXIT.done]: "sound", ...COMMON_EXITS, [EXIT.failed]: "something is lost in every region, or the check failed", [EXIT.partial]: "damaged in a region, whole in another", [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep verify", "the latest archive, every stored byte, without a key"],
    ["coldkeep verify --all --level content --kit coldkeep-kit.txt", "everything, decrypted"],
  ],
  load: () => import("./verify.ts"),
});

const restore = defineCommand({
  name: "restore",
  summary: "restore an archive, or some paths of it, into a directory",
  arguments: "[path...]",
  argumentsHelp: "only these paths and what lies below them",
  options: options.RESTORE_OPTIONS,
  conflicts: [...READING_CONFLICTS, ["plan", "thaw"], ["plan", "merge"], ["plan", "resume"], ["resume", "startOver"], ["resume", "archive"], ["resume", "only"]],
  check: (args, given) => {
    options.checkReading(given);
    options.checkMachine(args, given);
    const relative = args.find((path) => !path.startsWith("/"));
    if (relative !== undefined) throw new ColdkeepError("E_USAGE", `"${relative}" is not an absolute path`, { hint: "Archived paths begin with /, as `coldkeep files` prints them." });
    if (given.kit === undefined) throw new ColdkeepError("E_USAGE", "--kit is missing", { hint: "Give --kit FILE: only its identity opens what is stored." });
    if (given.to === undefined && !given.plan && !given.machine) throw new ColdkeepError("E_USAGE", "--to is missing", { hint: "Give --to DIR, a new or empty directory." });
    if (given.wait && given.thaw === undefined) throw new ColdkeepError("E_USAGE", "--wait waits for what --thaw asks for", { hint: "Add --thaw bulk or --thaw standard." });
  },
  record: ({ config, kit, host, plan }) => (plan ? null : { verb: "restore", config, kit, host }),
  exitCodes: {
    [EXIT.done]: "restored whole",
    ...COMMON_EXITS,
    [EXIT.partial]: "restored, but something could not be kept or was lost; it is named",
    [EXIT.threshold]: "a machine was rebuilt, but later than `objectives.rto` allows",
    [EXIT.refused]: "refused: target not empty, machine not adequate, or signer not pinned",
  },
  examples: [
    ["coldkeep restore /etc/ssh --archive 20261123 --kit coldkeep-kit.txt --to /restored", "one directory of an older archive"],
    ["coldkeep restore --machine --kit coldkeep-kit.txt --plan", "what rebuilding this machine would do"],
  ],
  load: () => import("./restore.ts"),
});

const status = defineCommand({
  name: "status",
  summary: "whether this host could be restored tonight",
  options: options.STATUS_OPTIONS,
  conflicts: [...READING_CONFLICTS, ["nagios", "json"], ["nagios", "fleet"], ["prom", "json"], ["prom", "nagios"], ["prom", "fleet"]],
  check: (_args, given) => options.checkReading(given),
  exitCodes: { [EXIT.done]: "all is well", ...COMMON_EXITS, [EXIT.threshold]: "something is not as it should be: it is named", [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep status", "this host"],
    ["coldkeep status --fleet --kit coldkeep-kit.txt", "every host of the vault"],
  ],
  load: () => import("./status.ts"),
});

const report = defineCommand({
  name: "report",
  summary: "account for a period: what could have been lost, sizes, regions, proofs, incidents",
  options: options.REPORT_OPTIONS,
  conflicts: [...READING_CONFLICTS, ["html", "json"], ["to", "json"]],
  check: (_args, given) => options.checkReading(given),
  exitCodes: { [EXIT.done]: "reported, whatever it says", ...COMMON_EXITS, [EXIT.refused]: `${NOT_TRUSTED}, or the file is there already` },
  examples: [
    ["coldkeep report --html --to report.html", "a page for whoever asks"],
    ["coldkeep report --json --period 30d", "the same facts for a program"],
  ],
  load: () => import("./report.ts"),
});

const doctor = defineCommand({
  name: "doctor",
  summary: "check everything the next run depends on, a line each",
  options: options.DOCTOR_OPTIONS,
  exitCodes: { [EXIT.done]: "all is well", ...COMMON_EXITS, [EXIT.failed]: "a check failed: the next run would", [EXIT.threshold]: "something should be looked at", [EXIT.refused]: "refused: the host's keys are open to others" },
  examples: [
    ["coldkeep doctor", "after setting up, and when something seems wrong"],
    ["coldkeep doctor --json", "for a program"],
  ],
  load: () => import("./doctor.ts"),
});

const health = defineCommand({
  name: "health",
  summary: "run the health checks of the configuration on this machine",
  options: options.HEALTH_OPTIONS,
  exitCodes: { [EXIT.done]: "every check is well", ...COMMON_EXITS, [EXIT.failed]: "a check failed, or there is none" },
  examples: [
    ["coldkeep health", "each check once; a declared load last"],
    ["coldkeep health --only site --wait", "one of them, tried again for as long as its `within` says"],
  ],
  load: () => import("./health.ts"),
});

const drill = defineCommand({
  name: "drill",
  summary: "restore an archive for real in a private place, time it, judge it, and remove it",
  options: options.DRILL_OPTIONS,
  record: ({ config, kit, host, sabotage }) => (sabotage ? null : { verb: "drill", config, kit, host }),
  exitCodes: { [EXIT.done]: "passed; with --sabotage: failed, as it should", ...COMMON_EXITS, [EXIT.failed]: "failed: what is lacking is named; with --sabotage: the damage was not noticed", [EXIT.refused]: NOT_TRUSTED },
  examples: [
    ["coldkeep drill --kit coldkeep-kit.txt", "the latest archive"],
    ["coldkeep drill --archive random --kit coldkeep-kit.txt --work /srv/drill --json", "any complete one, in another place"],
  ],
  load: () => import("./drill.ts"),
});

const state: CommandGroup = {
  name: "state",
  summary: "care for the local state",
  subcommands: [
    defineCommand({
      name: "rebuild",
      summary: "make the local state anew from the regions",
      options: options.STATE_REBUILD_OPTIONS,
      record: ({ config }) => ({ verb: "state rebuild", config }),
      exitCodes: { [EXIT.done]: "rebuilt", ...COMMON_EXITS, [EXIT.refused]: NOT_TRUSTED, [EXIT.locked]: "another run holds this host" },
      examples: [
        ["coldkeep state rebuild", "after the state folder was lost or damaged"],
        ["coldkeep state rebuild --config /srv/coldkeep.yaml", "of another configuration"],
      ],
      load: () => import("./state.ts"),
    }),
  ],
};

const config: CommandGroup = {
  name: "config",
  summary: "check, show or describe the configuration",
  subcommands: [
    defineCommand({
      name: "check",
      summary: "check the configuration and count what each exclude pattern matches",
      options: options.CONFIG_CHECK_OPTIONS,
      exitCodes: { [EXIT.done]: "right", ...COMMON_EXITS, [EXIT.partial]: "right, but a source could not be read whole" },
      examples: [
        ["coldkeep config check", "this host's configuration"],
        ["coldkeep config check --config new.yaml", "another one, before it is put to use"],
      ],
      load: async () => ({ run: (await import("./config.ts")).runCheck }),
    }),
    defineCommand({
      name: "schema",
      summary: "print the JSON Schema of the configuration",
      options: options.CONFIG_SCHEMA_OPTIONS,
      exitCodes: { [EXIT.done]: "printed", ...COMMON_EXITS },
      examples: [
        ["coldkeep config schema > coldkeep.schema.json", "for an editor"],
        ["coldkeep config schema --json", "inside a document like those of other verbs"],
      ],
      load: async () => ({ run: (await import("./config.ts")).runSchema }),
    }),
    defineCommand({
      name: "show",
      summary: "print the configuration as it is understood, with its defaults",
      options: options.CONFIG_SHOW_OPTIONS,
      exitCodes: { [EXIT.done]: "printed", ...COMMON_EXITS },
      examples: [
        ["coldkeep config show", "sizes and durations as people write them"],
        ["coldkeep config show --json", "in bytes and milliseconds"],
      ],
      load: async () => ({ run: (await import("./config.ts")).runShow }),
    }),
  ],
};

const notify: CommandGroup = {
  name: "notify",
  summary: "care for the services that are told of runs",
  subcommands: [
    defineCommand({
      name: "test",
      summary: "send a test message to each of them",
      options: options.NOTIFY_TEST_OPTIONS,
      exitCodes: { [EXIT.done]: "every one took it", ...COMMON_EXITS, [EXIT.failed]: "one did not take it, or none is configured" },
      examples: [
        ["coldkeep notify test", "tell each of a success, whatever it wants to be told of"],
        ["coldkeep notify test --event fail", "see that an alarm wakes somebody"],
      ],
      load: () => import("./notify.ts"),
    }),
  ],
};

/** Every verb, in the order of the help. */
export const COMMANDS: readonly (Command | CommandGroup)[] = [
  init,
  backup,
  listArchives,
  files,
  show,
  diff,
  verify,
  restore,
  status,
  report,
  doctor,
  health,
  drill,
  ...machineVerbs(COMMON_EXITS, NOT_TRUSTED),
  scheduleVerbs(COMMON_EXITS),
  ...operatorVerbs(COMMON_EXITS, NOT_TRUSTED),
  state,
  config,
  notify,
  completionVerbs(COMMON_EXITS, () => COMMANDS),
];
