/** Random lives of a host against a plain account of what exists and must be restorable. */
import fc from "fast-check";
import { beforeAll, beforeEach, afterEach, expect, test, vi } from "vitest";
import { seedOfRun } from "../support/chance.ts";
import { World } from "./world.ts";
import { type Step, STEPS, take } from "./world-steps.ts";

let world: World;

beforeAll(async () => {
  world = await World.create();
});
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

const step: fc.Arbitrary<Step> = fc.record({ kind: fc.constantFrom(...STEPS), x: fc.nat(100_000), y: fc.nat(100_000) });
const first: Step = { kind: "backup", x: 2, y: 1 };

async function live(steps: readonly Step[]): Promise<void> {
  world.begin();
  for (const each of [first, ...steps]) await take(world, each);
}

test("whatever happens in whatever order, what exists is restored byte for byte and what is lost is named", async () => {
  const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 24 }), live);
  await fc.assert(property, { seed: seedOfRun(), numRuns: Number(process.env["COLDKEEP_RUNS"] ?? 5), endOnFailure: process.env["COLDKEEP_SHRINK"] === undefined });
  expect(world.made.size).toBeGreaterThan(0);
}, 600_000);
