/**
 * `npm run coverage [-- --project unit]`: which branches of src/{format,policy,engine,storage} the suites reach, in
 * this process and in every program they start, by the block counts of V8. A block counts as reached when any process reached it.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

type Range = { startOffset: number; endOffset: number; count: number };
type Script = { url: string; functions: { functionName: string; ranges: Range[]; isBlockCoverage: boolean }[] };

const root = resolve(import.meta.dirname, "..");
const sources = pathToFileURL(join(root, "src")).href;
const LAYERS = ["format", "policy", "engine", "storage"] as const;

/** What is known of one source file: which characters ran, and where blocks begin. */
class FileCoverage {
  readonly #ran: Uint8Array;
  readonly blocks = new Map<string, number>();

  constructor(path: string) {
    this.#ran = new Uint8Array(readFileSync(path, "utf8").length + 1);
  }

  add(script: Script): void {
    const counts = new Int32Array(this.#ran.length).fill(-1);
    for (const { ranges } of script.functions) {
      // Outer ranges come first: what lies within says more.
      for (const { startOffset, endOffset, count } of ranges) {
        counts.fill(count, startOffset, Math.min(endOffset, counts.length));
        this.blocks.set(`${startOffset} ${endOffset}`, startOffset);
      }
    }
    for (const [at, count] of counts.entries()) if (count > 0) this.#ran[at] = 1;
  }

  get reached(): number {
    return [...this.blocks.values()].filter((at) => this.#ran[at] === 1).length;
  }
}

function readScripts(file: string): Script[] {
  try {
    const { result } = JSON.parse(readFileSync(file, "utf8")) as { result: Script[] };
    return result.filter(({ url }) => url.startsWith(sources));
  } catch {
    // A program that was killed while it wrote.
    return [];
  }
}

const files = new Map<string, FileCoverage>();

function addFrom(dir: string): void {
  for (const name of readdirSync(dir)) {
    for (const script of readScripts(join(dir, name))) {
      const path = new URL(script.url).pathname;
      const known = files.get(path) ?? new FileCoverage(path);
      files.set(path, known);
      known.add(script);
    }
    rmSync(join(dir, name));
  }
}

const given = process.argv.slice(2);
const args = given.length > 0 ? given : ["unit", "program", "faults", "servers"].flatMap((name) => ["--project", name]);
const dir = mkdtempSync(join(tmpdir(), "coldkeep-coverage-"));
const out = join(dir, "v8");
mkdirSync(out);
// Programs that a test runs as another user write theirs, too.
chmodSync(dir, 0o711);
chmodSync(out, 0o1777);
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const { status } = spawnSync(process.execPath, [vitest, "run", "--config", "test/vitest.config.ts", ...args], { cwd: root, env: { ...process.env, NODE_V8_COVERAGE: out }, stdio: "inherit" });
addFrom(out);
rmSync(dir, { recursive: true });

let [all, allReached] = [0, 0];
for (const layer of LAYERS) {
  const own = [...files].filter(([path]) => path.startsWith(join(root, "src", layer, "/")));
  const blocks = own.reduce((sum, [, file]) => sum + file.blocks.size, 0);
  const reached = own.reduce((sum, [, file]) => sum + file.reached, 0);
  all += blocks;
  allReached += reached;
  console.log(`src/${layer}: ${reached} of ${blocks} branches, ${((100 * reached) / Math.max(1, blocks)).toFixed(1)} %, in ${own.length} files`);
}
console.log(`together: ${((100 * allReached) / Math.max(1, all)).toFixed(1)} %`);
process.exit(status ?? 1);
