/** One restore: from an archive to files below a target (format §9, promise 3). */
import { messageOf, ColdkeepError, EXIT, type ExitStatus } from "../../errors.ts";
import { freeSpace } from "../../disk/free-space.ts";
import type { Loss } from "../../disk/losses.ts";
import { prepareTarget } from "../../disk/open-target.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { pathFault } from "../../format/entry-path.ts";
import { formatSize } from "../../units.ts";
import type { CatalogReader } from "../catalog-reader.ts";
import type { Emit } from "../events.ts";
import type { Manifest } from "../manifests.ts";
import type { OpenVault } from "../open-vault.ts";
import { fromPortableError } from "../portable-error.ts";
import { startWorker } from "../start-worker.ts";
import { UnpackCrew } from "./crew.ts";
import { RestoreJournal } from "./journal.ts";
import { LISTS, type PlanSetup, type PlanToMain, type RestorePlan } from "./messages.ts";

export type RestoreOrder = {
  vault: OpenVault;
  archive: string | undefined;
  /** Entry paths; empty: everything. */
  paths: string[];
  /** Absolute path of the directory under which everything lands. */
  target: string;
  merge: boolean;
  numericOwner: boolean;
  emit: Emit;
  signal: AbortSignal;
};

export type RestoreReport = {
  archive: string;
  host: string;
  status: "complete" | "partial";
  entries: number;
  files: number;
  /** Bytes written; what was proven on disk is not. */
  bytesWritten: number;
  bytes: number;
  resumed: boolean;
  /** Files no region had right. */
  lost: string[];
  /** What this machine or user could not give back. */
  notKept: Loss[];
  /** Objects a region had missing or wrong and another had right: `region id`. */
  damaged: string[];
  durationMs: number;
  exitStatus: ExitStatus;
};

/** Sorts the catalog into work lists in a thread of its own. */
function planRestore(setup: PlanSetup, signal: AbortSignal): Promise<RestorePlan> {
  const { promise, resolve, reject } = Promise.withResolvers<RestorePlan>();
  const worker = startWorker(new URL("./plan.worker.ts", import.meta.url), setup);
  worker.on("message", (message: PlanToMain) => {
    if (message.kind === "planned") resolve(message.plan);
    else reject(fromPortableError(message.error));
  });
  worker.on("error", reject);
  const stop = (): void => {
    reject(signal.reason);
    void worker.terminate();
  };
  signal.addEventListener("abort", stop, { once: true });
  return promise.finally(() => signal.removeEventListener("abort", stop));
}

/** Every volume of a plan must be in the signed list; a whole plan must need all of the list. Throws E_FORMAT. */
function checkObjects(manifest: Manifest, catalog: CatalogReader, plan: RestorePlan, isWhole: boolean): Map<string, ListedObject> {
  const listed = new Map(manifest.objects.map((object) => [object.id, object]));
  const named = new Set([...plan.volumes, ...catalog.catalogObjects(manifest)]);
  const stray = [...named].find((id) => !listed.has(id));
  const unused = isWhole ? [...listed.keys()].find((id) => !named.has(id)) : undefined;
  const odd = stray ?? unused;
  if (odd === undefined) return listed;
  throw new ColdkeepError("E_FORMAT", `the catalog and the manifest of archive ${manifest.header.id} do not name the same objects: ${odd}`, {
    hint: "This archive was not written by a sound program; restore another with --archive.",
  });
}

function checkSpace(target: string, plan: RestorePlan, emit: Emit): void {
  const { bytes } = freeSpace(target);
  if (bytes >= plan.bytes) return;
  emit({ kind: "warning", message: `${target} has ${formatSize(bytes)} free and the files are ${formatSize(plan.bytes)} long; holes may make up for it` });
}

