/** Thread of the walk: runs ahead of the scan, from the moment the configuration is known, and holds in where that falls behind. */
import { parentPort, workerData } from "node:worker_threads";
import { readMounts } from "../../disk/mounts.ts";
import { walk, type WalkItem } from "../../disk/walk.ts";
import { isWithin } from "../../format/entry-path.ts";
import { compileExcludes } from "../../policy/exclude.ts";
import { toPortableError } from "../portable-error.ts";
import type { SourceSpec, WalkSetup, WalkToScan } from "./messages.ts";
import { asWalked } from "./sources.ts";
import { packBatch } from "./walk-batch.ts";

const BATCH_ITEMS = 512;
/** Batches the scan has not taken yet: some 5 MiB. */
const BATCHES_AHEAD = 32;

/** Excludes of the innermost source a path lies in, and what is left out of all. */
function skipper(sources: readonly SourceSpec[], leftOut: ReadonlySet<string>): (path: string, isDirectory: boolean) => boolean {
  const compiled = sources
    .map((source) => ({ path: source.path, decide: compileExcludes(source.exclude, source.path) }))
    .toSorted((a, b) => b.path.length - a.path.length);
  return (path, isDirectory) => leftOut.has(path) || (compiled.find((source) => isWithin(path, source.path))?.decide(path, isDirectory).excluded ?? false);
}

function startWalk({ sources, excludedDirs, leftOut }: WalkSetup): Iterator<WalkItem> {
  const paths = sources.map(({ path }) => path);
  return walk({ sources: paths, skip: skipper(asWalked(sources), new Set(leftOut)), mounts: readMounts(), excludedDirs });
}

/** The next items; fewer than a batch at the end of the walk. */
function nextItems(items: Iterator<WalkItem>): WalkItem[] {
  const batch: WalkItem[] = [];
  while (batch.length < BATCH_ITEMS) {
    const next = items.next();
    if (next.done === true) break;
    batch.push(next.value);
  }
  return batch;
}

if (parentPort === null) throw new Error("walk.worker runs as a worker only");
const setup = workerData as WalkSetup;
const scan = setup.scanPort;
let ahead = 0;
let items: Iterator<WalkItem> | undefined;

function tell(message: WalkToScan): void {
  scan.postMessage(message, message.kind === "items" ? [message.batch.numbers.buffer] : []);
}

function advance(): void {
  try {
    items ??= startWalk(setup);
    while (ahead < BATCHES_AHEAD) {
      const batch = nextItems(items);
      tell({ kind: "items", batch: packBatch(batch) });
      ahead++;
      if (batch.length < BATCH_ITEMS) {
        tell({ kind: "end" });
        scan.off("message", taken);
        return;
      }
    }
  } catch (error) {
    tell({ kind: "error", error: toPortableError(error) });
  }
}

/** The scan has taken a batch. */
function taken(): void {
  // Only when it had to hold in: else the loop above is still to come back here.
  if (ahead-- === BATCHES_AHEAD) advance();
}

scan.on("message", taken);
advance();
