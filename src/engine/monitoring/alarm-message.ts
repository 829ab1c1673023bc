/** What is told of a run: a document for programs, a few lines for people. */
import type { NotifyTarget } from "../../config/watch-schema.ts";
import type { AlarmEvent, RecordedVerb } from "../../policy/run-outcome.ts";
import type { RunCounts } from "../../state/run-history.ts";
import { formatDuration, formatSize } from "../../units.ts";
import type { Post } from "./post.ts";

/** The JSON body of a webhook. */
export type RunMessage = {
  schemaVersion: 1;
  event: AlarmEvent;
  /** A message of `notify test`, about no run. */
  test: boolean;
  host: string | null;
  vault: string | null;
  runId: string;
  verb: RecordedVerb;
  level: string | null;
  exitStatus: number | null;
  archive: string | null;
  error: { code: string; message: string; hint: string | null } | null;
  startedAt: string;
  finishedAt: string | null;
  regions: Readonly<Record<string, string>>;
  counts: RunCounts;
};

/** Where a target is, with everything that was in files. */
export type Destination = { target: NotifyTarget; url: string; headers: Readonly<Record<string, string>> };

/** What services of this kind keep of a body. */
const BODY_BYTES_MAX = 100_000;

export function requestFor(destination: Destination, message: RunMessage, lastLines: (count: number) => string[]): Post {
  const { target, url, headers } = destination;
  if (target.kind === "webhook") return { url, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(message) };
  const text = message.event === "start" ? "" : [...describe(message), ...lastLines(target.lines)].join("\n");
  return { url: pingAddress(url, message), headers: { "content-type": "text/plain; charset=utf-8", ...headers }, body: cut(text) };
}

/** Healthchecks' pinging API: the plain address for a success, /start, /fail, /<exit status>; `rid` ties them to one run. */
function pingAddress(address: string, { event, exitStatus, error, runId }: RunMessage): string {
  const url = new URL(address);
  const failed = exitStatus === null || error?.code === "E_INTERRUPTED" ? "/fail" : `/${exitStatus}`;
  const path = event === "start" ? "/start" : event === "success" ? "" : failed;
  url.pathname = url.pathname.replace(/\/+$/, "") + path;
  url.searchParams.set("rid", runId);
  return url.href;
}

function describe(message: RunMessage): string[] {
  const { test, verb, level, host, event, exitStatus, archive, regions, counts, error, startedAt, finishedAt } = message;
  const tookMs = finishedAt === null ? null : Date.parse(finishedAt) - Date.parse(startedAt);
  const ended = exitStatus === null ? event : `${event} (exit ${exitStatus})`;
  const names = Object.entries(regions).map(([name, state]) => `${name} ${state}`);
  const sizes = (["sourceBytes", "bytesRead", "bytesStored"] as const).flatMap((name) => (counts[name] === undefined ? [] : [`${name} ${formatSize(counts[name])}`]));
  return [
    `${test ? "test: " : ""}coldkeep ${verb}${level === null ? "" : ` (${level})`} of ${host ?? "an unknown host"}: ${ended}${tookMs === null ? "" : ` after ${formatDuration(tookMs)}`}`,
    ...(archive === null ? [] : [`archive ${archive}`]),
    ...(names.length === 0 ? [] : [`regions: ${names.join(", ")}`]),
    ...(counts.entries === undefined ? [] : [`entries ${counts.entries}${sizes.map((each) => `, ${each}`).join("")}`]),
    ...(counts.problems === undefined || counts.problems === 0 ? [] : [`problems ${counts.problems}`]),
    ...(error === null ? [] : [`error ${error.code}: ${error.message}`, ...(error.hint === null ? [] : [`hint: ${error.hint}`])]),
  ];
}

/** The beginning and, of what is too long, the end. */
function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= BODY_BYTES_MAX) return text;
  const half = BODY_BYTES_MAX / 2 - 100;
  return `${bytes.subarray(0, half).toString()}\n[…]\n${bytes.subarray(-half).toString()}`;
}
