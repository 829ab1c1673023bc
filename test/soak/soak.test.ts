/** Goes on with faults, random lives, flipped bits and hostile bytes until its time is up, or until something must not be. */
import { writeFileSync } from "node:fs";
import { test } from "vitest";
import { VERBS } from "../faults/scene.ts";
import { Chance } from "../support/chance.ts";
import { flipLane, type Lane, modelLane, parserLane, pointLane } from "./lanes.ts";

const minutes = Number(process.env["COLDKEEP_SOAK_MINUTES"] ?? "1");
const seed = Number(process.env["COLDKEEP_SEED"] ?? "1");
const report = process.env["COLDKEEP_SOAK_REPORT"];

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

test("nothing is lost, whatever happens", async () => {
  const endsMs = performance.now() + minutes * 60_000;
  let chances = 0;
  const chance = (): Chance => new Chance(seed + 7919 * chances++);
  const makers: (() => Promise<Lane>)[] = [
    () => modelLane(chance()), () => flipLane(chance()), () => parserLane(chance()),
    ...(["S3", "directories"] as const).flatMap((storage) => VERBS.map((verb) => () => pointLane(verb, storage, chance()))),
  ];
  const lanes: Lane[] = [];
  const save = (): void => {
    if (report !== undefined) writeFileSync(report, JSON.stringify(lanes.map(({ figures }) => figures)));
  };
  for (let turn = 0; performance.now() < endsMs; turn++) {
    const maker = makers[turn % makers.length];
    const lane = lanes[turn % makers.length] ?? (await maker?.());
    if (lane === undefined) return;
    lanes[turn % makers.length] = lane;
    await lane.turn();
    save();
    if (turn % (makers.length * 5) === makers.length - 1) say(lanes.map(({ figures: { name, tried } }) => `${name} ${tried}`).join("; "));
  }
});
