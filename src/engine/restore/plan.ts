/** The plan of a restore: which entries, from which volumes. */
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { MIB } from "../../units.ts";
import { catalogLines, type CatalogReader } from "../catalog-reader.ts";
import type { Manifest } from "../manifests.ts";
import { fromPortableError } from "../portable-error.ts";
import { startWorker, YOUNG_MIB_QUEUES } from "../start-worker.ts";
import type { RestoreJournal } from "./journal.ts";
import type { Adoption, LeaveOut, PlanSetup, PlanToMain, RestorePlan } from "./messages.ts";
import { Planner } from "./planner.ts";

const NAMED_MAX = 5;
/** Up to this much text, a thread of its own takes longer to start than the work takes. */
const HERE_BYTES_MAX = 2 * MIB;

export type PlanOrder = {
  catalog: CatalogReader;
  manifest: Manifest;
  catalogDir: string;
  /** The segments that may hold `paths`, fetched. */
  segments: readonly SegmentReference[];
  /** Entry paths; empty: everything. */
  paths: string[];
  leaveOut?: LeaveOut | undefined;
  journal: RestoreJournal;
  signal: AbortSignal;
};

/**
 * Plans a restore, a large one in a thread of its own. A wanted hard link whose first name is not wanted becomes a file of its own: the
 * catalog is then read a second time, with what says where its bytes lie. Throws E_NOT_FOUND, E_FORMAT, E_OBJECT, E_DISK.
 */
export async function planRestore(order: PlanOrder): Promise<{ plan: RestorePlan; objects: Map<string, ListedObject> }> {
  const { catalog, manifest, paths, journal } = order;
  const { id } = manifest.header;
  const plan = await named(id, async () => {
    const first = await runPlanner(order, order.segments, []);
    if (first.missing.length > 0) throw notFound(first.missing, id);
    if (first.orphans.length === 0) return first;
    const segments = catalog.segmentsFor([...paths, ...first.orphans.map((orphan) => orphan.first)]);
    await catalog.fetch(segments);
    journal.clearPlan();
    return runPlanner(order, segments, first.orphans);
  });
  return { plan, objects: checkObjects(manifest, catalog, plan, paths.length === 0 && order.leaveOut === undefined) };
}

/** Says which archive it is that is malformed. */
async function named<T>(id: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ColdkeepError) || error.code !== "E_FORMAT") throw error;
    throw new ColdkeepError("E_FORMAT", `archive ${id} cannot be restored: ${messageOf(error)}`, {
      hint: "It was not written by a sound program; restore another with --archive.",
      cause: error,
    });
  }
}

function runPlanner({ catalogDir, paths, leaveOut, journal, signal }: PlanOrder, segments: readonly SegmentReference[], adoptions: Adoption[]): Promise<RestorePlan> {
  const setup: PlanSetup = { catalogDir, segments: [...segments], paths, leaveOut, adoptions, planDir: journal.planDir };
  if (isSmallPlan(segments)) return Promise.try(() => planHere(setup));
  const { promise, resolve, reject } = Promise.withResolvers<RestorePlan>();
  const worker = startWorker(new URL("./plan.worker.ts", import.meta.url), setup, [], YOUNG_MIB_QUEUES);
  worker.on("message", (message: PlanToMain) => {
    if (message.kind === "planned") resolve(message.plan);
    else reject(fromPortableError(message.error));
  });
  worker.on("error", reject);
  worker.on("exit", (code) => reject(new Error(`the planner ended with status ${code}`)));
  const stop = (): void => {
    reject(signal.reason);
    void worker.terminate();
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return promise.finally(() => signal.removeEventListener("abort", stop));
}

/** Whether a plan of these segments is done in no time, and the restore after it most often too. */
export function isSmallPlan(segments: readonly SegmentReference[]): boolean {
  return segments.reduce((sum, { size }) => sum + size, 0) <= HERE_BYTES_MAX;
}

function planHere(setup: PlanSetup): RestorePlan {
  return new Planner(setup).run(catalogLines(setup.segments, new CatalogCache(setup.catalogDir)));
}

function notFound(missing: readonly string[], archive: string): ColdkeepError {
  const shown = missing.slice(0, NAMED_MAX).map((path) => path.toWellFormed());
  const more = missing.length > shown.length ? ` and ${missing.length - shown.length} more` : "";
  return new ColdkeepError("E_NOT_FOUND", `archive ${archive} does not hold ${shown.join(", ")}${more}`, { hint: "Run `coldkeep files` to see what it holds." });
}

/** Every volume of a plan must be in the signed list as one; a whole plan must need all of the list. Throws E_FORMAT. */
function checkObjects(manifest: Manifest, catalog: CatalogReader, plan: RestorePlan, isWhole: boolean): Map<string, ListedObject> {
  const listed = new Map(manifest.objects.map((object) => [object.id, object]));
  const volumes = new Set(plan.volumes);
  const catalogs = catalog.catalogObjects(manifest);
  const stray = [...volumes].find((id) => listed.get(id)?.kind !== "volume") ?? [...catalogs].find((id) => listed.get(id)?.kind !== "catalog");
  const unused = isWhole ? [...listed.keys()].find((id) => !volumes.has(id) && !catalogs.has(id)) : undefined;
  const odd = stray ?? unused;
  if (odd === undefined) return listed;
  throw new ColdkeepError("E_FORMAT", `the catalog and the manifest of archive ${manifest.header.id} do not name the same objects: ${odd}`, {
    hint: "This archive was not written by a sound program; restore another with --archive.",
  });
}
