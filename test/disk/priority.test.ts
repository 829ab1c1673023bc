/** Stepping aside, seen from outside: in a process of its own, because a lower priority cannot be taken back. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

const source = new URL("../../src/disk/priority.ts", import.meta.url).href;
const WORK = `
  import { execFileSync } from "node:child_process";
  import { getPriority, setPriority } from "node:os";
  import { Worker } from "node:worker_threads";
  const { stepAside } = await import(${JSON.stringify(source)});
  setPriority(Number(process.argv[1]));
  stepAside();
  const thread = new Worker("import { readFileSync } from 'node:fs'; import { parentPort } from 'node:worker_threads'; parentPort.postMessage(readFileSync('/proc/thread-self/stat', 'latin1'))", { eval: true });
  const stat = await new Promise((resolve) => thread.once("message", resolve));
  const io = execFileSync("ionice", ["-p", String(process.pid)], { encoding: "latin1" }).trim();
  console.log(JSON.stringify({ nice: getPriority(), threadNice: Number(stat.split(") ")[1].split(" ")[16]), io }));
`;

test.each([
  [0, 10],
  [15, 15],
])("from a priority of %i to %i, the threads too, and last in the line for disks", (before, after) => {
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", WORK, String(before)];
  const seen: unknown = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
  expect(seen).toEqual({ nice: after, threadNice: after, io: "best-effort: prio 7" });
});
