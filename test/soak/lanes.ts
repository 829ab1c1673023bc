/** The kinds of trial the soak takes turns with. Each goes through all there is in an order of its own, then begins again. */
import fc from "fast-check";
import { vi } from "vitest";
import { countRequests, type FaultPoint, STORE_FAULTS, storePoint, tryPoint } from "../faults/fault-point.ts";
import { diskPoint, diskPoints } from "../faults/disk-points.ts";
import { FlipVault } from "../faults/flips.ts";
import { makeScene, type Storage, type Verb } from "../faults/scene.ts";
import { World } from "../faults/world.ts";
import { type Step, STEPS, take } from "../faults/world-steps.ts";
import { damagedBytes } from "../format/mutations.ts";
import { addSealedParsers, checkManners, PARSERS } from "../format/stored-parsers.ts";
import type { Chance } from "../support/chance.ts";

/** What came of a lane so far. */
export type Figures = { name: string; tried: number; total: number | null; detail: string };

export interface Lane {
  readonly figures: Figures;
  /** One trial, some seconds at the most. Throws for what must not be. */
  turn(): Promise<void>;
}

/** Which points a lane goes through. */
export type Choice = { /** By `verb, storage: name`. */ only: RegExp; /** Every `of`-th, from `part` on: several processes share them. */ part: number; of: number };

/** Faults of one verb on one kind of storage. */
export async function pointLane(verb: Verb, storage: Storage, chance: Chance, { only, part, of }: Choice): Promise<Lane> {
  const scene = await makeScene(verb, storage);
  const all: FaultPoint[] = storage === "S3" ? await everyStorePoint() : (await diskPoints(scene)).map((point) => diskPoint(point));
  const points = all.filter(({ name }) => only.test(`${verb}, ${storage}: ${name}`)).filter((_, at) => at % of === part);
  const figures: Figures = { name: `${verb}, ${storage}`, tried: 0, total: points.length, detail: "" };
  const came = new Set<string>();
  let left: FaultPoint[] = [];

  async function everyStorePoint(): Promise<FaultPoint[]> {
    const requests = await countRequests(scene);
    return STORE_FAULTS.flatMap((fault) => Array.from({ length: requests }, (_, at) => storePoint(fault, at)));
  }

  return {
    figures,
    async turn() {
      if (left.length === 0) left = chance.shuffled(points);
      const point = left.pop();
      if (point === undefined) return;
      if (await tryPoint(scene, point, figures.tried)) came.add(point.name);
      figures.tried++;
      figures.detail = `${came.size} different ones came to pass`;
    },
  };
}

const step: fc.Arbitrary<Step> = fc.record({ kind: fc.constantFrom(...STEPS), x: fc.nat(100_000), y: fc.nat(100_000) });

/** Random lives of a host. */
export async function modelLane(chance: Chance): Promise<Lane> {
  const world = await World.create();
  const figures: Figures = { name: "model", tried: 0, total: null, detail: "" };
  let steps = 0;
  return {
    figures,
    async turn() {
      const seed = chance.below(2 ** 31);
      const [life = []] = fc.sample(fc.array(step, { minLength: 10, maxLength: 30 }), { seed, numRuns: 1 });
      vi.useFakeTimers({ toFake: ["Date"] });
      try {
        world.begin();
        for (const each of [{ kind: "backup" as const, x: 2, y: 1 }, ...life]) {
          await take(world, each);
          steps++;
        }
      } catch (error) {
        throw new Error(`the life ${JSON.stringify(life)}: ${String(error)}`, { cause: error });
      } finally {
        vi.useRealTimers();
      }
      figures.tried++;
      figures.detail = `${steps} steps`;
    },
  };
}

const FLIPS_A_TURN = 20;

/** One bit of every byte of a small vault. */
export async function flipLane(chance: Chance): Promise<Lane> {
  const vault = await FlipVault.create();
  const figures: Figures = { name: "flipped bits", tried: 0, total: vault.places.length, detail: "" };
  let left = vault.shuffled(chance);
  let restores = 0;
  return {
    figures,
    async turn() {
      if (left.length === 0) left = vault.shuffled(chance);
      const places = left.splice(0, FLIPS_A_TURN);
      for (const place of places) await vault.checkFound(place);
      const [first] = places;
      if (first !== undefined) await vault.checkRestored(first);
      restores += 2;
      figures.tried += places.length;
      figures.detail = `${restores} restores`;
    },
  };
}

const BYTES_A_TURN = 2000;

/** Hostile bytes for one parser after the other. */
export async function parserLane(chance: Chance): Promise<Lane> {
  await addSealedParsers();
  const names = Object.keys(PARSERS);
  const figures: Figures = { name: "hostile bytes", tried: 0, total: null, detail: `${names.length} parsers` };
  let next = 0;
  return {
    figures,
    async turn() {
      const name = names[next++ % names.length] ?? "";
      const { valid = [], parse } = PARSERS[name] ?? {};
      if (parse === undefined) return;
      const seed = chance.below(2 ** 31);
      for (const bytes of fc.sample(fc.constantFrom(...valid).chain((each) => damagedBytes(each)), { seed, numRuns: BYTES_A_TURN })) {
        try {
          await checkManners(name, parse, bytes);
        } catch (error) {
          throw new Error(`${name} with the bytes ${bytes.toString("base64").slice(0, 4000)}: ${String(error)}`, { cause: error });
        }
      }
      figures.tried += BYTES_A_TURN;
    },
  };
}
