/**
 * `npm run bench`: the main job beside restic, on the same data and the same kind of store, in turns. We write two regions,
 * restic one.
 *   npm run bench -- [--quick] [--rounds N] [--only tree|database] [--directories] [--json]
 * The ratios matter; absolute figures drift with the machine. The store runs on the same processors and is part of every figure.
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { formatSize, GIB, MIB } from "../../src/units.ts";
import { buildProgram, Coldkeep, type Contestant, Restic, resticVersion } from "./contestants.ts";
import { DatabaseCorpus, TreeCorpus } from "./corpus.ts";
import { type Measured, Meter } from "./measure.ts";
import { formatTable, Rows } from "./rows.ts";
import { hasRgw, type Stores, startStores } from "./stores.ts";

const SEED = 20_261_123;
const SETTLE_MS = 3100;
const FULL = { files: 118_000, databaseBytes: 4 * GIB, rounds: 3 };
const QUICK = { files: 30_000, databaseBytes: 256 * MIB, rounds: 1 };

function readOptions() {
  const { values } = parseArgs({
    options: { quick: { type: "boolean" }, rounds: { type: "string" }, only: { type: "string" }, directories: { type: "boolean" }, json: { type: "boolean" } },
  });
  const size = values.quick === true ? QUICK : FULL;
  const rounds = Number(values.rounds ?? size.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds} is not a number of rounds`);
  if (values.only !== undefined && values.only !== "tree" && values.only !== "database") throw new Error("--only takes tree or database");
  return { ...size, rounds, only: values.only, useRgw: values.directories !== true && hasRgw(), json: values.json === true };
}

type Options = ReturnType<typeof readOptions>;

class Bench {
  readonly rows = new Rows();
  readonly #options: Options;
  readonly #folder: string;
  readonly #signal: AbortSignal;
  readonly #meter: Meter;
  readonly #program: string;
  readonly #hasRestic: boolean;

  constructor(options: Options, folder: string, signal: AbortSignal, hasRestic: boolean) {
    this.#options = options;
    this.#folder = folder;
    this.#signal = signal;
    this.#meter = new Meter(folder, signal);
    this.#program = buildProgram(folder);
    this.#hasRestic = hasRestic;
  }

  async run(): Promise<void> {
    for (let round = 0; round < this.#options.rounds; round++) {
      if (this.#options.only !== "database") await this.#round(round, (contestants, source, tell) => this.#treeRound(round, contestants, source, tell));
      if (this.#options.only !== "tree") await this.#round(round, (contestants, source, tell) => this.#databaseRound(round, contestants, source, tell));
    }
  }

  /** Fresh stores, vaults and data for one round; in every second one restic goes first. */
  async #round(round: number, work: (contestants: readonly Contestant[], source: string, tell: (text: string) => void) => Promise<void>): Promise<void> {
    const folder = join(this.#folder, "round");
    const source = join(folder, "source");
    mkdirSync(source, { recursive: true });
    const tell = (text: string): void => void process.stderr.write(`round ${round + 1}: ${text}\n`);
    let stores: Stores | undefined;
    try {
      stores = await startStores(this.#options.useRgw, folder);
      const [one, two, other] = stores.places;
      if (one === undefined || two === undefined || other === undefined) throw new Error("three places are needed");
      const ours = new Coldkeep(folder, source, [one, two], this.#meter, this.#program);
      const contestants = this.#hasRestic ? [ours, new Restic(folder, source, other, this.#meter)] : [ours];
      for (const contestant of contestants) await contestant.prepare();
      await work(round % 2 === 0 ? contestants : contestants.toReversed(), source, tell);
    } finally {
      await stores?.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #treeRound(round: number, contestants: readonly Contestant[], source: string, tell: (text: string) => void): Promise<void> {
    const corpus = new TreeCorpus(source, this.#options.files, SEED);
    await corpus.write();
    tell(`${corpus.files} files, ${formatSize(corpus.bytes)}`);
    await sleep(SETTLE_MS, undefined, { signal: this.#signal });
    await this.#each("first archive", contestants, (contestant) => contestant.backup(), true);
    await this.#each("unchanged night", contestants, (contestant) => contestant.backup(), true);
    corpus.change(100, round + 1);
    await this.#each("1 % of files changed", contestants, (contestant) => contestant.backup(), true);
    await this.#each("full restore to tmpfs", contestants, (contestant) => this.#emptied((target) => contestant.restore(target)));
    const path = corpus.paths[Math.floor(corpus.paths.length / 3)] ?? "";
    await this.#each("one file, nothing cached", contestants, (contestant) => this.#emptied((target) => contestant.restoreOne(path, target)));
    for (let i = 0; i < 5; i++) await this.#each("--version", contestants, (contestant) => contestant.version());
  }

  async #databaseRound(round: number, contestants: readonly Contestant[], source: string, tell: (text: string) => void): Promise<void> {
    const corpus = new DatabaseCorpus(join(source, "table"), this.#options.databaseBytes);
    await corpus.write();
    tell(`a file of ${formatSize(corpus.bytes)}`);
    await sleep(SETTLE_MS, undefined, { signal: this.#signal });
    await this.#each("large file, first", contestants, (contestant) => contestant.backup(), true);
    corpus.rewritePages(0.01, SEED + round);
    await this.#each("after 1 % of its pages", contestants, (contestant) => contestant.backup(), true);
  }

  async #each(row: string, contestants: readonly Contestant[], work: (contestant: Contestant) => Promise<Measured>, stores = false): Promise<void> {
    for (const contestant of contestants) {
      const before = stores ? await contestant.storedBytes() : 0;
      const { wallMs, cpuMs, peakBytes } = await work(contestant);
      this.rows.add(row, contestant.name, { wallMs, cpuMs, peakBytes, ...(stores && { storedBytes: (await contestant.storedBytes()) - before }) });
    }
  }

  /** Restores into memory where it has room, so that the disk is no part of the figure. */
  async #emptied(work: (target: string) => Promise<Measured>): Promise<Measured> {
    const target = mkdtempSync(join(memoryFolder(), "coldkeep-bench-"));
    try {
      return await work(join(target, "out"));
    } finally {
      rmSync(target, { recursive: true });
    }
  }
}

function memoryFolder(): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    if (bavail * bsize > 6 * GIB) return "/dev/shm";
  } catch {
    // No such place here.
  }
  return tmpdir();
}

async function main(): Promise<void> {
  const options = readOptions();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "coldkeep-bench-")));
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => controller.abort(new Error("stopped")));
  try {
    const restic = resticVersion();
    const facts = {
      node: process.version,
      processors: `${availableParallelism()} × ${cpus()[0]?.model ?? "unknown"}`,
      restic: restic ?? "not installed",
      store: options.useRgw ? "Ceph RGW on loopback" : "directories, because Ceph RGW is not installed or not wanted",
      restoreTo: memoryFolder(),
      files: options.files,
      databaseBytes: options.databaseBytes,
      rounds: options.rounds,
    };
    const bench = new Bench(options, folder, controller.signal, restic !== null);
    await bench.run();
    const rows = bench.rows.medians();
    if (options.json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...facts, rows }, null, 2)}\n`);
    else {
      const said = Object.entries(facts).map(([name, value]) => `${name}: ${name === "databaseBytes" ? formatSize(Number(value)) : value}`);
      process.stdout.write(`${said.join("\n")}\n\n${formatTable(rows, restic === null ? ["coldkeep"] : ["coldkeep", "restic"])}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
