/** The rounds: fresh stores for each, fresh vaults and data for each part, and the programs taking turns at going first. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Coldkeep } from "./contestants/coldkeep.ts";
import type { Contestant } from "./contestants/contestant.ts";
import { Restic } from "./contestants/restic.ts";
import { BareNode, isInstalled, Pipe } from "./contestants/yardsticks.ts";
import { Meter } from "./measure.ts";
import type { Options, Part } from "./options.ts";
import { playPart } from "./parts.ts";
import { Rows } from "./rows.ts";
import { Scene } from "./scene.ts";
import { directoryStores, type Places, rgwStores, type Stores } from "./stores.ts";

export type RoundsSetup = {
  options: Options;
  useRgw: boolean;
  folder: string;
  /** Our built program. */
  program: string;
  signal: AbortSignal;
  tell: (text: string) => void;
};

/** Measures everything that `options` ask for. Throws when a program fails, and when the signal is given. */
export async function playRounds(setup: RoundsSetup): Promise<Rows> {
  const { options, useRgw, folder, signal } = setup;
  const rows = new Rows();
  for (let round = 0; round < options.rounds; round++) {
    const needsServers = useRgw && options.parts.some((part) => part !== "startup");
    const stores = needsServers ? await rgwStores(options.latencyMs) : directoryStores(join(folder, "stores"));
    try {
      signal.throwIfAborted();
      for (const part of options.parts) await play(setup, rows, round, part, stores);
    } finally {
      await stores.stop();
    }
  }
  return rows;
}

async function play(setup: RoundsSetup, rows: Rows, round: number, part: Part, stores: Stores): Promise<void> {
  const folder = join(setup.folder, part);
  const source = join(folder, "source");
  mkdirSync(source, { recursive: true });
  const contestants = contestantsOf(part, folder, source, stores.places(part), setup);
  const tell = (text: string): void => setup.tell(`round ${round + 1}, ${part}: ${text}`);
  const scene = new Scene({ round, folder, source, contestants: round % 2 === 0 ? contestants : contestants.toReversed(), rows, signal: setup.signal, tell });
  try {
    if (part !== "startup") for (const contestant of contestants) await contestant.prepare?.();
    await playPart(part, scene, setup.options);
  } finally {
    scene.discardTargets();
    rmSync(folder, { recursive: true, force: true });
  }
}

function contestantsOf(part: Part, folder: string, source: string, [one, two, other]: Places, { program, signal, options }: RoundsSetup): Contestant[] {
  const meter = new Meter(folder, signal, options.cold);
  return [
    new Coldkeep(folder, source, [one, two], meter, program),
    ...(isInstalled("restic") ? [new Restic(folder, source, other, meter)] : []),
    ...(part !== "startup" && Pipe.isInstalled() ? [new Pipe(folder, source, meter)] : []),
    ...(part === "startup" ? [new BareNode(meter)] : []),
  ];
}
