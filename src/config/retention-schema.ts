/** The section about how long archives are kept; the same rule can stand on the command line. */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { didYouMean } from "../policy/closest.ts";
import { checkRule, checkTimeZone, PERIODS, type RetentionRule } from "../policy/retention.ts";
import { formatDuration, parseSize } from "../units.ts";
import { checked, durationUpTo } from "./value-types.ts";

export type RetentionConfig = {
  rule: RetentionRule;
  /** Whose signature expires archives: the operator's, or this host's own. */
  signedBy: "operator" | "host";
  /** Content stored again in one night at the most, bytes, so that volumes of which little is needed can go; null for none. */
  reclaimBytes: number | null;
};

const KEEP_MIN = 3;
const RECLAIM = "1GiB";

const count = (about: string) => z.int().min(0).max(100_000).prefault(0).describe(about);

const ruleKeys = {
  last: count("So many of the newest archives."),
  daily: count("One archive for each of so many days that have any."),
  weekly: count("The same for weeks, which begin on Monday."),
  monthly: count("The same for months."),
  yearly: count("The same for years."),
  within: durationUpTo(36_600).optional().describe("Every archive younger than this. A duration like 7d."),
  keepMin: z.int().min(1).max(100_000).prefault(KEEP_MIN).describe("However old: at least so many archives that are complete in enough regions."),
  timeZone: z.string().transform(checked(checkTimeZone)).prefault("UTC").describe("Where days begin and end, like Europe/Berlin."),
};

function reclaimBytes(text: string): number | null {
  return text === "off" ? null : parseSize(text);
}

const RuleKeys = z.strictObject(ruleKeys);
const RetentionKeys = z.strictObject({
  ...ruleKeys,
  signedBy: z.enum(["operator", "host"]).prefault("operator").describe("Who signs that archives expire: the operator, with the kit, or this host by itself."),
  reclaim: z.string({ error: "must be a size, or off" }).transform(checked(reclaimBytes)).prefault(RECLAIM).describe("How much may be stored again in one night, from this machine's disk, so that volumes of which little is needed can go. A size like 1GiB, or off."),
});

function ruleOf({ within, ...same }: z.infer<typeof RuleKeys>): RetentionRule {
  return checkRule({ ...same, withinMs: within ?? null });
}

const RetentionValue = RetentionKeys.transform(({ signedBy, reclaim, ...keys }, context): RetentionConfig => {
  try {
    return { rule: ruleOf(keys), signedBy, reclaimBytes: reclaim };
  } catch (error) {
    if (!(error instanceof ColdkeepError)) throw error;
    // What is not there may stand there mistyped, which is then the better complaint.
    context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint, missing: true } });
    return z.NEVER;
  }
});

/** For the top of the configuration. */
export const retention = RetentionValue.nullable().prefault(null).describe("How long archives are kept, by `coldkeep prune`. Default: for ever.");

export const RETENTION_KEYS = Object.keys(RetentionKeys.shape);

/** How a rule stands on the command line, for hints. */
export const RULE_FORM = `Write it like daily=7,weekly=4,monthly=12; known are ${Object.keys(ruleKeys).join(", ")}.`;

/** `daily=7,weekly=4,within=2d`. Throws E_USAGE. */
export function parseRule(text: string): RetentionRule {
  const pairs = text.split(/[,\s]+/).filter((part) => part !== "").map((part): [string, unknown] => {
    const [name = "", value = ""] = part.split("=");
    const known = Object.keys(ruleKeys);
    if (!known.includes(name)) throw new ColdkeepError("E_USAGE", `"${name}" is no part of a rule`, { hint: `${RULE_FORM}${didYouMean(name, known)}` });
    return [name, name === "within" || name === "timeZone" || !/^\d+$/.test(value) ? value : Number(value)];
  });
  const parsed = RuleKeys.transform(checked(ruleOf)).safeParse(Object.fromEntries(pairs));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ColdkeepError("E_USAGE", `"${text}" is not a rule: ${[...(issue?.path ?? []), issue?.message].join(": ")}`, { hint: RULE_FORM });
}

/** A rule as it stands on the command line, for people. */
export function formatRule({ withinMs, ...rule }: RetentionRule): string {
  const counts = (["last", ...PERIODS, "keepMin"] as const).flatMap((name) => (rule[name] > 0 ? [`${name} ${rule[name]}`] : []));
  return [...counts, ...(withinMs === null ? [] : [`within ${formatDuration(withinMs)}`]), rule.timeZone].join(", ");
}
