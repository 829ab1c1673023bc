/**
 * Faults below the program, at the system calls by which it changes files: strace ends the process at the n-th call of a
 * kind, or has the call fail. Counted in each thread, with one thread for all of Node's asynchronous calls.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FaultPoint } from "./fault-point.ts";
import type { Scene } from "./scene.ts";

/** By name, each with what it may fail with. */
const CALLS = {
  openat: ["EIO", "EACCES", "EMFILE"],
  write: ["EIO", "ENOSPC"],
  pwrite64: ["EIO", "ENOSPC"],
  fsync: ["EIO", "ENOSPC"],
  fdatasync: ["EIO", "ENOSPC"],
  link: ["EIO", "ENOSPC", "EACCES"],
  rename: ["EIO", "ENOSPC", "EACCES"],
  unlink: ["EIO", "EACCES"],
  mkdir: ["EIO", "ENOSPC", "EACCES"],
  rmdir: ["EIO"],
  ftruncate: ["EIO", "ENOSPC"],
  fchmod: ["EIO", "EACCES"],
  utimensat: ["EIO", "EACCES"],
  symlink: ["EIO", "ENOSPC", "EACCES"],
} as const;
type Call = keyof typeof CALLS;
const KILL = "SIGKILL";

export type DiskPoint = { call: Call; at: number; outcome: string };

type Seen = { thread: string; call: Call; at: number; isOurs: boolean };

const ONE_THREAD = { UV_THREADPOOL_SIZE: "1" };

/** `quick` stops at the calls asked for alone; with it, no signal is delivered on the way into one. */
function wrapperOf(log: string, quick: boolean, ...expressions: string[]): string[] {
  return ["strace", "-f", "-qq", "-y", "-s", "400", ...(quick ? ["--seccomp-bpf"] : []), "-o", log, ...expressions.flatMap((each) => ["-e", each])];
}

/** A file descriptor or path of the test's own folder, in a line of strace's. */
function isOurs(line: string, scene: Scene): boolean {
  return hasOurs(line, scene) && !/O_RDONLY/.test(line);
}

/** A folder of a region or of the target is held open, and its files are named through that. */
function hasOurs(line: string, scene: Scene): boolean {
  return line.includes(scene.host.dir) || line.includes('"/proc/self/fd/');
}

/** What the command is told by cannot be read: a wrong use (exit 2), and no change of a file. */
function isInput(line: string, { host }: Scene): boolean {
  return line.includes(host.movedKit) || line.includes(host.config);
}

/** Calls of a run without faults; `openat` only of what is made or written. */
function readLog(log: string, scene: Scene): Seen[] {
  const counts = new Map<string, number>();
  return readFileSync(log, "latin1").split("\n").flatMap((line) => {
    const [, thread = "", name = ""] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (!(name in CALLS)) return [];
    const call = name as Call;
    const at = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, at);
    return [{ thread, call, at, isOurs: isOurs(line, scene) }];
  });
}

async function withLog<T>(use: (log: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "coldkeep-strace-"));
  try {
    return await use(join(dir, "log"));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Every point at which the verb changes a file of its own: the n-th call of a kind, ended there or failing in every way. */
export async function diskPoints(scene: Scene): Promise<DiskPoint[]> {
  scene.reset();
  const seen = await withLog(async (log) => {
    const run = await scene.start(wrapperOf(log, true, `trace=${Object.keys(CALLS).join(",")}`), ONE_THREAD).result;
    if (run.status !== 0) throw new Error(`the run without a fault ended with ${run.status}: ${run.stderr}`);
    return readLog(log, scene);
  });
  scene.reset();
  const places = new Map(seen.filter((each) => each.isOurs).map(({ call, at }) => [`${call} ${at}`, { call, at }]));
  // Where another thread's call of the same number is Node's own (it wakes its threads by `write`), only the end by a signal tells anything.
  const alsoNodes = new Set(seen.filter((each) => !each.isOurs && each.call === "write").map(({ call, at }) => `${call} ${at}`));
  return [...places].flatMap(([place, { call, at }]) => {
    const errors = alsoNodes.has(place) ? [] : CALLS[call];
    return [KILL, ...errors].map((outcome) => ({ call, at, outcome }));
  });
}

export function diskPoint({ call, at, outcome }: DiskPoint): FaultPoint {
  const how = outcome === KILL ? `signal=${KILL}` : `error=${outcome}`;
  return {
    name: `${call} ${at}: ${outcome}`,
    run: (scene) =>
      withLog(async (log) => {
        const run = await scene.start(wrapperOf(log, outcome !== KILL, `trace=${call}`, `inject=${call}:${how}:when=${at}`), ONE_THREAD).result;
        const hit = readFileSync(log, "latin1").split("\n").filter((line) => line.includes("(INJECTED)"));
        // A call that was Node's own this time ends the program in Node's way, which says nothing about it. Threads do not
        // always come to their n-th call with the same file: where it is an input, exit 2 is the right word.
        const isOther = outcome !== KILL && hit.some((line) => !hasOurs(line, scene) || (run.status === 2 && isInput(line, scene)));
        const fired = outcome === KILL ? run.signal === KILL : hit.length > 0;
        return { run: isOther ? { ...run, status: null, signal: KILL } : run, fired: fired && !isOther };
      }),
  };
}
