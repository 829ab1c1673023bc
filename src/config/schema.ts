/**
 * The configuration's keys, once: what is checked on load, the type the program works with, and the JSON Schema that
 * editors use all come from here.
 */
import { z } from "zod";
import { recipientKind } from "../codec/age-keys.ts";
import { ColdkeepError } from "../errors.ts";
import { parseSignerLine, type PinnedSigner, REGION_NAME } from "../format/kit.ts";
import { isHostLabel } from "../format/object-key.ts";
import { VAULT_ID } from "../format/vault-marker.ts";
import { requiredCopies } from "../policy/copies.ts";
import type { LockRule } from "../policy/lock.ts";
import { compileExcludes } from "../policy/exclude.ts";
import type { SafetyRules } from "../policy/safety.ts";
import { CALENDAR_FORM, parseCalendar } from "../policy/schedule/calendar.ts";
import { formatSize, GIB, KIB, MIB, parseDuration, parseSize } from "../units.ts";
import { type DataConfig, dataKeys, knownDataKeys } from "./data-schema.ts";
import { type HealthCheck, health, knownHealthKeys } from "./health-schema.ts";
import { machine, MACHINE_KEYS, type MachineConfig } from "./machine-schema.ts";
import { retention, RETENTION_KEYS, type RetentionConfig } from "./retention-schema.ts";
import { checked, durationUpTo, path } from "./value-types.ts";
import { knownWatchKeys, type WatchConfig, watchKeys } from "./watch-schema.ts";

export type RegionConfig = {
  name: string;
  url: string;
  /** How long failing requests to the region are tried again, ms. */
  retryMs: number;
  /** When a run stops waiting for the region, ms after its start. */
  deadlineMs: number;
  /** What all requests to the region share, bytes per second; a direction without a limit is not there. */
  bandwidth: { up?: number | undefined; down?: number | undefined };
  /** Retention of every object that is put there. */
  lock: LockRule | null;
  /** Storage class of volumes; everything else has the bucket's own. */
  storageClass: string | null;
};

export type SourceConfig = {
  /** Absolute, normalised, without a final slash. */
  path: string;
  /** Patterns for `compileExcludes`, known to compile. */
  exclude: string[];
};

/** When runs start by themselves, once `coldkeep schedule install` has set it up. */
export type ScheduleConfig = {
  /** For `parseCalendar`, known to parse. */
  at: string;
  /** Runs start up to this long after `at`, ms. */
  randomDelayMs: number;
  verify?: { at: string; level: "presence" | "checksum"; /** Percent of the objects. */ sample?: number | undefined } | undefined;
};

/** A configuration that was checked whole. */
export type Config = WatchConfig & DataConfig & {
  vault: string;
  host: string;
  regions: RegionConfig[];
  /** How many regions must hold an archive complete for a run to count as done; 1 to the number of regions. */
  copies: number;
  recipients: string[];
  /** Signers this host trusts beside its own. */
  signers: PinnedSigner[];
  sources: SourceConfig[];
  /** Absolute path of the state folder. */
  state: string;
  compressionLevel: number;
  volumeSizeBytes: number;
  /** Bytes in flight at the most. Null: by the number of cores. */
  memoryBytes: number | null;
  /** Null: as many as there are packers. */
  readers: number | null;
  safety: SafetyRules;
  schedule: ScheduleConfig;
  /** Null: archives are kept for ever. */
  retention: RetentionConfig | null;
  /** What must work on the host. */
  health: HealthCheck[];
  machine: MachineConfig;
};

const DEFAULTS = {
  retry: "2m",
  deadline: "12h",
  compression: 3,
  volumeSize: "32MiB",
  maxChange: "50%",
  at: "02:30",
  randomDelay: "45m",
} as const;

function sizeBetween(min: number, max: number) {
  const parse = (value: string | number): number => {
    const bytes = parseSize(String(value));
    if (bytes >= min && bytes <= max) return bytes;
    throw new ColdkeepError("E_CONFIG", `${value} is not between ${formatSize(min)} and ${formatSize(max)}`);
  };
  return z.union([z.string(), z.number()], { error: "must be a size" }).transform(checked(parse));
}

