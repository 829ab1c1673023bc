/**
 * Our own memory, time, catalogs and state over the size of the source, without a peer: what has to stay flat is flat over two
 * orders of magnitude or not at all. Into two directories, so that no server's limits are part of it.
 */
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatSize, GIB, KIB } from "../../src/units.ts";
import { Coldkeep } from "./contestants/coldkeep.ts";
import { MediaCorpus } from "./corpus/media.ts";
import { TinyTree } from "./corpus/tiny-tree.ts";
import { treeFacts } from "./corpus/tree-facts.ts";
import { type Measured, Meter } from "./measure.ts";
import { directoryStores, type Place } from "./stores.ts";
import { formatColumns, formatPeak, formatSeconds } from "./table.ts";

const SEED = 20_261_124;
const SETTLE_MS = 3100;
const LARGE_FILE_BYTES = GIB;
/** More is not restored: it would say nothing new, and take the room of a fourth copy. */
const RESTORED_BYTES_MAX = 5 * GIB;
/** A tiny file takes a block and an inode on disk. */
const TINY_FILE_DISK_BYTES = 4.5 * KIB;

export type ScaleSetup = { files: readonly number[]; bytes: readonly number[]; restores: boolean; folder: string; program: string; signal: AbortSignal; tell: (text: string) => void };

export type ScaleStep = {
  step: "first archive" | "unchanged night" | "full restore";
  wallMs: number;
  cpuMs: number;
  peakBytes: number;
  /** What the step added to the catalogs of one region. */
  catalogBytes?: number;
  /** All of the local state afterwards. */
  stateBytes?: number;
};

export type ScalePoint = { kind: "files" | "bytes"; amount: number; skipped?: string; steps: ScaleStep[] };

/** One point after the other; what a point made is gone before the next begins. */
export async function measureScale(setup: ScaleSetup): Promise<ScalePoint[]> {
  const points: ScalePoint[] = [];
  for (const amount of setup.files) points.push(await measurePoint(setup, { kind: "files", amount, steps: [] }));
  for (const amount of setup.bytes) points.push(await measurePoint(setup, { kind: "bytes", amount, steps: [] }));
  return points;
}

async function measurePoint(setup: ScaleSetup, point: ScalePoint): Promise<ScalePoint> {
  const skipped = reasonToSkip(setup.folder, point);
  if (skipped !== undefined) {
    setup.tell(`${nameOf(point)}: skipped, ${skipped}`);
    return { ...point, skipped };
  }
  const folder = join(setup.folder, "scale");
  const source = join(folder, "source");
  mkdirSync(source, { recursive: true });
  try {
    await writeSource(point, source, setup.signal);
    await sleep(SETTLE_MS, undefined, { signal: setup.signal });
    const [one, two] = directoryStores(join(folder, "stores")).places("scale");
    const ours = new Coldkeep(folder, source, [one, two], new Meter(folder, setup.signal), setup.program);
    await ours.prepare();
    const add = async (step: ScaleStep["step"], work: () => Promise<Measured>): Promise<void> => {
      const before = await catalogBytes(one);
      const { wallMs, cpuMs, peakBytes } = await work();
      const ofArchives = step === "full restore" ? {} : { catalogBytes: (await catalogBytes(one)) - before, stateBytes: treeFacts(ours.stateFolder).bytes };
      point.steps.push({ step, wallMs, cpuMs, peakBytes, ...ofArchives });
      setup.tell(`${nameOf(point)}: ${step} ${formatSeconds(wallMs)}, ${formatPeak(peakBytes)}`);
    };
    await add("first archive", () => ours.backup());
    await add("unchanged night", () => ours.backup());
    if (setup.restores && isRestored(point)) await restoreChecked(folder, source, (target) => add("full restore", () => ours.restore(target, "nothing")));
    return point;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function writeSource({ kind, amount }: ScalePoint, source: string, signal: AbortSignal): Promise<void> {
  if (kind === "files") await new TinyTree(source, amount, SEED).write(signal);
  else await new MediaCorpus(source, amount, SEED, [LARGE_FILE_BYTES, LARGE_FILE_BYTES]).write(signal);
}

/** The source makes room for its copy, once it is known what has to come back. */
async function restoreChecked(folder: string, source: string, restore: (target: string) => Promise<void>): Promise<void> {
  const wanted = treeFacts(source);
  rmSync(source, { recursive: true });
  const target = join(folder, "restored");
  await restore(target);
  const found = treeFacts(join(target, source));
  if (found.files !== wanted.files || found.bytes !== wanted.bytes) throw new Error(`restored ${found.files} files and ${found.bytes} bytes of ${wanted.files} and ${wanted.bytes}`);
}

function isRestored({ kind, amount }: ScalePoint): boolean {
  return kind === "files" || amount <= RESTORED_BYTES_MAX;
}

function catalogBytes(place: Place): Promise<number> {
  return place.storedBytes((key) => key.includes("/catalogs/"));
}

/** The source and its two copies, then the restored files in place of the source. */
export function neededBytes({ kind, amount }: Pick<ScalePoint, "kind" | "amount">): number {
  return GIB + (kind === "files" ? 2 * amount * TINY_FILE_DISK_BYTES : 3.02 * amount);
}

function reasonToSkip(folder: string, point: ScalePoint): string | undefined {
  const { bavail, bsize, ffree, files } = statfsSync(folder);
  const needed = neededBytes(point);
  if (bavail * bsize < needed) return `it needs ${formatSize(needed)} and ${formatSize(bavail * bsize)} are free`;
  // File systems without a fixed number of inodes say 0 of 0.
  if (point.kind === "files" && files > 0 && ffree < point.amount * 1.1) return `it needs ${Math.round(point.amount * 1.1)} inodes and ${ffree} are free`;
  return undefined;
}

function nameOf({ kind, amount }: ScalePoint): string {
  return kind === "files" ? `${amount.toLocaleString("en")} files` : formatSize(amount);
}

/** Time a file or rate, so that one sees at once whether time grows with the size alone. */
function paceOf({ kind, amount }: ScalePoint, { wallMs }: ScaleStep): string {
  return kind === "files" ? `${((wallMs * 1000) / amount).toFixed(0)} µs a file` : `${formatSize((amount * 1000) / wallMs)}/s`;
}

export function formatScale(points: readonly ScalePoint[]): string {
  const head = ["", "time", "pace", "CPU", "peak", "catalog", "state", "  step"];
  const body = points.flatMap((point) =>
    point.skipped === undefined
      ? point.steps.map((step, index) => [
          index === 0 ? nameOf(point) : "",
          formatSeconds(step.wallMs),
          paceOf(point, step),
          formatSeconds(step.cpuMs),
          formatPeak(step.peakBytes),
          step.catalogBytes === undefined ? "" : formatSize(step.catalogBytes),
          step.stateBytes === undefined ? "" : formatSize(step.stateBytes),
          `  ${step.step}`,
        ])
      : [[nameOf(point), "", "", "", "", "", "", `  skipped: ${point.skipped}`]],
  );
  return formatColumns([head, ...body], 1);
}
