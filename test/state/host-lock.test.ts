import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { HostLock } from "../../src/state/host-lock.ts";
import { tempDir } from "../support/temp-dir.ts";

/** Another process that takes the lock and keeps it, or ends when it cannot. */
async function otherProcess(dir: string): Promise<{ child: ChildProcess; outcome: "held" | "refused" }> {
  const module = new URL("../../src/state/host-lock.ts", import.meta.url).href;
  const script = `const { HostLock } = await import(${JSON.stringify(module)});
    try { globalThis.lock = HostLock.take(${JSON.stringify(dir)}); } catch (error) { process.exit(error.exitStatus); }
    console.log("held"); setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const held = once(child.stdout ?? child, "data").then(() => "held" as const);
  const refused = once(child, "exit").then(([status]) => (status === 6 ? ("refused" as const) : Promise.reject(new Error(`it ended with ${status}`))));
  refused.catch(() => undefined);
  return { child, outcome: await Promise.race([held, refused]) };
}

const LOCKED = expect.objectContaining({ code: "E_LOCKED", exitStatus: 6 });

test("one holder at a time, within a process and across; SIGKILL frees it", async () => {
  const dir = join(tempDir(), "state");
  const own = HostLock.take(dir);
  expect(() => HostLock.take(dir)).toThrow(LOCKED);
  own.release();
  const { child, outcome } = await otherProcess(dir);
  expect(outcome).toBe("held");
  expect(() => HostLock.take(dir)).toThrow(LOCKED);
  child.kill("SIGKILL");
  await once(child, "exit");
  HostLock.take(dir).release();
});

test("reading every file of the state folder does not give the lock up", async () => {
  const dir = join(tempDir(), "state");
  const lock = HostLock.take(dir);
  for (const entry of readdirSync(dir, { withFileTypes: true })) if (entry.isFile()) closeSync(openSync(join(dir, entry.name), "r"));
  expect((await otherProcess(dir)).outcome).toBe("refused");
  lock.release();
  expect((await otherProcess(dir)).outcome).toBe("held");
});

test("a state folder that cannot be is E_DISK", () => {
  const path = join(tempDir(), "file");
  writeFileSync(path, "");
  expect(() => HostLock.take(path)).toThrow(expect.objectContaining({ code: "E_DISK" }));
});

const HOUR_MS = 3_600_000;

/** The note of the holder as it would be had nothing got done for a while. */
function holdBack(dir: string, ms: number): void {
  const then = (Date.now() - ms) / 1000;
  utimesSync(join(dir, "holder.json"), then, then);
}

test("a holder that makes progress is named in one line; one that does not is an alarm", () => {
  const dir = join(tempDir(), "state");
  const lock = HostLock.take(dir);
  holdBack(dir, 90_000);
  expect(() => HostLock.take(dir)).toThrow(
    expect.objectContaining({ code: "E_LOCKED", exitStatus: 6, hint: undefined, message: expect.stringMatching(new RegExp(`process ${process.pid}, since .* made progress 1m 3\\ds ago`)) }),
  );
  holdBack(dir, 7 * HOUR_MS);
  expect(() => HostLock.take(dir, 8 * HOUR_MS)).toThrow(LOCKED);
  expect(() => HostLock.take(dir, 6 * HOUR_MS)).toThrow(
    expect.objectContaining({ code: "E_STALLED", exitStatus: 1, message: expect.stringContaining("no progress for 7h 00m"), hint: expect.stringContaining(`kill ${process.pid}`) }),
  );
  lock.noteProgress();
  expect(() => HostLock.take(dir)).toThrow(LOCKED);
  lock.release();
});

test("progress is noted every few seconds at the most, and a clock that was set back is no alarm", () => {
  const dir = join(tempDir(), "state");
  using lock = HostLock.take(dir);
  lock.noteProgress();
  holdBack(dir, HOUR_MS);
  const before = statSync(join(dir, "holder.json")).mtimeMs;
  lock.noteProgress();
  expect(statSync(join(dir, "holder.json")).mtimeMs).toBe(before);
  holdBack(dir, -HOUR_MS);
  expect(() => HostLock.take(dir)).toThrow(LOCKED);
});

test("what a killed run left behind is not taken for the word of the present one, and without a word there is no alarm", async () => {
  const dir = join(tempDir(), "state");
  const killed = await otherProcess(dir);
  killed.child.kill("SIGKILL");
  await once(killed.child, "exit");
  holdBack(dir, 7 * HOUR_MS);
  const lock = HostLock.take(dir);
  expect(() => HostLock.take(dir)).toThrow(LOCKED);
  writeFileSync(join(dir, "holder.json"), "{");
  holdBack(dir, 7 * HOUR_MS);
  expect(() => HostLock.take(dir)).toThrow(LOCKED);
  lock.release();
  expect(readdirSync(dir)).toEqual(["lock"]);
});
