/** Telling a service, against real ones that answer, hang, refuse and change their mind. */
import { createServer } from "node:net";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { type Patience, post } from "../../../src/engine/monitoring/post.ts";
import { startWatchServer, type WatchServer } from "../../support/watch-server.ts";

const HURRY: Patience = { tryMs: 300, waitsMs: [20, 40] };
const never = new AbortController().signal;
let watch: WatchServer;

beforeEach(async () => {
  watch = await startWatchServer();
  onTestFinished(() => watch.stop());
});

const send = (path = "/in", signal = never): Promise<string | null> => post({ url: `${watch.origin}${path}`, headers: { "x-mark": "1" }, body: "grün" }, HURRY, signal);

test("a message arrives whole, once", async () => {
  expect(await send("/in?a=b")).toBeNull();
  expect(watch.told).toMatchObject([{ method: "POST", path: "/in", query: { a: "b" }, body: "grün", headers: { "x-mark": "1", "content-length": "5" } }]);
});

test("what fails for a while is tried again: errors, closed connections, silence", async () => {
  const outcomes = [500, "close", 200] as const;
  watch.behaviour = (_told, number) => outcomes[number - 1] ?? 500;
  expect(await send()).toBeNull();
  expect(watch.told).toHaveLength(3);
  watch.behaviour = (_told, number) => (number === 1 ? "hang" : 204);
  expect(await send("/silent")).toBeNull();
});

test("what goes on failing is given up, with the reason", async () => {
  watch.behaviour = () => 503;
  expect(await send("/a")).toBe("it answered 503");
  expect(watch.told).toHaveLength(3);
  watch.behaviour = () => "close";
  expect(await send("/b")).toBe("the connection was closed without an answer");
  watch.behaviour = () => "hang";
  expect(await send("/c")).toBe("it does not answer");
  await watch.stop();
  expect(await send("/d")).toBe("the connection was refused");
});

test("what another try would not change is not tried again, and a redirect is not followed", async () => {
  watch.behaviour = () => 404;
  expect(await send("/a")).toBe("it answered 404");
  watch.behaviour = () => 302;
  expect(await send("/b")).toBe("it answered 302, which points to another address");
  expect(watch.told.map(({ path }) => path)).toEqual(["/a", "/b"]);
});

test("the signal ends it at once: while it waits for an answer, and between tries", async () => {
  watch.behaviour = () => "hang";
  const before = performance.now();
  expect(await post({ url: watch.origin, headers: {}, body: "" }, { tryMs: 60_000, waitsMs: [60_000] }, AbortSignal.timeout(100))).toBe("it does not answer");
  watch.behaviour = () => 500;
  expect(await post({ url: watch.origin, headers: {}, body: "" }, { tryMs: 60_000, waitsMs: [60_000] }, AbortSignal.timeout(100))).toBe("it answered 500");
  expect(performance.now() - before).toBeLessThan(5000);
  expect(await send("/x", AbortSignal.abort())).toBe("it does not answer");
});

test("a server that speaks something else is a failure like any other, and no reason names the address", async () => {
  const other = createServer((socket) => socket.end("220 smtp ready\r\n"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void other.close());
  const address = other.address();
  const port = typeof address === "object" ? address?.port : 0;
  const faults = [
    await post({ url: `http://127.0.0.1:${port}/token-1`, headers: {}, body: "" }, HURRY, never),
    await post({ url: "http://no-such-host-token-1.invalid/token-1", headers: {}, body: "" }, { tryMs: 2000, waitsMs: [] }, never),
  ];
  for (const fault of faults) {
    expect(fault).toMatch(/request failed|name|answer/);
    expect(fault).not.toMatch(/token-1|127\.0\.0\.1/);
  }
});
