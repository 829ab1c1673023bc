/** What the benchmark is asked to do. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { GIB, MIB, parseSize } from "../../src/units.ts";

export const PARTS = ["tree", "database", "media", "startup"] as const;
export type Part = (typeof PARTS)[number];

export const USAGE = `npm run bench -- [options]
  --quick               small corpora, one round: under three minutes
  --rounds N            rounds, in which the programs take turns at going first (3; quick 1)
  --only PART[,PART]    ${PARTS.join(", ")}
  --tree DIR            a copy of this directory in place of the made tree
  --files N             entries of the made tree
  --database SIZE       size of the file of pages
  --media SIZE          size of the files that do not compress
  --cold                nothing of the data in the page cache when a program begins (needs root)
  --latency MS          every request to Ceph RGW takes so much longer
  --directories         directories as regions, where Ceph RGW is installed too
  --json                one JSON document with every sample
  --scale               only our own memory, catalogs and state over the size of the source
  --scale-files N,…     with so many tiny files
  --scale-bytes SIZE,…  with so much that does not compress
  --no-restore          without the full restores of the scale
`;

const FULL = { rounds: 3, times: 3, files: 118_000, databaseBytes: 4 * GIB, mediaBytes: GIB };
const QUICK = { rounds: 1, times: 1, files: 6_000, databaseBytes: 64 * MIB, mediaBytes: 200 * MIB };
const SCALE_FILES = [10_000, 100_000, 1_000_000];
const SCALE_BYTES = [GIB, 5 * GIB, 20 * GIB];

export type Sizes = { files: number; databaseBytes: number; mediaBytes: number };

export type Options = Sizes & {
  help: boolean;
  json: boolean;
  rounds: number;
  /** How often in a round a step of a second or less is taken, of which one figure says little. */
  times: number;
  parts: readonly Part[];
  directories: boolean;
  latencyMs: number;
  /** Whether the page cache is emptied before each command. */
  cold: boolean;
  /** A directory to copy, absolute. */
  tree?: string;
  scale?: { files: readonly number[]; bytes: readonly number[]; restores: boolean };
};

/** Throws on what it does not know. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean" },
      quick: { type: "boolean" },
      rounds: { type: "string" },
      only: { type: "string" },
      tree: { type: "string" },
      files: { type: "string" },
      database: { type: "string" },
      media: { type: "string" },
      cold: { type: "boolean" },
      directories: { type: "boolean" },
      latency: { type: "string" },
      json: { type: "boolean" },
      scale: { type: "boolean" },
      "scale-files": { type: "string" },
      "scale-bytes": { type: "string" },
      "no-restore": { type: "boolean" },
    },
  });
  const usual = values.quick === true ? QUICK : FULL;
  const [scaleFiles, scaleBytes] = [values["scale-files"], values["scale-bytes"]];
  const files = scaleFiles?.split(",").map((text) => readCount("--scale-files", text));
  const bytes = scaleBytes?.split(",").map((text) => readBytes("--scale-bytes", text));
  const isScale = values.scale === true || files !== undefined || bytes !== undefined;
  // Who names points of one kind wants those, and no others.
  const points = files === undefined && bytes === undefined ? { files: SCALE_FILES, bytes: SCALE_BYTES } : { files: files ?? [], bytes: bytes ?? [] };
  const scale = { ...points, restores: values["no-restore"] !== true };
  return {
    help: values.help === true,
    json: values.json === true,
    cold: values.cold === true,
    directories: values.directories === true,
    latencyMs: values.latency === undefined ? 0 : readCount("--latency", values.latency),
    rounds: values.rounds === undefined ? usual.rounds : readCount("--rounds", values.rounds),
    times: usual.times,
    parts: values.only === undefined ? PARTS : values.only.split(",").map(readPart),
    files: values.files === undefined ? usual.files : readCount("--files", values.files),
    databaseBytes: values.database === undefined ? usual.databaseBytes : readBytes("--database", values.database),
    mediaBytes: values.media === undefined ? usual.mediaBytes : readBytes("--media", values.media),
    ...(values.tree !== undefined && { tree: resolve(values.tree) }),
    ...(isScale && { scale }),
  };
}

function readCount(option: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${option} takes a whole number, not "${text}"`);
  return Number(text);
}

function readBytes(option: string, text: string): number {
  const bytes = parseSize(text);
  if (bytes < MIB) throw new Error(`${option} takes a size of at least 1MiB, not "${text}"`);
  return bytes;
}

function readPart(text: string): Part {
  const part = PARTS.find((each) => each === text);
  if (part === undefined) throw new Error(`--only takes ${PARTS.join(", ")}, not "${text}"`);
  return part;
}