/** Throws E_REFUSED for a target that is not empty, E_NOT_FOUND, E_IDENTITY, E_DISK, E_INTERRUPTED; a rerun goes on. */
export async function runRestore(order: RestoreOrder): Promise<RestoreReport> {
  const { vault, paths, target, emit, signal } = order;
  const startedAtMs = Date.now();
  for (const path of paths) {
    const fault = pathFault(path);
    if (fault !== undefined) throw new ColdkeepError("E_USAGE", `the path "${path}" ${fault}`, { hint: "Give paths as `coldkeep files` prints them." });
  }
  emit({ kind: "progress", text: "reading the catalog" });
  const { seen, manifest } = await vault.archive(order.archive);
  const identity = { vault: vault.trust.vault, host: seen.header.host, archive: seen.header.id, paths };
  const isBegun = RestoreJournal.isBegun(target, identity);
  const catalog = await vault.catalog(seen, manifest);
  const segments = catalog.segmentsFor(paths);
  await catalog.fetch(segments);
  prepareTarget(target, order.merge || isBegun);
  const journal = RestoreJournal.open(target, identity);
  const plan = await planRestore({ catalogDir: vault.cache.directory, segments, paths, planDir: journal.planDir }, signal);
  if (plan.entries === 0 || (paths.length > 0 && plan.files === 0 && plan.entries < paths.length)) throw notFound(journal, paths, seen.header.id);
  const objects = checkObjects(manifest, catalog, plan, paths.length === 0);
  if (!journal.isResumed && !order.merge) checkSpace(target, plan, emit);
  return unpack({ order, journal, plan, objects, seen: { id: seen.header.id, host: seen.header.host }, source: vault.objects(seen), startedAtMs });
}

function notFound(journal: RestoreJournal, paths: readonly string[], archive: string): ColdkeepError {
  journal.remove();
  return new ColdkeepError("E_NOT_FOUND", `archive ${archive} does not hold ${paths.join(", ")}`, { hint: "Run `coldkeep files` to see what it holds." });
}

type Unpacking = {
  order: RestoreOrder;
  journal: RestoreJournal;
  plan: RestorePlan;
  objects: Map<string, ListedObject>;
  seen: { id: string; host: string };
  source: ReturnType<OpenVault["objects"]>;
  startedAtMs: number;
};

async function unpack({ order, journal, plan, objects, seen, source, startedAtMs }: Unpacking): Promise<RestoreReport> {
  const { target, numericOwner, merge, emit, signal, vault } = order;
  const setup = { target, archiveId: seen.id, planDir: journal.planDir, identities: vault.identities, numericOwner, merge: merge || journal.isResumed };
  const crew: UnpackCrew = new UnpackCrew(setup, source, emit, (job) => {
    if (job.object !== null) journal.noteDone(job.object.id);
    emit({ kind: "progress", text: `${crew.totals.files} files, ${formatSize(crew.totals.bytes)} of ${formatSize(plan.bytes)} written` });
  });
  const stop = (): void => crew.fail(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const volumes = plan.volumes.filter((id) => !journal.done.has(id));
    const jobs = volumes.map((id, i) => ({ number: i + 1, object: objects.get(id) ?? null, list: id }));
    await crew.run([{ number: 0, object: null, list: LISTS.local }, ...jobs]);
    emit({ kind: "progress", text: "links and directories" });
    await crew.finish(journal.isResumed);
    journal.remove();
  } catch (error) {
    throw resumable(error);
  } finally {
    signal.removeEventListener("abort", stop);
    await crew.close();
  }
  const lost = [...crew.totals.lost].toSorted();
  const notKept = crew.losses.list();
  const isComplete = lost.length === 0 && notKept.length === 0;
  return {
    archive: seen.id,
    host: seen.host,
    status: isComplete ? "complete" : "partial",
    entries: plan.entries,
    files: plan.files,
    bytesWritten: crew.totals.bytes,
    bytes: plan.bytes,
    resumed: journal.isResumed,
    lost,
    notKept,
    damaged: [...source.damaged],
    durationMs: Date.now() - startedAtMs,
    exitStatus: isComplete ? EXIT.done : EXIT.partial,
  };
}

/** Whatever stopped the restore, running it again goes on with it. */
function resumable(error: unknown): unknown {
  if (!(error instanceof ColdkeepError)) return error;
  const again = "Run the same command again: it goes on where it stopped.";
  return new ColdkeepError(error.code, messageOf(error), { hint: error.hint === undefined ? again : `${error.hint} ${again}`, cause: error });
}
