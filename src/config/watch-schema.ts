/** The sections about what surrounds a run: who is told of it, where its figures and its log go, what it is measured by. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { ALARM_EVENTS, type AlarmEvent, RECORDED_VERBS, type RecordedVerb } from "../policy/run-outcome.ts";
import type { Objectives } from "../policy/readiness.ts";
import { checked, durationUpTo, path } from "./value-types.ts";

/** Where an address stands: in the configuration, or, where knowing it is enough to use it, in a private file. */
export type AlarmAddress = { url: string } | { urlFile: string };

/** One who is told of runs. */
export type NotifyTarget = {
  address: AlarmAddress;
  on: AlarmEvent[];
  /** Null: all that are recorded. */
  verbs: RecordedVerb[] | null;
} & (
  | {
      kind: "ping";
      /** How many of the last lines on stderr go along at the end of a run. */
      lines: number;
    }
  | {
      kind: "webhook";
      /** A private file with headers to send. */
      headersFile: string | null;
    }
);

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What surrounds the runs of a host. */
export type WatchConfig = {
  notify: NotifyTarget[];
  metrics: { textfile: string } | null;
  log: { file: string; level: LogLevel } | null;
  objectives: Objectives;
};

const LINES_MAX = 200;
const RPO = "26h";

/** The address is not repeated: it may be all that protects what it leads to. */
function httpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === "https:" || url.protocol === "http:") && url.hash === "") return text;
  throw new ColdkeepError("E_CONFIG", "is not the address of a service", { hint: "Write https://host/path, or name a private file that holds it with urlFile." });
}

const addressKeys = {
  url: z.string().transform(checked(httpUrl)).optional().describe("The address, where it is no secret."),
  urlFile: path.optional().describe("File with the address, mode 0600."),
};

type AddressKeys = { url?: string | undefined; urlFile?: string | undefined };

function addressOf({ url, urlFile }: AddressKeys, context: z.RefinementCtx): AlarmAddress {
  if (url !== undefined && urlFile === undefined) return { url };
  if (urlFile !== undefined && url === undefined) return { urlFile };
  context.addIssue({ code: "custom", message: "needs either `url` or `urlFile`", params: { hint: "An address that works for whoever knows it belongs into a file of mode 0600: urlFile.", missing: true } });
  return z.NEVER;
}

const PingKeys = z.strictObject({
  ...addressKeys,
  lines: z.int().min(0).max(LINES_MAX).prefault(0).describe("How many of the run's last lines go along; they name files of this host."),
});

const WebhookKeys = z.strictObject({
  ...addressKeys,
  headersFile: path.optional().describe("File with headers to send, `Name: value` in each line, mode 0600."),
});

const Ping = PingKeys.transform((value, context) => ({ kind: "ping" as const, address: addressOf(value, context), lines: value.lines }));
const Webhook = WebhookKeys.transform((value, context) => ({ kind: "webhook" as const, address: addressOf(value, context), headersFile: value.headersFile ?? null }));

const NotifyKeys = z.strictObject({
  ping: Ping.optional().describe("A service in the manner of Healthchecks, which raises the alarm itself when nothing comes."),
  webhook: Webhook.optional().describe("Any other service: gets a JSON document."),
  on: z.array(z.enum(ALARM_EVENTS)).min(1).optional().describe("What it is told of. Default: a ping of everything, a webhook of partial and failed runs."),
  verbs: z.array(z.enum(RECORDED_VERBS)).min(1).optional().describe("Only runs of these verbs. Default: all that are recorded."),
});

const Target = NotifyKeys.transform(({ ping, webhook, on, verbs }, context): NotifyTarget => {
  const common = { verbs: verbs ?? null };
  if (ping !== undefined && webhook === undefined) return { ...common, ...ping, on: on ?? [...ALARM_EVENTS] };
  if (webhook !== undefined && ping === undefined) return { ...common, ...webhook, on: on ?? ["partial", "fail"] };
  context.addIssue({ code: "custom", message: "needs either `ping` or `webhook`", params: { hint: "Write one entry of the list for each.", missing: true } });
  return z.NEVER;
});

const MetricsKeys = z.strictObject({ textfile: path.describe("File for node_exporter's textfile collector; its name ends in .prom.") });

const LogKeys = z.strictObject({
  file: path.describe("File that JSON lines are appended to."),
  level: z.enum(LOG_LEVELS).prefault("info").describe("The least that is worth a line."),
});

const interval = durationUpTo(3660);

const ObjectivesKeys = z.strictObject({
  rpo: interval.prefault(RPO).describe("The most that may be lost: how old the newest archive may be. A duration like 26h."),
  rto: interval.optional().describe("The longest that a rebuild may take. A duration like 2h."),
  verifyEvery: interval.optional().describe("How often archives are to be verified. A duration like 7d."),
  drillEvery: interval.optional().describe("How often recovery is to be drilled. A duration like 90d."),
});

const ObjectivesValue = ObjectivesKeys.transform(
  ({ rpo, rto, verifyEvery, drillEvery }): Objectives => ({ rpoMs: rpo, rtoMs: rto ?? null, verifyEveryMs: verifyEvery ?? null, drillEveryMs: drillEvery ?? null }),
);

/** Keys for the top of the configuration; each section can be read by itself. */
export const watchKeys = {
  notify: z.array(Target).max(16, { error: "must name 16 at the most" }).prefault([]).describe("Who is told of runs."),
  metrics: MetricsKeys.nullable().prefault(null).describe("Where figures about the runs go."),
  log: LogKeys.nullable().prefault(null).describe("Where a log of the runs goes."),
  objectives: ObjectivesValue.prefault({}).describe("What is promised, and what `coldkeep status` measures."),
};

/** The keys that may stand at a path into these sections; undefined outside of them. */
export function knownWatchKeys([section, , kind]: readonly PropertyKey[]): string[] | undefined {
  const target = kind === "ping" ? PingKeys : kind === "webhook" ? WebhookKeys : NotifyKeys;
  const sections = new Map<PropertyKey | undefined, z.ZodObject>([["notify", target], ["metrics", MetricsKeys], ["log", LogKeys], ["objectives", ObjectivesKeys]]);
  const found = sections.get(section);
  return found && Object.keys(found.shape);
}
