/** The textfile: every line in the exposition format, every figure from the history, and every name in the alert rules. */
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { formatMetrics, gatherFacts, type MetricsSubject, writeMetrics } from "../../../src/engine/monitoring/metrics.ts";
import { formatStatusMetrics } from "../../../src/engine/monitoring/status-metrics.ts";
import { NOTHING_LOCAL } from "../../../src/engine/local-facts.ts";
import { EXIT, type ExitStatus } from "../../../src/errors.ts";
import { DEFAULT_OBJECTIVES } from "../../../src/policy/readiness.ts";
import { RECORDED_VERBS, type RecordedVerb } from "../../../src/policy/run-outcome.ts";
import { type RecordedRun, RunHistory, type RunSummary } from "../../../src/state/run-history.ts";
import { tempDir } from "../../support/temp-dir.ts";

const SUBJECT: MetricsSubject = { host: "web1", vault: "v1", version: "1.2.3", regions: ["a", "b"], rpoMs: 93_600_000 };
const archive = (id: string, regions: Record<string, string>): RunSummary => ({ archive: id, regions, counts: { entries: 5, sourceBytes: 100, bytesStored: 10, archiveBytes: 50, problems: 1 } });

function ended(startedAtMs: number, exitStatus: ExitStatus, more: { verb?: RecordedVerb; level?: string; summary?: RunSummary } = {}): RecordedRun {
  const { verb = "backup", level = null, summary = null } = more;
  return { runId: randomUUID(), verb, level, samplePercent: null, startedAtMs, end: { finishedAtMs: startedAtMs + 1500, exitStatus, error: null, summary }, isRunning: false };
}

/** Series → value, of a text every line of which is checked. */
function series(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const typed = new Set<string>();
  for (const line of text.trimEnd().split("\n")) {
    const type = /^# TYPE (coldkeep_[a-z_]+) gauge$/.exec(line);
    if (type?.[1] !== undefined) {
      expect(typed).not.toContain(type[1]);
      typed.add(type[1]);
    }
    if (line.startsWith("#")) continue;
    const match = /^(coldkeep_[a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\}) (\d+(?:\.\d+)?)$/.exec(line);
    expect(match, line).not.toBeNull();
    expect(typed).toContain(match?.[1]);
    found.set(`${match?.[1]}${match?.[2]?.replace('host="web1",vault="v1"', "")}`.replace("{,", "{").replace("{}", ""), Number(match?.[3]));
  }
  return found;
}

function metricsAfter(runs: RecordedRun[], subject = SUBJECT): Map<string, number> {
  const history = new RunHistory(tempDir());
  try {
    for (const run of runs.slice(0, -1)) if (run.end !== null) history.finish(run, run.end);
    const last = runs.at(-1);
    if (last === undefined) throw new Error("no run");
    return series(formatMetrics(subject, gatherFacts(history, last)));
  } finally {
    history.close();
  }
}

test("figures come from all runs before and the one that has just ended", () => {
  const found = metricsAfter([
    ended(1_000_000, EXIT.done, { summary: archive("x", { a: "complete", b: "complete" }) }),
    ended(2_000_000, EXIT.done, { verb: "verify", level: "checksum" }),
    ended(3_000_000, EXIT.partial, { verb: "verify", level: "checksum" }),
    ended(4_000_000, EXIT.partial, { summary: archive("y", { a: "complete", b: "behind" }) }),
  ]);
  expect(Object.fromEntries(found)).toEqual({
    coldkeep_backup_last_success_timestamp_seconds: 1001.5,
    coldkeep_backup_last_run_timestamp_seconds: 4001.5,
    coldkeep_backup_last_status: 3,
    coldkeep_backup_duration_seconds: 1.5,
    'coldkeep_verify_last_success_timestamp_seconds{level="checksum"}': 2001.5,
    'coldkeep_verify_last_run_timestamp_seconds{level="checksum"}': 3001.5,
    'coldkeep_verify_last_status{level="checksum"}': 3,
    'coldkeep_verify_duration_seconds{level="checksum"}': 1.5,
    'coldkeep_region_archive_timestamp_seconds{region="a"}': 4000,
    'coldkeep_region_archive_timestamp_seconds{region="b"}': 1000,
    coldkeep_archive_bytes: 50,
    coldkeep_archive_stored_bytes: 10,
    coldkeep_archive_entries: 5,
    coldkeep_archive_problems: 1,
    coldkeep_source_bytes: 100,
    coldkeep_rpo_target_seconds: 93_600,
    'coldkeep_build_info{version="1.2.3"}': 1,
  });
});

test("a failed run takes nothing away, and one that found the host held is not seen", () => {
  const good = ended(1_000_000, EXIT.done, { summary: archive("x", { a: "complete", b: "complete" }) });
  const failed = metricsAfter([good, ended(2_000_000, EXIT.refused)]);
  expect(failed.get("coldkeep_backup_last_status")).toBe(5);
  expect(failed.get("coldkeep_backup_last_success_timestamp_seconds")).toBe(1001.5);
  expect(failed.get('coldkeep_region_archive_timestamp_seconds{region="b"}')).toBe(1000);
  const locked = metricsAfter([good, ended(2_000_000, EXIT.locked)]);
  expect(locked.get("coldkeep_backup_last_status")).toBe(0);
  expect(locked.get("coldkeep_backup_last_run_timestamp_seconds")).toBe(1001.5);
});

