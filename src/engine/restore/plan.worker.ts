/** Thread that sorts the catalog into work lists; it touches nothing but the journal folder. */
import { parentPort, workerData } from "node:worker_threads";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { catalogLines } from "../catalog-reader.ts";
import { toPortableError } from "../portable-error.ts";
import type { PlanSetup, PlanToMain } from "./messages.ts";
import { Planner } from "./planner.ts";

function tell(message: PlanToMain): void {
  parentPort?.postMessage(message);
}

// The thread's data comes from `planRestore` alone.
const setup = workerData as PlanSetup;
try {
  const lines = catalogLines(setup.segments, new CatalogCache(setup.catalogDir));
  tell({ kind: "planned", plan: new Planner(setup).run(lines) });
} catch (error) {
  tell({ kind: "error", error: toPortableError(error) });
}
