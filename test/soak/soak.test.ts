/** Goes on with faults, random lives, flipped bits and hostile bytes until its time is up, or until something must not be. */
import { writeFileSync } from "node:fs";
import { test } from "vitest";
import { VERBS } from "../faults/scene.ts";
import { Chance } from "../support/chance.ts";
import { flipLane, type Lane, modelLane, parserLane, pointLane } from "./lanes.ts";

const minutes = Number(process.env["COLDKEEP_SOAK_MINUTES"] ?? "1");
const seed = Number(process.env["COLDKEEP_SEED"] ?? "1");
const report = process.env["COLDKEEP_SOAK_REPORT"];
const only = process.env["COLDKEEP_SOAK_ONLY"];
const [part = 0, of = 1] = (process.env["COLDKEEP_SOAK_PART"] ?? "0/1").split("/").map(Number);

/** How long one lane goes on before the next has its turn. */
const VISIT_MS = 20_000;

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

test("nothing is lost, whatever happens", async () => {
  const endsMs = performance.now() + minutes * 60_000;
  let chances = 0;
  const chance = (): Chance => new Chance(seed + 7919 * chances++);
  const choice = { only: new RegExp(only ?? "", "i"), part, of };
  const others = [() => modelLane(chance()), () => flipLane(chance()), () => parserLane(chance())];
  const points = (["S3", "directories"] as const).flatMap((storage) => VERBS.map((verb) => () => pointLane(verb, storage, chance(), choice)));
  // Who chooses points wants each of them once.
  const makers: (() => Promise<Lane>)[] = only === undefined ? [...others, ...points] : points;
  const isOver = ({ figures: { tried, total } }: Lane): boolean => only !== undefined && tried >= (total ?? 0);
  const lanes: Lane[] = [];
  const save = (): void => {
    if (report !== undefined) writeFileSync(report, JSON.stringify(lanes.map(({ figures }) => figures)));
  };
  for (let turn = 0; performance.now() < endsMs && !(lanes.length === makers.length && lanes.every(isOver)); turn++) {
    const maker = makers[turn % makers.length];
    const lane = lanes[turn % makers.length] ?? (await maker?.());
    if (lane === undefined) return;
    lanes[turn % makers.length] = lane;
    // Each lane has chances of its own, so that what a seed brings does not hang on how long the others took.
    const visitEndsMs = Math.min(endsMs, performance.now() + VISIT_MS);
    while (!isOver(lane)) {
      await lane.turn();
      if (performance.now() >= visitEndsMs) break;
    }
    save();
    if (turn % makers.length === makers.length - 1) say(lanes.map(({ figures: { name, tried } }) => `${name} ${tried}`).join("; "));
  }
});
