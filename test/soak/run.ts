/**
 * `npm run test:soak -- --minutes M [--seed N]`: the soak, and its figures at the end. Exit 1 and the seed at the first thing that must not be.
 * `--only kill` takes just the fault points of such names (`restore, directories: unlink 1: EIO`), each once; `--part 2/4` the second quarter of them, for four at once.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Figures } from "./lanes.ts";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, seed: { type: "string" }, only: { type: "string" }, part: { type: "string", default: "1/1" } } });
const [part = 0, of = 0] = values.part.split("/").map(Number);
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(seed) || !(part >= 1 && part <= of)) {
  console.error("usage: npm run test:soak -- [--minutes M] [--seed N] [--only REGEX] [--part I/N]");
  process.exit(2);
}

const root = resolve(import.meta.dirname, "../..");
const dir = mkdtempSync(join(tmpdir(), "coldkeep-soak-"));
const report = join(dir, "figures.json");
console.log(`seed ${seed}, ${minutes} minutes`);
const vitest = join(root, "node_modules/vitest/vitest.mjs");
const env = { ...process.env, COLDKEEP_SEED: String(seed), COLDKEEP_SOAK_MINUTES: String(minutes), COLDKEEP_SOAK_REPORT: report, COLDKEEP_SOAK_PART: `${part - 1}/${of}`, ...(values.only !== undefined && { COLDKEEP_SOAK_ONLY: values.only }) };
const { status } = spawnSync(process.execPath, [vitest, "run", "--config", "test/vitest.config.ts", "--project", "soak"], { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });

const figures = existsSync(report) ? (JSON.parse(readFileSync(report, "utf8")) as Figures[]) : [];
rmSync(dir, { recursive: true });
for (const { name, tried, total, detail } of figures) console.log(`${name}: ${tried}${total === null ? "" : ` of ${total}`}${detail === "" ? "" : `, ${detail}`}`);
const points = figures.filter(({ name }) => name.includes(", "));
console.log(`fault points tried: ${points.reduce((sum, { tried }) => sum + tried, 0)} of ${points.reduce((sum, { total }) => sum + (total ?? 0), 0)}`);
if (status === 0 && figures.length > 0) {
  console.log("archives lost: 0; writes outside the target: 0");
} else {
  console.log(`Something must not be. The same again: npm run test:soak -- --minutes ${minutes} --seed ${seed}`);
  process.exit(1);
}