test("a run that made no region complete leaves them at what they had, a new region at zero", () => {
  const good = ended(1_000_000, EXIT.done, { summary: archive("x", { a: "complete" }) });
  const found = metricsAfter([good, ended(2_000_000, EXIT.failed, { summary: archive("y", { a: "behind", b: "behind" }) })]);
  expect(found.get('coldkeep_region_archive_timestamp_seconds{region="a"}')).toBe(1000);
  expect(found.get('coldkeep_region_archive_timestamp_seconds{region="b"}')).toBe(0);
});

test("without a history there is the run itself, and no time that nobody knows", () => {
  const facts = gatherFacts(null, ended(1_000_000, EXIT.usage));
  const found = series(formatMetrics({ ...SUBJECT, rpoMs: null }, facts));
  expect([...found.keys()]).toEqual(["coldkeep_backup_last_run_timestamp_seconds", "coldkeep_backup_last_status", "coldkeep_backup_duration_seconds", 'coldkeep_build_info{version="1.2.3"}']);
});

test("labels are escaped, and left out where they are not known", () => {
  const text = formatMetrics({ ...SUBJECT, host: null, vault: null, regions: ['q"\\\n'] }, gatherFacts(null, ended(1_000_000, EXIT.done, { summary: archive("x", {}) })));
  expect(text).toContain('coldkeep_region_archive_timestamp_seconds{region="q\\"\\\\\\n"} 0\n');
  expect(text).toContain("coldkeep_backup_last_status{} 0\n");
});

describe("the file", () => {
  test("is replaced whole, readable for the collector, with nothing left beside it", () => {
    const dir = tempDir();
    const path = join(dir, "coldkeep.prom");
    writeFileSync(path, "old");
    chmodSync(path, 0o600);
    writeMetrics(path, "new\n");
    expect(readFileSync(path, "utf8")).toBe("new\n");
    expect(statSync(path).mode & 0o777).toBe(0o644);
    symlinkSync("/nonexistent", join(dir, "link.prom"));
    writeMetrics(join(dir, "link.prom"), "x\n");
    expect(readdirSync(dir).toSorted()).toEqual(["coldkeep.prom", "link.prom"]);
    expect(existsSync("/nonexistent")).toBe(false);
  });

  test("that cannot be written leaves nothing behind", () => {
    const dir = tempDir();
    mkdirSync(join(dir, "coldkeep.prom"));
    expect(() => writeMetrics(join(dir, "coldkeep.prom"), "x\n")).toThrow(/EISDIR/);
    expect(() => writeMetrics(join(dir, "missing/coldkeep.prom"), "x\n")).toThrow(/ENOENT/);
    expect(readdirSync(dir)).toEqual(["coldkeep.prom"]);
  });
});

test("every name in the alert rules and in the manual is one that is written", () => {
  const summary = archive("x", { a: "complete" });
  const all = RECORDED_VERBS.map((verb, at) => ended(1_000_000 * at, EXIT.done, { verb, ...(verb === "backup" && { summary }), ...(verb === "verify" && { level: "checksum" }) }));
  const written = new Set([...metricsAfter(all).keys()].map((key) => key.replace(/\{.*/, "")));
  const docs = join(import.meta.dirname, "../../../docs");
  const rules = readFileSync(join(docs, "alerts.yml"), "utf8");
  const local = { ...NOTHING_LOCAL, locks: [{ region: "a", objects: 1, unknown: 0, firstEndMs: 1000, rule: { mode: "governance" as const, days: 30 } }] };
  const asked = series(formatStatusMetrics({ host: "web1", retired: null, keyCheckedAt: "2027-01-01T00:00:00Z", drills: [{ at: "2026-11-20T00:00:00.000Z", archive: "x", depth: "services", result: "passed", rtoMs: 90_000 }], archives: [], newestGood: null, findings: [], local }, DEFAULT_OBJECTIVES, "v1"));
  // The rules work on the textfile; the manual also has what only `status --prom` says.
  const everywhere = new Set([...written, ...[...asked.keys()].map((key) => key.replace(/\{.*/, ""))]);
  for (const [text, names] of [[rules, written], [readFileSync(join(docs, "monitoring.md"), "utf8"), everywhere]] as const) {
    const named = [...text.matchAll(/\bcoldkeep_[a-z_]+\b/g)].map(([name]) => name);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !names.has(name))).toEqual([]);
  }
  const { groups } = parse(rules) as { groups: { rules: { alert: string; expr: string; annotations: { summary: string; action: string } }[] }[] };
  for (const { alert, expr, annotations } of groups.flatMap((group) => group.rules)) {
    expect(alert).toMatch(/^Coldkeep[A-Z]/);
    expect(expr).toMatch(/coldkeep_|node_textfile/);
    expect(annotations.summary && annotations.action).toBeTruthy();
  }
});
