/** Starting worker threads, from sources and from what the build makes of them. */
import { type Transferable, Worker } from "node:worker_threads";

/**
 * A worker makes much garbage and keeps little of it. With V8's own limit the young generation of each thread takes some
 * 50 MiB for nothing, and pays for its pages.
 */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 6 };

/** `url` names a `.ts` file beside the caller; built, it is the `.js` of the same name. */
export function startWorker(url: URL, workerData: unknown, transferList: Transferable[] = []): Worker {
  const file = import.meta.url.endsWith(".js") ? new URL(url.href.replace(/\.ts$/, ".js")) : url;
  return new Worker(file, { workerData, transferList, resourceLimits: RESOURCE_LIMITS, execArgv: ["--disable-warning=ExperimentalWarning"], stderr: false });
}
