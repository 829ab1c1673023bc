import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EXIT, type ExitStatus } from "../../src/errors.ts";
import { type BegunRun, type RunEnd, RunHistory } from "../../src/state/run-history.ts";
import { tempDir } from "../support/temp-dir.ts";

const run = (startedAtMs: number, more: Partial<BegunRun> = {}): BegunRun => ({ runId: randomUUID(), verb: "backup", level: null, samplePercent: null, startedAtMs, ...more });
const end = (finishedAtMs: number, exitStatus: ExitStatus, more: Partial<RunEnd> = {}): RunEnd => ({ finishedAtMs, exitStatus, error: null, summary: null, ...more });

function withHistory<T>(dir: string, work: (history: RunHistory) => T, keptRows?: number): T {
  const history = new RunHistory(dir, keptRows);
  try {
    return work(history);
  } finally {
    history.close();
  }
}

test("a run is there from its beginning, and keeps what it came to between processes", () => {
  const dir = join(tempDir(), "not", "there");
  const begun = run(1000);
  const summary = { archive: "x", regions: { a: "complete", b: "behind" }, counts: { entries: 3, bytesStored: 7 } };
  withHistory(dir, (history) => {
    history.begin(begun);
    expect(history.last()).toEqual({ ...begun, end: null, isRunning: true });
  });
  withHistory(dir, (history) => {
    history.finish(begun, end(2000, EXIT.partial, { summary, error: { code: "E_REGION", message: "m" } }));
    expect(history.last()).toEqual({ ...begun, end: { finishedAtMs: 2000, exitStatus: 3, error: { code: "E_REGION", message: "m" }, summary }, isRunning: false });
    expect(history.since(0)).toHaveLength(1);
  });
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

test("the last run and the last success, by verb and level; a host that was held does not count", () => {
  withHistory(tempDir(), (history) => {
    const put = (begun: BegunRun, exitStatus: ExitStatus): string => {
      history.finish(begun, end(begun.startedAtMs + 5, exitStatus));
      return begun.runId;
    };
    const good = put(run(1000), EXIT.done);
    const partial = put(run(2000), EXIT.partial);
    const locked = put(run(3000), EXIT.locked);
    const checksum = put(run(4000, { verb: "verify", level: "checksum" }), EXIT.done);
    const presence = put(run(5000, { verb: "verify", level: "presence" }), EXIT.failed);
    expect(history.last({ verb: "backup" })?.runId).toBe(partial);
    expect(history.lastSuccess("backup")?.runId).toBe(good);
    expect(history.last({ verb: "backup", exits: [EXIT.done, EXIT.partial] })?.runId).toBe(partial);
    expect(history.last({ verb: "verify" })?.runId).toBe(presence);
    expect(history.lastSuccess("verify")?.runId).toBe(checksum);
    expect(history.lastSuccess("verify", "presence")).toBeUndefined();
    expect(history.lastSuccess("restore")).toBeUndefined();
    expect(history.since(3000).map(({ runId }) => runId)).toEqual([presence, checksum, locked]);
    expect(history.since(0, { verb: "backup", exits: [EXIT.locked] }).map(({ runId }) => runId)).toEqual([locked]);
    expect(history.newest({}, 2).map(({ runId }) => runId)).toEqual([presence, checksum]);
    expect(history.kinds()).toEqual([{ verb: "backup", level: null }, { verb: "verify", level: "checksum" }, { verb: "verify", level: "presence" }]);
  });
});

test("a run whose process was killed is unfinished, not running", () => {
  const dir = tempDir();
  const module = fileURLToPath(new URL("../../src/state/run-history.ts", import.meta.url));
  const begun = run(1000);
  const script = `const { RunHistory } = await import(${JSON.stringify(module)}); new RunHistory(${JSON.stringify(dir)}).begin(${JSON.stringify(begun)}); process.kill(process.pid, "SIGKILL");`;
  expect(spawnSync(process.execPath, ["--input-type=module", "-e", script]).signal).toBe("SIGKILL");
  withHistory(dir, (history) => expect(history.last()).toEqual({ ...begun, end: null, isRunning: false }));
});

test("two processes write at once", () => {
  const dir = tempDir();
  withHistory(dir, (first) => withHistory(dir, (second) => {
    for (let at = 0; at < 50; at++) {
      first.begin(run(at));
      second.begin(run(at));
    }
    expect(first.since(0)).toHaveLength(100);
  }));
});

test("what is old or too much is forgotten, but not the last success of its kind", () => {
  const dir = tempDir();
  const year = 366 * 86_400_000;
  withHistory(dir, (history) => {
    const verified = run(year, { verb: "verify", level: "content" });
    history.finish(verified, end(year, EXIT.done));
    history.finish(run(year), end(year, EXIT.failed));
    for (let at = 0; at < 30; at++) history.finish(run(5 * year + at), end(5 * year + at, EXIT.failed));
    history.begin(run(5 * year + 100));
    const kept = history.since(0);
    expect(kept).toHaveLength(11);
    expect(kept.at(-1)?.runId).toBe(verified.runId);
    expect(kept[9]?.startedAtMs).toBe(5 * year + 21);
  }, 10);
});

test("a damaged row is passed over, and a damaged file is begun anew", () => {
  const dir = tempDir();
  const begun = run(1000);
  withHistory(dir, (history) => {
    history.begin(begun);
    history.begin(run(2000));
  });
  const database = new DatabaseSync(join(dir, "history.db"));
  database.exec("UPDATE run SET line = replace(line, '2000', '2001') WHERE started = 2000");
  database.close();
  withHistory(dir, (history) => expect(history.last()?.runId).toBe(begun.runId));
  writeFileSync(join(dir, "history.db"), "no database at all, whatever its name says");
  withHistory(dir, (history) => {
    expect(history.last()).toBeUndefined();
    history.begin(begun);
    expect(history.last()?.runId).toBe(begun.runId);
  });
});
