/** Packers take turns at reading: never more at once than there are turns, and each gets one. */
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { ReadingTurns } from "../../../src/engine/backup/reading-turns.ts";

const source = new URL("../../../src/engine/backup/reading-turns.ts", import.meta.url);
const WORK = `
  import { workerData } from "node:worker_threads";
  const { ReadingTurns } = await import(workerData.source);
  const turns = new ReadingTurns(workerData.memory);
  const [within, most, done, ready] = [0, 1, 2, 3];
  const counts = new Int32Array(workerData.counts);
  // All begin together, however long each took to start.
  if (Atomics.add(counts, ready, 1) === 3) Atomics.notify(counts, ready);
  for (let n = Atomics.load(counts, ready); n < 4; n = Atomics.load(counts, ready)) Atomics.wait(counts, ready, n);
  for (let i = 0; i < 50; i++) {
    turns.take(() => {
      const now = Atomics.add(counts, within, 1) + 1;
      if (now > Atomics.load(counts, most)) Atomics.store(counts, most, now);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      Atomics.sub(counts, within, 1);
    });
  }
  Atomics.add(counts, done, 1);
`;

test.each([1, 2])("%i at once", async (limit) => {
  const counts = new Int32Array(new SharedArrayBuffer(16));
  const { memory } = ReadingTurns.of(limit);
  const code = new URL(`data:text/javascript,${encodeURIComponent(WORK)}`);
  const workers = Array.from({ length: 4 }, () => new Worker(code, { workerData: { source: source.href, memory, counts: counts.buffer } }));
  await Promise.all(workers.map((worker) => new Promise((resolve, reject) => worker.on("error", reject).on("exit", resolve))));
  expect([...counts]).toEqual([0, limit, 4, 4]);
});

test("a turn comes back from work that throws", () => {
  const turns = ReadingTurns.of(1);
  const failing = (): never => {
    throw new Error("unreadable");
  };
  expect(() => turns.take(failing)).toThrow("unreadable");
  expect(turns.take(() => 7)).toBe(7);
});
