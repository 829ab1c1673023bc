/**
 * A month of nights, each at its own time: a region is away for three of them, a source is emptied, one run is missed, one finds
 * another under way, and one archive is far smaller than usual. What status, metrics, alarms and exit codes say of each.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { setUpHost, type TestHost } from "../support/host.ts";
import { waitUntil } from "../support/program.ts";
import { clockAt } from "../support/virtual-clock.ts";
import { startWatchServer, type WatchServer } from "../support/watch-server.ts";

const HOUR = 3_600_000;
const NIGHTS = 30;
/** The last night is tonight, by the real clock. */
const FIRST = Date.now() - (NIGHTS - 1) * 24 * HOUR;

type Night = { exit: number | null; alarms: string[]; status: number | null; verdict: string; metric: string | undefined };
type Report = { archives: unknown[]; gaps: { gapMs: number }[]; worstGapMs: number; incidents: { at: string; what: string }[]; proofs: { verb: string; exitStatus: number }[] };

let host: TestHost;
let watch: WatchServer;
const nights: Night[] = [];

const at = (night: number, hours = 0): number => FIRST + (night * 24 + hours) * HOUR;
const away = (): string => `${host.region("b")}.away`;

/** What happens on the evening before a night. */
const EVENINGS: Record<number, () => void> = {
  5: () => renameSync(host.region("b"), away()),
  8: () => renameSync(away(), host.region("b")),
  10: () => renameSync(host.source, `${host.source}.disk`),
  11: () => undefined,
  12: () => {
    rmSync(host.source, { recursive: true });
    renameSync(`${host.source}.disk`, host.source);
  },
  20: () => {
    for (const name of readdirSync(host.source).slice(0, 450)) rmSync(join(host.source, name));
  },
};
/** Nights on which nothing runs, and what is said on the command line of others. */
const MISSED = 15;
const ARGUMENTS: Record<number, string[]> = { 22: ["--accept-changes"] };

function metric(name: string): string | undefined {
  const text = readFileSync(join(host.dir, "metrics/coldkeep.prom"), "utf8");
  return new RegExp(`^coldkeep_${name}\\{[^}]*\\} (.*)$`, "m").exec(text)?.[1];
}

async function statusAt(timeMs: number): Promise<Pick<Night, "status" | "verdict">> {
  const run = await host.run(["status", "--json", "--config", host.config], { env: clockAt(timeMs) });
  return { status: run.status, verdict: run.json<{ verdict: string }>().verdict };
}

async function spend(night: number): Promise<Night> {
  EVENINGS[night]?.();
  if (night === 10) mkdirSync(host.source);
  writeFileSync(join(host.dir, "own/counter"), `night ${night}`);
  watch.told.length = 0;
  let exit: number | null = null;
  if (night !== MISSED) exit = (await host.run(["backup", "--config", host.config, ...(ARGUMENTS[night] ?? [])], { env: clockAt(at(night)) })).status;
  const alarms = watch.told.map(({ path }) => path.replace(/^\/ping/, "")).filter((path) => path !== "/start");
  return { exit, alarms, ...(await statusAt(at(night, 5))), metric: metric("backup_last_status") };
}

describe("a month", () => {
  beforeAll(async () => {
    watch = await startWatchServer();
    host = await setUpHost({ tree: {} });
    mkdirSync(join(host.dir, "metrics"));
    mkdirSync(join(host.dir, "own"));
    for (let i = 0; i < 600; i++) writeFileSync(join(host.source, `${i}.txt`), `content ${i}\n`);
    host.editConfig((text) => `${text.replace("sources:\n", `sources:\n  - "${join(host.dir, "own")}"\n`)}
notify: [{ping: {url: "${watch.origin}/ping"}}]
metrics: {textfile: "${join(host.dir, "metrics/coldkeep.prom")}"}
`);
    for (let night = 0; night < NIGHTS - 1; night++) nights.push(await spend(night));
  }, 240_000);
  afterAll(() => watch.stop());

  /** The nights from one to another, both included. */
  const span = (from: number, to: number): Night[] => nights.slice(from, to + 1);

  test("ordinary nights: exit 0, one success, nothing to look at", () => {
    for (const night of [...span(0, 4), ...span(8, 9), ...span(12, 14), ...span(16, 19), ...span(22, 28)]) {
      expect(night).toEqual({ exit: 0, alarms: [""], status: 0, verdict: "ready", metric: "0" });
    }
  });

  test("three nights without a region: partial, told as that, and no alarm of age", () => {
    for (const night of span(5, 7)) expect(night).toEqual({ exit: 3, alarms: ["/3"], status: 4, verdict: "look", metric: "3" });
  });

  test("a source emptied: partial every night until it is back", () => {
    for (const night of span(10, 11)) expect(night).toMatchObject({ exit: 3, alarms: ["/3"], status: 4, metric: "3" });
  });

  test("a missed run: nobody is told by us, and status says so once the objective is passed", async () => {
    expect(nights[MISSED]).toEqual({ exit: null, alarms: [], status: 4, verdict: "at-risk", metric: "0" });
    // The metric is a time, from which anyone can see the same.
    expect(Number(metric("backup_last_run_timestamp_seconds")) * 1000).toBeGreaterThan(at(NIGHTS - 2));
  });

  test("an archive far smaller than usual is flagged, and again, until it is accepted", () => {
    for (const night of span(20, 21)) expect(night).toEqual({ exit: 4, alarms: ["/4"], status: 4, verdict: "look", metric: "4" });
  });

  test("a run that finds another under way: exit 6, and no alarm", async () => {
    watch.told.length = 0;
    const first = host.startBackup();
    await waitUntil("the first run holds the host", () => readdirSync(host.state).includes("holder.json"));
    first.child.kill("SIGSTOP");
    const second = await host.run(["backup", "--config", host.config]);
    expect(second.status).toBe(6);
    expect(second.stderr.trimEnd().split("\n").filter((line) => line.startsWith("coldkeep: error"))).toHaveLength(1);
    expect(watch.told.filter(({ path }) => path !== "/ping/start")).toEqual([]);
    first.child.kill("SIGCONT");
    expect((await first.result).status).toBe(0);
    expect((await statusAt(Date.now())).verdict).toBe("ready");
  });

  test("the report of the month names each of it once, in order", async () => {
    const run = await host.run(["report", "--json", "--period", "40d", "--config", host.config]);
    const report = run.json<Report>();
    expect(report.archives).toHaveLength(NIGHTS - 1);
    expect(Math.round(report.worstGapMs / HOUR)).toBeGreaterThanOrEqual(48);
    const whats = report.incidents.map(({ what }) => what);
    expect(whats.filter((what) => what === "archive is partial")).toHaveLength(2);
    // Those of the emptied source, and those before the smaller one was accepted.
    expect(whats.filter((what) => what.startsWith("archive is unusual: shrunk"))).toHaveLength(4);
    expect(whats.some((what) => what.startsWith("no good archive for 48 h"))).toBe(true);
    expect(report.incidents.map(({ at: time }) => time)).toEqual(report.incidents.map(({ at: time }) => time).toSorted());
  });
});
