/** The real program with a fault at one of its requests: some of them in each run, all of them in `npm run test:soak`. */
import { describe, expect, test } from "vitest";
import { Chance, seedOfRun } from "../support/chance.ts";
import { countRequests, STORE_FAULTS, storePoint, tryPoint } from "./fault-point.ts";
import { makeScene, VERBS } from "./scene.ts";

/** Tries of each verb here: the program killed at two requests, and other faults at two more. */
const TRIES = 4;
/** A dozen runs of the program, and what prepares them, on a busy machine. */
const LIMIT_MS = 400_000;

describe("a fault at any request leaves every archive whole, and the next run comes to the same end", () => {
  test.each(VERBS)("%s", async (verb) => {
    const seed = seedOfRun();
    const chance = new Chance(seed + VERBS.indexOf(verb));
    const scene = await makeScene(verb, "S3");
    const requests = await countRequests(scene);
    expect(requests).toBeGreaterThan(5);
    const faults = [...chance.shuffled(STORE_FAULTS.slice(0, 2)), ...chance.shuffled(STORE_FAULTS.slice(2))].slice(0, TRIES);
    let fired = 0;
    for (const [number, fault] of faults.entries()) if (await tryPoint(scene, storePoint(fault, chance.below(requests)), number)) fired++;
    // A run with other answers may make a request fewer.
    expect(fired, `seed ${seed}`).toBeGreaterThan(0);
  }, LIMIT_MS);
});