function optionalSize(min: number, max: number, about: string) {
  return sizeBetween(min, max).optional().describe(`${about} A size like 64MiB, from ${formatSize(min)} to ${formatSize(max)}.`);
}

function size(min: number, max: number, fallback: string, about: string) {
  return sizeBetween(min, max).prefault(fallback).describe(`${about} A size like 64MiB, from ${formatSize(min)} to ${formatSize(max)}.`);
}

function duration(fallback: string, about: string) {
  return durationUpTo(30).prefault(fallback).describe(`${about} A duration like 90s, 2m or 12h.`);
}

function regionUrl(url: string): string {
  if (/^(?:file|s3):\/\/\S+$/.test(url)) return url;
  throw new ColdkeepError("E_CONFIG", "a region's URL starts with file:// or s3:// and has no blanks", {
    hint: "Write file:///absolute/path or s3://bucket/prefix?endpoint=https://host:port&aws-region=name.",
  });
}

function excludePattern(text: string): string {
  compileExcludes([text], "/");
  return text;
}

function recipient(text: string): string {
  recipientKind(text);
  return text;
}

function unique<Item>(what: string, nameOf: (item: Item) => string) {
  return (items: Item[], context: z.RefinementCtx): void => {
    const seen = new Set<string>();
    for (const [index, item] of items.entries()) {
      const name = nameOf(item);
      if (seen.has(name)) context.addIssue({ code: "custom", path: [index], message: `the ${what} "${name}" stands here a second time` });
      seen.add(name);
    }
  };
}

const rate = sizeBetween(16 * KIB, 64 * GIB);

const BandwidthKeys = z.strictObject({
  up: rate.optional().describe("Limit of what is sent, a size per second."),
  down: rate.optional().describe("Limit of what is read, a size per second."),
});

const Bandwidth = z
  .union([rate.transform((each): { up?: number | undefined; down?: number | undefined } => ({ up: each, down: each })), BandwidthKeys], {
    error: "must be a size, or `up` and `down`",
  })
  .prefault({})
  .describe("The most that all requests to the region move in a second, each way. A size like 20MiB, from 16 KiB, or `up` and `down`. Default: no limit.");

const LOCK_DAYS_MAX = 36_500;

const LockKeys = z.strictObject({
  mode: z.enum(["governance", "compliance"]).describe("governance: whoever has the right to may still delete; compliance: nobody may, not the account's owner either."),
  days: z.int().min(1).max(LOCK_DAYS_MAX).describe(`How long each object is locked from when it is put, 1 to ${LOCK_DAYS_MAX}; renewed for what archives need before half of it is over.`),
});

const STORAGE_CLASS = /^[A-Za-z0-9_-]{1,64}$/;

const RegionKeys = z.strictObject({
  name: z
    .string()
    .regex(REGION_NAME, { error: "is not a region's name: lower-case letters, digits and hyphens, 32 at the most" })
    .describe("Short name of the region, for messages and credentials."),
  url: z.string().transform(checked(regionUrl)).describe("file:///absolute/path, or s3://bucket/prefix?endpoint=…"),
  retry: duration(DEFAULTS.retry, "How long failing requests to the region are tried again."),
  deadline: duration(DEFAULTS.deadline, "When a run stops waiting for the region."),
  bandwidth: Bandwidth,
  lock: LockKeys.optional().describe("Object Lock for everything put there; the bucket must have been made with it. Default: none."),
  storageClass: z
    .string()
    .regex(STORAGE_CLASS, { error: "is not a storage class: letters, digits, hyphens and underscores" })
    .optional()
    .describe("Storage class of volumes; manifests and catalogs stay in the bucket's own. Default: the bucket's own."),
});

/** Keys that only a bucket can have. */
const BUCKET_KEYS = ["lock", "storageClass"] as const;

const Region = RegionKeys.transform(({ retry, deadline, lock, storageClass, ...same }, context): RegionConfig => {
  for (const key of BUCKET_KEYS) {
    if ((key === "lock" ? lock : storageClass) === undefined || !same.url.startsWith("file://")) continue;
    context.addIssue({ code: "custom", path: [key], message: `needs a bucket, and ${same.url} is a directory`, params: { hint: `Take \`${key}\` out of the region, or use an s3:// URL.` } });
  }
  if (storageClass !== undefined && /[?&]storage-class=/.test(same.url)) {
    context.addIssue({ code: "custom", path: ["storageClass"], message: "stands here and as storage-class in the region's URL", params: { hint: "Take it out of the URL." } });
  }
  return { ...same, retryMs: retry, deadlineMs: deadline, lock: lock ?? null, storageClass: storageClass ?? null };
});

