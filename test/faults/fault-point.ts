/** One fault at one operation, and everything that is checked after it. */
import type { Fault } from "../support/fake-s3.ts";
import { checkInvariants, Violation, violate } from "../support/invariants.ts";
import type { ProgramResult } from "../support/program.ts";
import type { Scene } from "./scene.ts";

/** What a store does to one request. The first two end the program with it, by SIGKILL. */
export const STORE_FAULTS = ["killed before it", "killed after it", "reset", "500", "503", "403", "lost answer", "cut answer", "web page", "silent from here on"] as const;
export type StoreFault = (typeof STORE_FAULTS)[number];

export type FaultPoint = {
  name: string;
  /** Runs the verb with the fault; `fired` tells whether the fault came to pass. */
  run(scene: Scene): Promise<{ run: ProgramResult; fired: boolean }>;
};

/** Request number `at`, counted from 0 over all regions as they arrive, meets the fault. */
export function storePoint(fault: StoreFault, at: number): FaultPoint {
  return {
    name: `request ${at}: ${fault}`,
    run: async (scene) => {
      const running = scene.start();
      let count = 0;
      let fired = false;
      let silent: string | undefined;
      const kill = (): void => void running.child.kill("SIGKILL");
      for (const fake of scene.places.fakes) {
        fake.onRequest = () => {
          if (silent !== undefined) return silent === fake.endpoint ? { kind: "reset" } : undefined;
          if (count++ !== at) return undefined;
          fired = true;
          if (fault === "silent from here on") silent = fake.endpoint;
          return faultOf(fault, kill);
        };
      }
      const run = await running.result;
      for (const fake of scene.places.fakes) fake.onRequest = () => undefined;
      return { run, fired };
    },
  };
}

function faultOf(fault: StoreFault, kill: () => void): Fault {
  switch (fault) {
    case "killed before it":
      kill();
      return { kind: "reset" };
    case "killed after it":
      kill();
      return { kind: "lost-answer" };
    case "reset":
    case "silent from here on":
      return { kind: "reset" };
    case "500":
      return { kind: "status", status: 500, code: "InternalError" };
    case "503":
      return { kind: "status", status: 503, code: "SlowDown" };
    case "403":
      return { kind: "status", status: 403, code: "AccessDenied" };
    case "lost answer":
      return { kind: "lost-answer" };
    case "cut answer":
      return { kind: "truncate", bytes: 11 };
    case "web page":
      return { kind: "html" };
  }
}

/** How many requests the verb makes where nothing goes wrong. */
export async function countRequests(scene: Scene): Promise<number> {
  scene.reset();
  const run = await scene.run();
  if (run.status !== 0) throw new Error(`the run without a fault ended with ${run.status}: ${run.stderr}`);
  const count = scene.places.fakes.reduce((sum, { requests }) => sum + requests.length, 0);
  scene.reset();
  return count;
}

/**
 * Tries one point: the invariants hold after the fault, the next run needs no manual step and comes to the end of a run
 * without faults, and what is new can be restored. Returns whether the fault came to pass. Throws a Violation.
 */
export async function tryPoint(scene: Scene, point: FaultPoint, number: number): Promise<boolean> {
  scene.reset();
  const before = scene.observe();
  const allowed = { mayGo: scene.mayGo, secrets: scene.secrets };
  try {
    const { run, fired } = await point.run(scene);
    scene.stamp();
    const after = scene.observe();
    checkInvariants(before, after, run, allowed);
    if (run.signal !== "SIGKILL" || scene.verb === "restore") scene.checkClaims(run);
    // A restore that came to its end is not gone on with: another one looks at what is there.
    const next = await scene.run(scene.verb === "restore" && run.signal === null && (run.status === 0 || run.status === 3) ? ["--merge"] : []);
    checkInvariants(after, scene.observe(), next, allowed);
    if (next.status !== 0) violate("I6 the next run needs no manual step", `exit ${next.status}: ${next.stderr}`);
    scene.checkClaims(next);
    await scene.proveNew(before, number);
    return fired;
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new Violation(`${scene.verb}, ${point.name}: ${error.message}`, { cause: error });
  }
}
