/** The figures of this host's runs, as node_exporter's textfile collector reads them. */
import { writeFileDurable } from "../../disk/atomic-write.ts";
import { EXIT } from "../../errors.ts";
import type { RecordedVerb } from "../../policy/run-outcome.ts";
import type { RecordedRun, RunHistory } from "../../state/run-history.ts";
import { Exposition, type Sample, sum } from "./exposition.ts";

/** What the figures are about. */
export type MetricsSubject = { host: string | null; vault: string | null; version: string; regions: readonly string[]; rpoMs: number | null };

type Kind = { verb: RecordedVerb; level: string | null };
type KindFacts = Kind & { last: RecordedRun | undefined; success: RecordedRun | undefined };

/** What is known of the runs. */
export type RunFacts = {
  kinds: KindFacts[];
  /** The newest run that made an archive. */
  archive: RecordedRun | undefined;
  /** Region → the newest run whose archive it holds complete. */
  regions: Map<string, RecordedRun>;
};

const FINISHED = [EXIT.done, EXIT.failed, EXIT.usage, EXIT.partial, EXIT.threshold, EXIT.refused, EXIT.interrupted] as const;
const ARCHIVES_LOOKED_AT = 1000;

/** From the history, where there is one, and the run that has just ended, which the history may have failed to take. */
export function gatherFacts(history: RunHistory | null, ended: RecordedRun): RunFacts {
  const isRun = ended.end?.exitStatus !== EXIT.locked;
  const kinds: Kind[] = history?.kinds() ?? [];
  if (isRun && !kinds.some((kind) => isOf(ended, kind))) kinds.push({ verb: ended.verb, level: ended.level });
  const archives = [...(isRun && ended.verb === "backup" ? [ended] : []), ...(history?.newest({ verb: "backup", exits: FINISHED }, ARCHIVES_LOOKED_AT) ?? [])].filter(madeArchive);
  const regions = new Map<string, RecordedRun>();
  for (const run of archives) {
    for (const [name, state] of Object.entries(run.end?.summary?.regions ?? {})) if (state === "complete" && !regions.has(name)) regions.set(name, run);
  }
  return { kinds: kinds.map((kind) => factsOf(kind, history, isRun && isOf(ended, kind) ? ended : undefined)), archive: archives[0], regions };
}

function isOf(run: RecordedRun, { verb, level }: Kind): boolean {
  return run.verb === verb && run.level === level;
}

function madeArchive({ end }: RecordedRun): boolean {
  return end?.summary?.archive !== undefined && end.summary.archive !== null;
}

function factsOf(kind: Kind, history: RunHistory | null, ended: RecordedRun | undefined): KindFacts {
  const filter = { verb: kind.verb, ...(kind.level !== null && { level: kind.level }) };
  const last = ended ?? history?.last({ ...filter, exits: FINISHED });
  const success = ended?.end?.exitStatus === EXIT.done ? ended : history?.lastSuccess(kind.verb, kind.level ?? undefined);
  return { ...kind, last, success };
}

/** Text exposition format 0.0.4. Times are Unix times, seconds: ages are for whoever reads them to compute. */
export function formatMetrics(subject: MetricsSubject, facts: RunFacts): string {
  const { host, vault, version, rpoMs } = subject;
  const out = new Exposition({ ...(host !== null && { host }), ...(vault !== null && { vault }) });
  for (const [verb, kinds] of Map.groupBy(facts.kinds, (kind) => kind.verb)) addVerb(out, verb, kinds);
  const { archive, regions } = facts;
  if (archive !== undefined) {
    const names = new Set([...subject.regions, ...regions.keys()]);
    const samples = [...names].map((region) => ({ labels: { region }, value: seconds(regions.get(region)?.startedAtMs ?? 0) }));
    out.gauge("region_archive_timestamp_seconds", "When the newest archive that the region holds complete was begun; 0 where none is known.", samples);
  }
  const counts = archive?.end?.summary?.counts;
  out.gauge("archive_bytes", "What the newest archive needs in each region.", sum(counts?.archiveBytes));
  out.gauge("archive_stored_bytes", "What the newest archive added in each region.", sum(counts?.bytesStored));
  out.gauge("archive_entries", "Entries of the newest archive.", sum(counts?.entries));
  out.gauge("archive_problems", "What the newest archive lacks of its sources.", sum(counts?.problems));
  out.gauge("source_bytes", "Length of what the newest archive holds.", sum(counts?.sourceBytes));
  out.gauge("rpo_target_seconds", "How old the newest archive may be.", sum(rpoMs === null ? undefined : rpoMs / 1000));
  out.gauge("build_info", "The program that wrote this.", sum(1, { version }));
  return out.text();
}

function addVerb(out: Exposition, verb: RecordedVerb, kinds: readonly KindFacts[]): void {
  const name = verb.replaceAll(" ", "_");
  const each = (value: (kind: KindFacts) => number | undefined): Sample[] => kinds.flatMap((kind) => sum(value(kind), kind.level === null ? {} : { level: kind.level }));
  out.gauge(`${name}_last_success_timestamp_seconds`, `When the newest ${verb} without any fault ended.`, each(({ success }) => endOf(success)));
  out.gauge(`${name}_last_run_timestamp_seconds`, `When the newest ${verb} ended, however it did.`, each(({ last }) => endOf(last)));
  out.gauge(`${name}_last_status`, `Exit status of the newest ${verb}.`, each(({ last }) => last?.end?.exitStatus));
  out.gauge(`${name}_duration_seconds`, `How long the newest ${verb} took.`, each(({ last }) => (last?.end ? seconds(last.end.finishedAtMs - last.startedAtMs) : undefined)));
}

function endOf(run: RecordedRun | undefined): number | undefined {
  return run?.end ? seconds(run.end.finishedAtMs) : undefined;
}

function seconds(ms: number): number {
  return ms / 1000;
}

/** Replaces the file whole: readable for whoever runs the collector. Throws system errors. */
export function writeMetrics(path: string, text: string): void {
  writeFileDurable(path, Buffer.from(text), 0o644);
}
