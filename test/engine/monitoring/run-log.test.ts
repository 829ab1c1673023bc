import { appendFileSync, chmodSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RunLog } from "../../../src/engine/monitoring/run-log.ts";
import { Secrets } from "../../../src/policy/secrets.ts";
import { tempDir } from "../../support/temp-dir.ts";

function newLog(): RunLog {
  const secrets = new Secrets({ AWS_SECRET_ACCESS_KEY: 'se"cret-value' });
  return new RunLog("run-1", "backup", secrets);
}

const lines = (path: string): Record<string, unknown>[] => readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);

test("lines are documents with time, level, run, verb and host, appended to what is there", () => {
  const path = join(tempDir(), "log");
  appendFileSync(path, '{"older":true}\n');
  const log = newLog();
  log.note("info", "before it is open");
  log.open(path, "info");
  log.nameHost("web1");
  log.note("debug", "too little");
  log.note("warn", 'with se"cret-value\nin it', { hint: "Do it." });
  log.note("info", "ends", { event: "end", counts: { entries: 3 } });
  expect(lines(path)).toEqual([
    { older: true },
    { time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/), level: "warn", runId: "run-1", verb: "backup", host: "web1", message: "with [a secret]\nin it", hint: "Do it." },
    expect.objectContaining({ message: "ends", event: "end", counts: { entries: 3 } }),
  ]);
  expect(log.trouble).toBeNull();
});

test("the last lines are kept without a file too: what was said, not what was noted of the run", () => {
  const log = newLog();
  for (let at = 0; at < 300; at++) log.note("info", `line ${at}`);
  log.note("debug", "detail");
  log.note("info", "ends", { event: "end" });
  log.note("error", 'se"cret-value');
  expect(log.lastLines(3)).toEqual(["line 298", "line 299", "[a secret]"]);
  expect(log.lastLines(1000)).toHaveLength(200);
  expect(log.lastLines(0)).toEqual([]);
});

test("a new file is private, and one that is there keeps its mode; one that was rotated away is still written to its end", () => {
  const dir = tempDir();
  const path = join(dir, "log");
  const log = newLog();
  log.open(path, "info");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  chmodSync(path, 0o640);
  newLog().open(path, "info");
  expect(statSync(path).mode & 0o777).toBe(0o640);
  renameSync(path, join(dir, "log.1"));
  log.note("info", "after");
  expect(lines(join(dir, "log.1"))).toMatchObject([{ message: "after" }]);
});

test("a log that cannot be written is one trouble, and no more", () => {
  const dir = tempDir();
  symlinkSync("/etc/passwd", join(dir, "link"));
  mkdirSync(join(dir, "folder"));
  for (const [path, reason] of [[join(dir, "link"), /ELOOP/], [join(dir, "folder"), /EISDIR/], [join(dir, "missing/log"), /ENOENT/], ["/dev/null", /not a regular file/]] as const) {
    const log = newLog();
    log.open(path, "info");
    log.note("info", "x");
    expect(log.trouble).toMatch(/^cannot write the log \//);
    expect(log.trouble).toMatch(reason);
  }
});
