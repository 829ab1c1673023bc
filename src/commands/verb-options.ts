/** The options of every verb, and the types their bodies get. */
import { DRILL_DEPTHS } from "../format/drill-report.ts";
import { ColdkeepError } from "../errors.ts";
import { parseSignerArgument } from "../format/kit.ts";
import { parseRule } from "../config/retention-schema.ts";
import { type Waiver, WAIVERS } from "../policy/adequacy.ts";
import type { RetentionRule } from "../policy/retention.ts";
import { ALARM_EVENTS } from "../policy/run-outcome.ts";
import { CALENDAR_FORM, parseCalendar } from "../policy/schedule/calendar.ts";
import { parseDuration } from "../units.ts";
import { STEPS } from "../engine/rebuild/plan-types.ts";
import { choice, flag, flagOf, list, type OptionSpec, type OptionsOf, parsed, requiredText, text } from "./options.ts";

const JSON_FLAG = flag("print one JSON document");
const STEP_NAMES = STEPS.join(", ");
const CONFIG = text("FILE", "configuration file");
const ARCHIVE = text("ID", "archive: its id, the start of one, or `latest`");

/** Where archives are read from: the configuration, else a kit, else a region with a pinned signer. */
export const READING = {
  config: CONFIG,
  kit: text("FILE", "kit file, in place of a configuration"),
  region: text("NAME|URL", "read from this region only; a URL needs no configuration"),
  signer: list("KEY", "trusted signer, with the URL of a region: `ed25519:…`, `host LABEL ed25519:…`"),
  host: text("LABEL", "host, where a vault holds several"),
  json: JSON_FLAG,
} as const;

export const PASSPHRASE_FILE = text("FILE", "file with the kit's passphrase, mode 0600, or /dev/fd/N (else COLDKEEP_PASSPHRASE, else it is asked)");
/** For what a kit's identity opens. */
const OPENING = { ...READING, passphraseFile: PASSPHRASE_FILE } as const;

export const INIT_OPTIONS = {
  host: text("LABEL", "this host's label in the vault (default: its host name)"),
  region: list("NAME=URL", "a place for a full copy: file:///path or s3://bucket/prefix?endpoint=…"),
  source: list("PATH", "what to archive"),
  recipient: list("age1…", "public age key to encrypt to (default: a new one, its identity only in the kit)"),
  config: CONFIG,
  kit: text("FILE", "where to write the kit (default ./coldkeep-kit.txt)"),
  yes: flag("ask nothing on a terminal: take what is usual where no flag says otherwise"),
  json: JSON_FLAG,
} as const;

export const BACKUP_OPTIONS = {
  config: CONFIG,
  dryRun: flag("say what would be read, store nothing"),
  takeOver: flag("continue the chain of another instance of this host"),
  newChain: flag("start a new chain, without what came before"),
  acceptChanges: flag("take this archive's size, changes and empty sources as usual from now on"),
  json: JSON_FLAG,
} as const;

export const LIST_OPTIONS = READING;
export const FILES_OPTIONS = { ...OPENING, archive: ARCHIVE, long: flag("with mode, owner, size and time") } as const;
export const SHOW_OPTIONS = { ...OPENING, archive: ARCHIVE } as const;
export const PROFILE_OPTIONS = { ...OPENING, archive: ARCHIVE } as const;

const ACCEPT: OptionSpec<readonly Waiver[]> = {
  placeholder: "WHAT",
  help: `go on although this is lacking: ${WAIVERS.join(", ")} (repeatable)`,
  choices: WAIVERS,
  read: (given, flag) => given.map((word) => choice(WAIVERS, "os", "").read([word], flag)),
};

export const DRIFT_OPTIONS = { config: CONFIG, archive: ARCHIVE, json: JSON_FLAG } as const;
export const REQUIREMENTS_OPTIONS = { ...OPENING, archive: ARCHIVE, accept: ACCEPT } as const;
export const DIFF_OPTIONS = { ...OPENING, archive: requiredText("A", "archive to start from"), with: requiredText("B", "archive to compare it with") } as const;

/** Milliseconds of `26h`. */
function durationMs(value: string): number | undefined {
  try {
    return parseDuration(value);
  } catch {
    return undefined;
  }
}

/** `5%` or `5` as a percentage above 0, up to 100. */
function percent(value: string): number | undefined {
  const match = /^(\d{1,3}(?:\.\d+)?)\s*%?$/.exec(value);
  const number = Number(match?.[1] ?? Number.NaN);
  return number > 0 && number <= 100 ? number : undefined;
}

