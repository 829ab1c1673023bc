/** Starting worker threads, from the sources, from what the build makes of them, and from inside the single executable. */
import { setFlagsFromString } from "node:v8";
import { type Transferable, Worker, type WorkerOptions } from "node:worker_threads";
import { singleFile } from "./single-file.ts";

/**
 * A worker makes much garbage and keeps little of it. With V8's own limit the young generation of each thread takes some
 * 50 MiB for nothing, and pays for its pages.
 */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 6 };

/**
 * V8 lets an old generation grow to several times what lives in it, for the sake of few collections: a thread that keeps 30 MB
 * would hold 90. From this call on all threads stay near what they keep, for a twentieth more of CPU time.
 */
export function keepHeapsSmall(): void {
  setFlagsFromString("--heap-growing-percent=30");
}

const EXEC_ARGV = ["--disable-warning=ExperimentalWarning"];

/** `url` names a `.ts` file beside the caller; built, it is the `.js` of the same name, and in the single executable its asset. */
export function startWorker(url: URL, workerData: unknown, transferList: Transferable[] = []): Worker {
  const options: WorkerOptions = { workerData, transferList, resourceLimits: RESOURCE_LIMITS, execArgv: EXEC_ARGV, stderr: false };
  if (singleFile !== null) {
    const code = singleFile.asset(url.href.slice(url.href.lastIndexOf("/") + 1));
    // What kind of code it is, is said, or Node parses all of it once more to find out.
    return new Worker(code, { ...options, execArgv: [...EXEC_ARGV, "--input-type=commonjs"], eval: true });
  }
  return new Worker(import.meta.url.endsWith(".js") ? new URL(url.href.replace(/\.ts$/, ".js")) : url, options);
}
