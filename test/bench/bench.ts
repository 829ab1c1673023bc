/**
 * `npm run bench`: the main job beside restic, on the same data and the same kind of store, in turns. We write two regions,
 * restic one. `npm run bench -- --help` lists the options.
 *
 * The ratios matter; absolute figures drift with the machine. The stores run on the same processors and are part of every figure,
 * which is why their time is shown.
 */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatSize } from "../../src/units.ts";
import { buildProgram } from "./contestants/coldkeep.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { playRounds } from "./rounds.ts";
import { BUDGETS, PEAK_BYTES_MAX } from "./rows.ts";
import { formatScale, measureScale } from "./scale.ts";
import { memoryFolder } from "./scene.ts";
import { hasRgw } from "./stores.ts";
import { formatRows } from "./table.ts";
import { versions } from "./versions.ts";

const EXIT_FAILED = 1;
const EXIT_INTERRUPTED = 130;

type Run = { folder: string; program: string; signal: AbortSignal; tell: (text: string) => void };

function print(options: Options, facts: Record<string, string | null>, document: Record<string, unknown>, table: string): void {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 2, measuredAt: new Date().toISOString(), facts, ...document }, null, 2)}\n`);
    return;
  }
  const said = Object.entries(facts).map(([name, value]) => `${name}: ${value ?? "not installed"}`);
  process.stdout.write(`${said.join("\n")}\n\n${table}\n`);
}

function sizesOf({ parts, tree, files, databaseBytes, mediaBytes }: Options): Record<string, string> {
  return {
    ...(parts.includes("tree") && { tree: tree === undefined ? `${files} entries` : `a copy of ${tree}` }),
    ...(parts.includes("database") && { database: formatSize(databaseBytes) }),
    ...(parts.includes("media") && { media: formatSize(mediaBytes) }),
  };
}

async function compare(options: Options, run: Run): Promise<void> {
  const useRgw = !options.directories && hasRgw();
  const facts = {
    ...versions(),
    stores: useRgw ? "Ceph RGW on loopback, two regions for coldkeep, one for restic" : `directories, because Ceph RGW is ${options.directories ? "not wanted" : "not installed"}`,
    "restores go to": memoryFolder(0) ?? "the disk",
    ...sizesOf(options),
    rounds: String(options.rounds),
    ...(useRgw && options.latencyMs > 0 && { latency: `${options.latencyMs} ms more for every request` }),
    ...(options.cold && { "page cache": "emptied before each command" }),
  };
  const rows = (await playRounds({ options, useRgw, ...run })).finished();
  print(options, facts, { options, budgets: { rows: BUDGETS, peakBytes: PEAK_BYTES_MAX }, rows }, formatRows(rows));
}

async function scale(options: Options, wanted: NonNullable<Options["scale"]>, run: Run): Promise<void> {
  const facts = { ...versions(), stores: "two directories" };
  const points = await measureScale({ ...wanted, ...run });
  print(options, facts, { scale: points }, formatScale(points));
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => controller.abort(new Error(`stopped by ${name}`)));
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "coldkeep-bench-")));
  const tell = (text: string): void => void process.stderr.write(`${text}\n`);
  try {
    const run = { folder, program: buildProgram(folder), signal: controller.signal, tell };
    if (options.scale === undefined) await compare(options, run);
    else await scale(options, options.scale, run);
  } catch (error) {
    tell(`bench failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = controller.signal.aborted ? EXIT_INTERRUPTED : EXIT_FAILED;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = EXIT_FAILED;
}