export const VERIFY_OPTIONS = {
  ...OPENING,
  archive: ARCHIVE,
  all: flag("every archive, not only the latest"),
  level: choice(["presence", "checksum", "content"], "checksum", "how deep: sizes, digests of stored bytes, or decrypted content (needs the kit)"),
  sample: parsed("P%", "look at a random part of the objects only", percent, "Give a percentage above 0, like 5%."),
} as const;

export const REPAIR_OPTIONS = {
  config: CONFIG,
  kit: text("FILE", "kit file, in place of a configuration; with the operator's key, what is lost is recorded"),
  region: text("NAME", "repair this region only, from the others"),
  host: text("LABEL", "this host's archives only, where a kit names several"),
  quick: flag("look at presence and sizes only, not at stored bytes"),
  dryRun: flag("say what would be copied, change nothing"),
  json: JSON_FLAG,
} as const;

function thawTier(value: string): "bulk" | "standard" | undefined {
  return value === "bulk" || value === "standard" ? value : undefined;
}

export const RESTORE_OPTIONS = {
  ...OPENING,
  archive: ARCHIVE,
  to: text("DIR", "directory under which everything lands with its full path"),
  plan: flag("say what would be read, and which volumes must be thawed first; write nothing"),
  thaw: parsed("TIER", "have volumes thawed that no region has readable: `bulk` or, sooner and dearer, `standard`", thawTier, "Give bulk or standard."),
  wait: flag("with --thaw: wait until they are readable, and go on"),
  merge: flag("go into a directory that is not empty: overwrite what differs, delete nothing"),
  numericOwner: flag("owners by number, not by name"),
  machine: flag("rebuild this machine: users, packages, files, databases, services, health checks"),
  confirm: text("NAME", "with --machine: this machine's own host name, in place of typing it"),
  resume: flag("with --machine: go on with a rebuild that stopped"),
  startOver: flag("with --machine: begin anew, though one that was begun is not finished"),
  only: list("STEP", `with --machine: only these steps: ${STEP_NAMES}`),
  skip: list("STEP", "with --machine: all but these steps"),
  accept: list("WHAT", "with --machine: go on in spite of what is lacking, as `coldkeep requirements` calls it, or `packages` or `package:NAME`"),
  packagesFrom: text("DIR", "with --machine: a folder of .deb files, where there is no network"),
  takeOver: flag("with --machine: this machine is the host from now on: its schedule goes on here"),
} as const;

/** What of a restore is about a machine only, and what about a directory only. */
export const MACHINE_FLAGS = ["confirm", "resume", "startOver", "only", "skip", "accept", "packagesFrom", "takeOver"] as const;
export const DIRECTORY_FLAGS = ["to", "merge", "numericOwner", "thaw", "wait"] as const;

export const PUBLISH_PROGRAM_OPTIONS = {
  config: CONFIG,
  program: text("FILE", "the single executable (default: the one that runs)"),
  json: JSON_FLAG,
} as const;

export const STATE_REBUILD_OPTIONS = { config: CONFIG, json: JSON_FLAG } as const;
export const STATUS_OPTIONS = {
  ...READING,
  rpo: parsed("TIME", "how old the newest archive may be (default: `objectives.rpo`, or 26h)", durationMs, "Give a duration like 26h or 2d."),
  fleet: flag("every host of the vault, a line each"),
  prom: flag("figures for Prometheus, read from the regions"),
  nagios: flag("one line and the exit codes of a Nagios plugin"),
} as const;
export const REPORT_OPTIONS = {
  ...READING,
  period: parsed("TIME", "how far back (default 90d)", durationMs, "Give a duration like 30d."),
  html: flag("a page in itself, light and dark, for screen and paper (this is the default)"),
  to: text("FILE", "write the page into a new file that only you can read, instead of stdout"),
} as const;
export const HOST_RETIRE_OPTIONS = {
  kit: requiredText("FILE", "kit that holds the operator's key"),
  passphraseFile: PASSPHRASE_FILE,
  reason: text("TEXT", "why, for those who read the record"),
  json: JSON_FLAG,
} as const;
const SIGNING = {
  config: CONFIG,
  kit: text("FILE", "kit that holds the operator's key, in place of a configuration by which this host signs itself"),
  host: text("LABEL", "host, where a vault holds several"),
  json: JSON_FLAG,
} as const;

/** The rule of `--keep`, for which its parser's own words are better than any form. */
const KEEP: OptionSpec<RetentionRule | undefined> = {
  placeholder: "RULE",
  help: "what to keep, like daily=7,weekly=4,monthly=12 (default: the configuration's `retention`)",
  read: (given, flag) => (given.length === 0 ? undefined : parseRule(requiredText("RULE", "").read(given, flag))),
};

