/** Who is told of what, in which words, and how addresses and headers in private files are read. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { NotifyTarget } from "../../../src/config/watch-schema.ts";
import type { RunMessage } from "../../../src/engine/monitoring/alarm-message.ts";
import { Alarms } from "../../../src/engine/monitoring/alarms.ts";
import { Secrets } from "../../../src/policy/secrets.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { startWatchServer, type WatchServer } from "../../support/watch-server.ts";

const MESSAGE: RunMessage = {
  schemaVersion: 1,
  event: "success",
  test: false,
  host: "web1",
  vault: "v",
  runId: "0a1b",
  verb: "backup",
  level: null,
  exitStatus: 0,
  archive: "a1",
  error: null,
  startedAt: "2026-11-23T01:00:00.000Z",
  finishedAt: "2026-11-23T01:02:03.000Z",
  regions: { north: "complete", usb: "behind" },
  counts: { entries: 7, bytesStored: 2048, problems: 1 },
};
const ALL = ["start", "success", "partial", "fail"] as const;
const PATIENCE = { tryMs: 2000, waitsMs: [] };
const never = new AbortController().signal;
const noLines = (): string[] => [];
let watch: WatchServer;

beforeEach(async () => {
  watch = await startWatchServer();
  onTestFinished(() => watch.stop());
});

const ping = (path: string, more: Partial<NotifyTarget> = {}): NotifyTarget => ({ kind: "ping", address: { url: watch.origin + path }, lines: 0, on: [...ALL], verbs: null, ...more }) as NotifyTarget;
const webhook = (more: Partial<NotifyTarget> = {}): NotifyTarget => ({ kind: "webhook", address: { url: `${watch.origin}/hook` }, headersFile: null, on: [...ALL], verbs: null, ...more }) as NotifyTarget;

function privateFile(text: string, mode = 0o600): string {
  const path = join(tempDir(), "file");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe("a ping", () => {
  test("tells start, success, exit status and interruption by its address, all with the run's id", async () => {
    const alarms = new Alarms([ping("/uuid/?x=1")], new Secrets({}), PATIENCE);
    const error = { code: "E_INTERRUPTED", message: "m", hint: null };
    const messages: Partial<RunMessage>[] = [{ event: "start", exitStatus: null }, {}, { event: "partial", exitStatus: 3 }, { event: "fail", exitStatus: 5 }, { event: "fail", exitStatus: 130, error }];
    for (const each of messages) expect(await alarms.send({ ...MESSAGE, ...each }, noLines, never)).toMatchObject([{ fault: null }]);
    expect(watch.told.map(({ path }) => path)).toEqual(["/uuid/start", "/uuid", "/uuid/3", "/uuid/5", "/uuid/fail"]);
    for (const { query } of watch.told) expect(query).toEqual({ x: "1", rid: "0a1b" });
  });

  test("carries a summary, and the last lines only where they are asked for", async () => {
    const lines = (count: number): string[] => ["one", "two", "three"].slice(3 - count);
    await new Alarms([ping("/a"), ping("/b", { lines: 2 })], new Secrets({}), PATIENCE).send({ ...MESSAGE, event: "fail", exitStatus: 1, error: { code: "E_REGION", message: "gone", hint: "Run again." } }, lines, never);
    const body = (path: string): string => watch.told.find((told) => told.path === path)?.body ?? "";
    expect(body("/a/1")).toBe("coldkeep backup of web1: fail (exit 1) after 2m 03s\narchive a1\nregions: north complete, usb behind\nentries 7, bytesStored 2.0 KiB\nproblems 1\nerror E_REGION: gone\nhint: Run again.");
    expect(body("/b/1")).toBe(`${body("/a/1")}\ntwo\nthree`);
  });

  test("never is longer than 100 kB, and keeps beginning and end", async () => {
    await new Alarms([ping("/a", { lines: 200 })], new Secrets({}), PATIENCE).send(MESSAGE, () => [...Array.from({ length: 200 }, () => "é".repeat(2000)), "the end"], never);
    const body = watch.told[0]?.body ?? "";
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(100_000);
    expect(body).toMatch(/^coldkeep backup of web1[^]*the end$/);
  });
});

test("a webhook gets the document, with the headers of a private file", async () => {
  const headersFile = privateFile("# who we are\nAuthorization: Bearer abc-0123456789\n\nX-Team:  ops \n");
  const secrets = new Secrets({});
  expect(await new Alarms([webhook({ headersFile })], secrets, PATIENCE).send({ ...MESSAGE, error: { code: "E_X", message: "with abc-0123456789 in it", hint: null } }, noLines, never)).toEqual([{ target: `notify[0] (webhook, ${watch.origin})`, fault: null }]);
  const [told] = watch.told;
  expect(told?.headers).toMatchObject({ "content-type": "application/json", authorization: "Bearer abc-0123456789", "x-team": "ops" });
  expect(JSON.parse(told?.body ?? "")).toEqual({ ...MESSAGE, error: { code: "E_X", message: "with [a secret] in it", hint: null } });
});

test("only those are told who want this event of this verb, but for a test, which all get", async () => {
  const alarms = new Alarms([ping("/a", { on: ["fail"] }), ping("/b", { verbs: ["verify"] }), ping("/c", { verbs: ["backup"] })], new Secrets({}), PATIENCE);
  await alarms.send(MESSAGE, noLines, never);
  expect(watch.told.map(({ path }) => path)).toEqual(["/c"]);
  await alarms.send(MESSAGE, noLines, never, true);
  expect(watch.told.map(({ path }) => path).toSorted()).toEqual(["/a", "/b", "/c", "/c"]);
});

test("one that hangs does not keep the others waiting for their message", async () => {
  watch.behaviour = ({ path }) => (path === "/a" ? "hang" : 200);
  const reports = await new Alarms([ping("/a"), ping("/b")], new Secrets({}), { tryMs: 300, waitsMs: [] }).send(MESSAGE, noLines, never);
  expect(reports.map(({ fault }) => fault)).toEqual(["it does not answer", null]);
});

describe("a private file", () => {
  const faultOf = async (target: NotifyTarget): Promise<string | null | undefined> => (await new Alarms([target], new Secrets({}), PATIENCE).send(MESSAGE, noLines, never))[0]?.fault;

  test("holds the address, and nothing repeats it", async () => {
    const urlFile = privateFile(`${watch.origin}/9b2ee11c-7a0c\n`);
    watch.behaviour = () => 404;
    const [report] = await new Alarms([ping("", { address: { urlFile } })], new Secrets({}), PATIENCE).send(MESSAGE, noLines, never);
    expect(watch.told[0]?.path).toBe("/9b2ee11c-7a0c");
    expect(report).toEqual({ target: `notify[0] (ping, ${urlFile})`, fault: "it answered 404" });
  });

  test("that others may read, that is missing or holds something else is a fault of its target", async () => {
    expect(await faultOf(ping("", { address: { urlFile: privateFile(watch.origin, 0o640) } }))).toMatch(/can be reached by other users \(mode 0640\)/);
    expect(await faultOf(ping("", { address: { urlFile: "/nonexistent/url" } }))).toBe("there is no file /nonexistent/url");
    const wrong = await faultOf(ping("", { address: { urlFile: privateFile("hunter2-hunter2") } }));
    expect(wrong).toMatch(/does not hold the address of a service$/);
    expect(await faultOf(webhook({ headersFile: privateFile("X-A: 1\nhunter2-hunter2\n") }))).toMatch(/:2 is not a header like "Name: value"$/);
    expect(await faultOf(webhook({ headersFile: privateFile("X-A: a\rb\n") }))).toMatch(/:1 is not a header/);
    expect(watch.told).toEqual([]);
  });
});
