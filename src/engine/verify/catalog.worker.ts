/** Thread that reads whole catalogs; it writes nothing but piece lists into the folder of this check. */
import { parentPort, workerData } from "node:worker_threads";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { toPortableError } from "../portable-error.ts";
import { CatalogScan } from "./catalog-scan.ts";
import type { CatalogSetup, CatalogToMain, MainToCatalog } from "./messages.ts";
import { PieceListWriter } from "./piece-list.ts";

function tell(message: CatalogToMain): void {
  parentPort?.postMessage(message);
}

// The thread's data and messages come from `scanCatalogs` alone.
const setup = workerData as CatalogSetup;
const lists = new PieceListWriter(setup.listDir);
const scan = new CatalogScan(new CatalogCache(setup.catalogDir), lists, setup.volumes === null ? null : new Set(setup.volumes));

parentPort?.on("message", ({ request }: MainToCatalog) => {
  try {
    const faults = scan.check(request);
    lists.flush();
    tell({ kind: "scanned", faults });
  } catch (error) {
    tell({ kind: "error", error: toPortableError(error) });
  }
});