const SourceKeys = z.strictObject({
  path: path.describe("Absolute path of a directory or file."),
  exclude: z.array(z.string().transform(checked(excludePattern))).prefault([]).describe("What to leave out, as in .gitignore; a leading / means the absolute path."),
});

const Source = z
  .union([path.transform((plain): SourceConfig => ({ path: plain, exclude: [] })), SourceKeys], { error: "must be a path, or `path` with `exclude`" })
  .describe("A path, or a path with patterns of what to leave out.");

/** A share of all, from `40%` or `off`. */
function share(text: string): number | null {
  if (text === "off") return null;
  const percent = /^(\d{1,2}(?:\.\d+)?)\s*%$/.exec(text)?.[1];
  if (percent !== undefined && Number(percent) > 0) return Number(percent) / 100;
  throw new ColdkeepError("E_CONFIG", `"${text}" is not a share between 0% and 100%`, { hint: "Write it like 40%, or off." });
}

const SafetyKeys = z.strictObject({
  minSize: optionalSize(1, 1024 * 1024 * GIB, "An archive of less is flagged."),
  maxChange: z
    .string({ error: "must be a share like 40%, or off" })
    .transform(checked(share))
    .prefault(DEFAULTS.maxChange)
    .describe("An archive that differs more from the usual is flagged: in size, or in files changed and gone. A share like 40%, or off."),
  mustExist: z.array(path).prefault([]).describe("Paths without which an archive is partial: a file on each disk that must be mounted."),
});

const Safety = SafetyKeys.transform(({ minSize, ...same }): SafetyRules => ({ ...same, minSizeBytes: minSize ?? null }));

const Regions = z
  .array(Region)
  .min(1, { error: "must name at least one region" })
  .superRefine(unique("region", (region) => region.name))
  .superRefine(unique("URL", (region) => region.url));

const Recipients = z
  .array(z.string().transform(checked(recipient)))
  .min(1, { error: "must name at least one recipient" })
  .max(16, { error: "must name 16 recipients at the most" })
  .superRefine(unique("recipient", (text) => text))
  .superRefine(sameKind);

const Sources = z
  .array(Source)
  .min(1, { error: "must name at least one source" })
  .superRefine(unique("source", (source) => source.path));

const calendar = z
  .string({ error: "must be a time like \"02:30\", in quotes" })
  .transform(checked((text) => (parseCalendar(text), text)))
  .describe(CALENDAR_FORM);

function randomDelay(text: string): number {
  const ms = parseDuration(text);
  if (ms <= 12 * 3_600_000) return ms;
  throw new ColdkeepError("E_CONFIG", `${text} is longer than 12h`);
}

const ScheduledVerifyKeys = z.strictObject({
  at: calendar,
  level: z.enum(["presence", "checksum"]).prefault("checksum").describe("How deep: sizes, or digests of the stored bytes."),
  sample: z.number().gt(0).max(100).optional().describe("Percent of the objects to look at, picked anew each time. Default: all."),
});

const ScheduleKeys = z.strictObject({
  at: calendar.prefault(DEFAULTS.at),
  randomDelay: z.string({ error: "must be a duration with its unit" }).transform(checked(randomDelay)).prefault(DEFAULTS.randomDelay).describe("Runs start up to this long after their time. A duration like 45m, up to 12h."),
  verify: ScheduledVerifyKeys.optional().describe("When the regions are verified. Default: never by itself."),
});

const Schedule = ScheduleKeys.transform(({ at, randomDelay: randomDelayMs, verify }): ScheduleConfig => ({ at, randomDelayMs, ...(verify && { verify }) }));