function wholeNumber(value: string): number | undefined {
  return /^[1-9]\d{0,3}$/.test(value) ? Number(value) : undefined;
}

export const PRUNE_OPTIONS = {
  ...SIGNING,
  keep: KEEP,
  copies: parsed("N", "regions that must hold an archive for it to count as complete (default: the configuration's, else all but one)", wholeNumber, "Give a number from 1 on."),
  dryRun: flag("say what would be done, and why; delete nothing"),
} as const;
export const HOLD_OPTIONS = { ...SIGNING, archive: requiredText("ID", "archive: its id, the start of one, or `latest`"), reason: text("TEXT", "why, for those who read the record") } as const;
const KIT = requiredText("FILE", "kit file");
export const KIT_PRINT_OPTIONS = {
  kit: KIT,
  html: flag("a page for the printer, instead of text"),
  to: text("FILE", "write it into a new file that only you can read, instead of stdout"),
  withReadCredentials: flag("with the keys this machine has for the regions: give keys that can only read"),
} as const;
export const KIT_ADD_SIGNER_OPTIONS = { kit: KIT, json: JSON_FLAG } as const;
export const KIT_CHECK_OPTIONS = { kit: KIT, passphraseFile: PASSPHRASE_FILE, region: text("NAME", "in this region only"), unrecorded: flag("leave no signed record of it in the vault"), json: JSON_FLAG } as const;
const NEW_PASSPHRASE = {
  protect: flag("protect what is written with a passphrase, asked on the terminal"),
  newPassphraseFile: text("FILE", "the same with the passphrase from a file of mode 0600, or /dev/fd/N"),
} as const;
export const KIT_PROTECT_OPTIONS = { kit: KIT, passphraseFile: PASSPHRASE_FILE, newPassphraseFile: NEW_PASSPHRASE.newPassphraseFile, json: JSON_FLAG } as const;
const RECIPIENTS_FROM = { config: CONFIG, kit: text("FILE", "kit file") } as const;
export const KEY_NEW_OPTIONS = {
  to: requiredText("FILE", "new file for the identity, which only you can read"),
  kit: text("FILE", "write a kit of the same vault as this one, in place of a bare identity file"),
  config: text("FILE", "write a kit of this host's vault, in place of a bare identity file"),
  pq: flag("a post-quantum identity, age1pq1…, for a vault where all recipients are (age 1.3 on)"),
  ...NEW_PASSPHRASE,
  json: JSON_FLAG,
} as const;
export const KEY_SHOW_OPTIONS = { ...RECIPIENTS_FROM, json: JSON_FLAG } as const;
export const KEY_CHECK_OPTIONS = { kit: KIT, passphraseFile: PASSPHRASE_FILE, config: text("FILE", "also say which of this configuration's recipients the kit holds"), region: text("NAME", "in this region only"), json: JSON_FLAG } as const;
export const KEY_ROTATE_OPTIONS = {
  kit: text("FILE", "kit as it is now"),
  to: text("FILE", "new kit, with the new identity and the old ones"),
  recipient: text("age1…", "in place of a kit: a recipient made elsewhere, for this host's configuration"),
  replaces: text("age1…", "the recipient it takes the place of, where there are several"),
  passphraseFile: PASSPHRASE_FILE,
  ...NEW_PASSPHRASE,
  config: CONFIG,
  json: JSON_FLAG,
} as const;
export const SIGNER_LIST_OPTIONS = { ...RECIPIENTS_FROM, json: JSON_FLAG } as const;
export const SIGNER_TRUST_OPTIONS = {
  ...RECIPIENTS_FROM,
  fingerprint: text("HEX", "the key's fingerprint, learnt from its host by another way; asked for on a terminal"),
  json: JSON_FLAG,
} as const;
export const SIGNER_REVOKE_OPTIONS = {
  kit: requiredText("FILE", "kit that holds the operator's key"),
  passphraseFile: PASSPHRASE_FILE,
  last: requiredText("ID", "its last good archive: what came before it stays valid, what came after is not"),
  host: text("LABEL", "host, where the key is not pinned for one only"),
  reason: text("TEXT", "why, for those who read the record"),
  json: JSON_FLAG,
} as const;
export const DOCTOR_OPTIONS = { config: CONFIG, json: JSON_FLAG } as const;
export const DRILL_OPTIONS = {
  kit: requiredText("FILE", "kit whose identity opens the archive; of a drill machine, one with an identity of its own"),
  passphraseFile: PASSPHRASE_FILE,
  host: text("LABEL", "host, where a vault holds several"),
  region: text("NAME", "from this region only"),
  archive: text("ID", "archive: its id, the start of one, `latest`, or `random` for any complete one"),
  depth: choice(DRILL_DEPTHS, "files", "how much: files, databases loaded into throwaway servers too, or the whole machine in quarantine with its services and health checks (root, Debian)"),
  accept: list("WHAT", "go on in spite of what is lacking, as `coldkeep restore --machine` takes it"),
  sabotage: flag("damage the copy that is restored: the drill must fail, and exit 0 says that it did"),
  work: text("DIR", "where to restore, in a folder that is removed (default: `drill` in the state folder)"),
  signerKey: text("FILE", "file of mode 0600 with the key that signs the result, `ed25519-secret:…` (default: the kit's operator)"),
  unrecorded: flag("leave no signed record of it in the vault"),
  config: text("FILE", "configuration of this machine, where it is the host"),
  json: JSON_FLAG,
} as const;
export const HEALTH_OPTIONS = {
  config: CONFIG,
  only: list("NAME", "only this check"),
  wait: flag("try again what fails, for as long as its `within` says, as a rebuild does"),
  json: JSON_FLAG,
} as const;
export const CONFIG_CHECK_OPTIONS = { config: CONFIG, json: JSON_FLAG } as const;
export const CONFIG_SCHEMA_OPTIONS = { json: JSON_FLAG } as const;
export const CONFIG_SHOW_OPTIONS = { config: CONFIG, json: JSON_FLAG } as const;

