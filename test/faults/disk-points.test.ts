/** The real program with a fault at one of its changes of a file: some of them in each run, all of them in `npm run test:soak`. */
import { describe, expect, test } from "vitest";
import { Chance, seedOfRun } from "../support/chance.ts";
import { diskPoint, diskPoints } from "./disk-points.ts";
import { tryPoint } from "./fault-point.ts";
import { makeScene, VERBS } from "./scene.ts";

const TRIES = 3;
/** A dozen runs of the program, and what prepares them, on a busy machine. */
const LIMIT_MS = 400_000;

describe("a fault at any change of a file leaves every archive whole, and the next run comes to the same end", () => {
  test.each(VERBS)("%s", async (verb) => {
    const seed = seedOfRun();
    const chance = new Chance(seed + 100 + VERBS.indexOf(verb));
    const scene = await makeScene(verb, "directories");
    const points = chance.shuffled(await diskPoints(scene));
    expect(points.length).toBeGreaterThan(30);
    let fired = 0;
    // Not every run makes exactly the calls of the run that was counted.
    for (let tried = 0; fired < TRIES && tried < 2 * TRIES; tried++) {
      const point = points[tried];
      if (point !== undefined && (await tryPoint(scene, diskPoint(point), tried))) fired++;
    }
    expect(fired, `seed ${seed}`).toBeGreaterThan(0);
  }, LIMIT_MS);
});
