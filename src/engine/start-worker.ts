/** Starting worker threads, from the sources, from what the build makes of them, and from inside the single executable. */
import { setFlagsFromString } from "node:v8";
import { type Transferable, Worker, type WorkerOptions } from "node:worker_threads";
import { singleFile } from "./single-file.ts";

/**
 * Young generation of a worker that makes much garbage and keeps little of it, MiB. With V8's own limit that of each thread
 * takes some 50 MiB for nothing, and pays for its pages.
 */
const YOUNG_MIB = 6;
/** Of one that holds what it makes until another thread has taken it: in less room it would be copied again and again. */
export const YOUNG_MIB_QUEUES = 12;

// The main thread's limit is a flag of the single executable, which would overrule those of the workers.
if (singleFile !== null) setFlagsFromString("--max-semi-space-size=0");

/**
 * V8 lets an old generation grow to several times what lives in it, for the sake of few collections: a thread that keeps 30 MB
 * would hold 90. From this call on all threads stay near what they keep, for a twentieth more of CPU time.
 */
export function keepHeapsSmall(): void {
  setFlagsFromString("--heap-growing-percent=30");
}

const EXEC_ARGV = ["--disable-warning=ExperimentalWarning"];

/**
 * `url` names a `.ts` file beside the caller; built, it is the `.js` of the same name, and in the single executable its asset.
 * `youngMib`: most its young generation may take, MiB.
 */
export function startWorker(url: URL, workerData: unknown, transferList: Transferable[] = [], youngMib = YOUNG_MIB): Worker {
  const options: WorkerOptions = { workerData, transferList, resourceLimits: { maxYoungGenerationSizeMb: youngMib }, execArgv: EXEC_ARGV, stderr: false };
  if (singleFile !== null) {
    const code = singleFile.asset(url.href.slice(url.href.lastIndexOf("/") + 1));
    // What kind of code it is, is said, or Node parses all of it once more to find out.
    return new Worker(code, { ...options, execArgv: [...EXEC_ARGV, "--input-type=commonjs"], eval: true });
  }
  return new Worker(import.meta.url.endsWith(".js") ? new URL(url.href.replace(/\.ts$/, ".js")) : url, options);
}