/** A calendar as it was given, once it is known to parse. */
function calendarText(value: string): string | undefined {
  try {
    parseCalendar(value);
    return value;
  } catch {
    return undefined;
  }
}

function userName(value: string): string | undefined {
  return /^[a-z_][a-z0-9_-]{0,31}$/.test(value) ? value : undefined;
}

export const SCHEDULE_OPTIONS = {
  systemd: flag("a systemd timer (default where systemd is the running init)"),
  cron: flag("a file in /etc/cron.d (default elsewhere)"),
  at: parsed("TIME", "when to run, like 02:30 or \"Mon..Fri 02:30\" (default: the configuration's schedule.at)", calendarText, CALENDAR_FORM),
  user: parsed("NAME", "run as this user, who may read every file and nothing else (default root)", userName, "Give the name of a system user."),
  config: CONFIG,
  json: JSON_FLAG,
} as const;
export const SCHEDULE_STATUS_OPTIONS = { config: CONFIG, json: JSON_FLAG } as const;

export type ScheduleOptions = OptionsOf<typeof SCHEDULE_OPTIONS>;
export type ScheduleStatusOptions = OptionsOf<typeof SCHEDULE_STATUS_OPTIONS>;
export const NOTIFY_TEST_OPTIONS = {
  config: CONFIG,
  event: choice(ALARM_EVENTS, "success", "what to tell them of"),
  json: JSON_FLAG,
} as const;

