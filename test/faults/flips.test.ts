/** One bit flipped, anywhere in anything stored: it is found, the other region is used, and nothing wrong is ever written. */
import { beforeAll, describe, expect, test } from "vitest";
import { Chance, seedOfRun } from "../support/chance.ts";
import { FlipVault } from "./flips.ts";

/** Of a few thousand bytes; `npm run test:soak` goes through all of them. */
const FLIPS = 40;
const RESTORES = 8;
const LIMIT_MS = 300_000;

let vault: FlipVault;

beforeAll(async () => {
  vault = await FlipVault.create();
});

describe("one flipped bit", () => {
  test("is found by verify, which names the region and the object", async () => {
    await vault.checkSound();
    expect(vault.places.length).toBeGreaterThan(2000);
    for (const place of vault.shuffled(new Chance(seedOfRun())).slice(0, FLIPS)) await vault.checkFound(place);
  }, LIMIT_MS);

  test("in one region costs a restore nothing; in the same place of both it is said, and no file is wrong", async () => {
    for (const place of vault.shuffled(new Chance(seedOfRun() + 1)).slice(0, RESTORES)) await vault.checkRestored(place);
  }, LIMIT_MS);
});
