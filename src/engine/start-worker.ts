/** Starting worker threads, from sources and from what the build makes of them. */
import { type Transferable, Worker } from "node:worker_threads";

/** `url` names a `.ts` file beside the caller; built, it is the `.js` of the same name. */
export function startWorker(url: URL, workerData: unknown, transferList: Transferable[] = []): Worker {
  const file = import.meta.url.endsWith(".js") ? new URL(url.href.replace(/\.ts$/, ".js")) : url;
  return new Worker(file, { workerData, transferList, execArgv: ["--disable-warning=ExperimentalWarning"], stderr: false });
}