export type ReadingOptions = OptionsOf<typeof READING>;
export type OpeningOptions = OptionsOf<typeof OPENING>;
export type NotifyTestOptions = OptionsOf<typeof NOTIFY_TEST_OPTIONS>;
export type InitOptions = OptionsOf<typeof INIT_OPTIONS>;
export type BackupOptions = OptionsOf<typeof BACKUP_OPTIONS>;
export type ListOptions = OptionsOf<typeof LIST_OPTIONS>;
export type FilesOptions = OptionsOf<typeof FILES_OPTIONS>;
export type ShowOptions = OptionsOf<typeof SHOW_OPTIONS>;
export type ProfileOptions = OptionsOf<typeof PROFILE_OPTIONS>;
export type DriftOptions = OptionsOf<typeof DRIFT_OPTIONS>;
export type RequirementsOptions = OptionsOf<typeof REQUIREMENTS_OPTIONS>;
export type DiffOptions = OptionsOf<typeof DIFF_OPTIONS>;
export type VerifyOptions = OptionsOf<typeof VERIFY_OPTIONS>;
export type RepairOptions = OptionsOf<typeof REPAIR_OPTIONS>;
export type RestoreOptions = OptionsOf<typeof RESTORE_OPTIONS>;
export type PublishProgramOptions = OptionsOf<typeof PUBLISH_PROGRAM_OPTIONS>;
export type StateRebuildOptions = OptionsOf<typeof STATE_REBUILD_OPTIONS>;
export type StatusOptions = OptionsOf<typeof STATUS_OPTIONS>;
export type ReportOptions = OptionsOf<typeof REPORT_OPTIONS>;
export type HostRetireOptions = OptionsOf<typeof HOST_RETIRE_OPTIONS>;
export type PruneOptions = OptionsOf<typeof PRUNE_OPTIONS>;
export type HoldOptions = OptionsOf<typeof HOLD_OPTIONS>;
export type KitPrintOptions = OptionsOf<typeof KIT_PRINT_OPTIONS>;
export type KitAddSignerOptions = OptionsOf<typeof KIT_ADD_SIGNER_OPTIONS>;
export type KitCheckOptions = OptionsOf<typeof KIT_CHECK_OPTIONS>;
export type KitProtectOptions = OptionsOf<typeof KIT_PROTECT_OPTIONS>;
export type KeyNewOptions = OptionsOf<typeof KEY_NEW_OPTIONS>;
export type KeyShowOptions = OptionsOf<typeof KEY_SHOW_OPTIONS>;
export type KeyCheckOptions = OptionsOf<typeof KEY_CHECK_OPTIONS>;
export type KeyRotateOptions = OptionsOf<typeof KEY_ROTATE_OPTIONS>;
export type SignerListOptions = OptionsOf<typeof SIGNER_LIST_OPTIONS>;
export type SignerTrustOptions = OptionsOf<typeof SIGNER_TRUST_OPTIONS>;
export type SignerRevokeOptions = OptionsOf<typeof SIGNER_REVOKE_OPTIONS>;
export type DoctorOptions = OptionsOf<typeof DOCTOR_OPTIONS>;
export type DrillOptions = OptionsOf<typeof DRILL_OPTIONS>;
export type HealthOptions = OptionsOf<typeof HEALTH_OPTIONS>;
export type ConfigCheckOptions = OptionsOf<typeof CONFIG_CHECK_OPTIONS>;
export type ConfigSchemaOptions = OptionsOf<typeof CONFIG_SCHEMA_OPTIONS>;
export type ConfigShowOptions = OptionsOf<typeof CONFIG_SHOW_OPTIONS>;

/** Whether a `--region` is a URL and not the name of a configured region. */
export function isRegionUrl(region: string): boolean {
  return region.includes("://");
}

/** Flags about a machine need --machine, and one goes into its own root, whole. Throws E_USAGE. */
export function checkMachine(args: readonly string[], options: RestoreOptions): void {
  const isGiven = (name: keyof RestoreOptions): boolean => {
    const value = options[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  const odd = options.machine ? DIRECTORY_FLAGS.find(isGiven) : MACHINE_FLAGS.find(isGiven);
  if (odd !== undefined) throw new ColdkeepError("E_USAGE", options.machine ? `${flagOf(odd)} is of no use with --machine` : `${flagOf(odd)} needs --machine`, { hint: "See `coldkeep restore --help`." });
  if (options.machine && args.length > 0) throw new ColdkeepError("E_USAGE", "--machine takes no paths", { hint: "Restore single paths with --to DIR." });
  const unknown = [...options.only, ...options.skip].flatMap((each) => each.split(",")).find((each) => !(STEPS as readonly string[]).includes(each));
  if (unknown !== undefined) throw new ColdkeepError("E_USAGE", `"${unknown}" is no step of a rebuild`, { hint: `Steps are ${STEP_NAMES}.` });
  const odder = options.accept.find((each) => !(WAIVERS as readonly string[]).includes(each) && each !== "packages" && !each.startsWith("package:"));
  if (odder !== undefined) throw new ColdkeepError("E_USAGE", `--accept cannot be "${odder}"`, { hint: `It is one of ${WAIVERS.join(", ")}, packages, package:NAME.` });
}

/** Checks of the reading options that need no I/O. Throws E_USAGE. */
export function checkReading(options: ReadingOptions): void {
  for (const signer of options.signer) parseSignerArgument(signer);
  const isUrl = options.region !== undefined && isRegionUrl(options.region);
  if (options.signer.length > 0 && !isUrl) {
    throw new ColdkeepError("E_USAGE", "--signer is given without the URL of a region", { hint: "Give it with --region URL; configuration and kit name their signers themselves." });
  }
  if (isUrl && options.signer.length === 0 && options.kit === undefined && options.config === undefined) {
    throw new ColdkeepError("E_USAGE", "--region URL is given without anything that says whom to trust", { hint: "Add --kit FILE, --config FILE or --signer KEY." });
  }
}