const ConfigKeys = z.strictObject({
  vault: z
    .string()
    .regex(VAULT_ID, { error: "must be the 32 hex digits that `coldkeep init` wrote, in quotes" })
    .describe("The vault's id, written by `coldkeep init`."),
  host: z
    .string()
    .refine(isHostLabel, { error: "is not a host label: lower-case letters, digits, dots and hyphens, 63 at the most" })
    .describe("This host's label in the vault."),
  regions: Regions.describe("The places that each hold a full copy."),
  copies: z.int().min(1).optional().describe("How many regions must hold an archive for a run to be done. Default: all but one, at least one."),
  recipients: Recipients.describe("age recipients the archives are encrypted to."),
  signers: z
    .array(z.string().transform(checked(parseSignerLine)))
    .prefault([])
    .describe("Trusted signers beside this host's own: `operator ed25519:…`, `host LABEL ed25519:…`, `drill ed25519:…`."),
  sources: Sources.describe("What is archived."),
  state: path.describe("Folder of the local state, a cache that can be rebuilt."),
  compression: z.int().min(1).max(19).prefault(DEFAULTS.compression).describe("zstd level, 1 to 19."),
  volumeSize: size(8 * MIB, 512 * MIB, DEFAULTS.volumeSize, "Size of a stored volume."),
  memory: optionalSize(64 * MIB, 16 * GIB, "Bytes of volumes in the making and on their way, at the most. Default: one and a half volumes for each core, at least three."),
  readers: z.int().min(1).max(64).optional().describe("How many threads read sources at once. Default: one for each core; 1 suits a single spinning disk."),
  safety: Safety.prefault({}).describe("When an archive is flagged as unusual, or a missing path makes it partial."),
  schedule: Schedule.prefault({}).describe("When runs start by themselves, for `coldkeep schedule install`."),
  retention,
  health,
  machine,
  ...dataKeys,
  ...watchKeys,
});

/** The configuration as it is written, and what the program makes of it. */
export const ConfigSchema = ConfigKeys.transform((value, context): Config => {
  const { copies: wanted, compression, volumeSize, memory, readers, ...same } = value;
  const copies = requiredCopies(wanted, value.regions.length);
  if (copies > value.regions.length) {
    context.addIssue({ code: "custom", path: ["copies"], message: `asks for ${copies} copies, but there are ${value.regions.length} regions` });
  }
  const other = same.signers.find((signer) => signer.role === "host" && signer.host !== same.host);
  if (same.retention?.signedBy === "host" && other !== undefined) {
    context.addIssue({ code: "custom", path: ["retention", "signedBy"], message: "cannot be `host` where `signers` names other hosts", params: { hint: "In a vault of several hosts the operator signs, with the kit: `coldkeep prune --kit FILE`." } });
  }
  return { ...same, copies, compressionLevel: compression, volumeSizeBytes: volumeSize, memoryBytes: memory ?? null, readers: readers ?? null };
});

/** The keys that may stand in the map at a path of the configuration. */
export function knownKeys(path: readonly PropertyKey[]): string[] {
  if (path[0] === "regions") return Object.keys((path[2] === "bandwidth" ? BandwidthKeys : path[2] === "lock" ? LockKeys : RegionKeys).shape);
  if (path[0] === "schedule") return Object.keys(path[1] === "verify" ? ScheduledVerifyKeys.shape : ScheduleKeys.shape);
  if (path[0] === "sources") return Object.keys(SourceKeys.shape);
  if (path[0] === "retention") return RETENTION_KEYS;
  if (path[0] === "health") return knownHealthKeys(path);
  if (path[0] === "machine") return MACHINE_KEYS;
  if (path[0] === "safety") return Object.keys(SafetyKeys.shape);
  return knownWatchKeys(path) ?? knownDataKeys(path) ?? Object.keys(ConfigKeys.shape);
}

function sameKind(recipients: string[], context: z.RefinementCtx): void {
  const first = recipients[0];
  const other = recipients.findIndex((text) => first !== undefined && text.startsWith("age1pq1") !== first.startsWith("age1pq1"));
  if (other < 0) return;
  context.addIssue({
    code: "custom",
    path: [other],
    message: "mixes age1… with age1pq1… recipients",
    params: { hint: "Use one kind only: one X25519 recipient would undo the post-quantum protection of the others." },
  });
}

/** The JSON Schema of the configuration file, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(ConfigSchema, { io: "input", target: "draft-2020-12" }), title: "coldkeep configuration" };
}
