/** One restore: from an archive to files below a target (format §9, promise 3). */
import { rmdirSync } from "node:fs";
import { freeSpace } from "../../disk/free-space.ts";
import type { Loss } from "../../disk/losses.ts";
import { prepareTarget } from "../../disk/open-target.ts";
import { ColdkeepError, EXIT, messageOf, type ExitStatus } from "../../errors.ts";
import { pathFault } from "../../format/entry-path.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { formatSize } from "../../units.ts";
import type { Emit } from "../events.ts";
import type { ObjectSource } from "../object-source.ts";
import type { FoundArchive, OpenVault } from "../open-vault.ts";
import { type ColdVolumes, findCold, thawBlocked, type ThawOrder } from "./cold.ts";
import { UnpackCrew, type UnpackTask } from "./crew.ts";
import { JOURNAL_FOLDER, RestoreJournal } from "./journal.ts";
import type { LeaveOut, RestorePlan, UnpackSetup } from "./messages.ts";
import { isSmallPlan, planRestore } from "./plan.ts";

export type RestoreOrder = {
  vault: OpenVault;
  /** An id, the start of one, `latest`; or an archive that was found already. */
  archive: string | undefined | FoundArchive;
  /** Entry paths; empty: everything. */
  paths: string[];
  /** Absolute path of the directory under which everything lands. */
  target: string;
  merge: boolean;
  numericOwner: boolean;
  /** What is to become of volumes that no region has readable; null: the restore ends. */
  thaw: ThawOrder | null;
  /** For the restore of a machine into its own root. */
  machine?: Pick<UnpackSetup, "aside" | "aclIds"> & { leaveOut: LeaveOut };
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
  /** Newer archives than the one restored, whose manifest is right in no region, where the latest was asked for. */
  passedOver: string[];
  /** Objects a region had missing or wrong and another had right: `region id`. */
  damaged: string[];
  durationMs: number;
  exitStatus: ExitStatus;
};

function checkSpace(target: string, plan: RestorePlan, emit: Emit): void {
  const { bytes } = freeSpace(target);
  if (bytes >= plan.bytes) return;
  emit({ kind: "warning", message: `${target} has ${formatSize(bytes)} free and the files are ${formatSize(plan.bytes)} long; holes may make up for it` });
}

/** Throws E_REFUSED for a target that is not empty, E_FROZEN, E_NOT_FOUND, E_IDENTITY, E_FORMAT, E_DISK, E_INTERRUPTED; a rerun goes on. */
export async function runRestore(order: RestoreOrder): Promise<RestoreReport> {
  const startedAtMs = Date.now();
  for (const path of order.paths) {
    const fault = pathFault(path);
    if (fault !== undefined) throw new ColdkeepError("E_USAGE", `the path "${path}" ${fault}`, { hint: "Give paths as `coldkeep files` prints them." });
  }
  const crew = new UnpackCrew();
  try {
    return await restoreWith(crew, order, startedAtMs);
  } finally {
    await crew.close();
  }
}

async function restoreWith(crew: UnpackCrew, order: RestoreOrder, startedAtMs: number): Promise<RestoreReport> {
  const { vault, paths, target, emit, signal } = order;
  emit({ kind: "progress", text: "reading the catalog" });
  const { seen, manifest, passedOver } = typeof order.archive === "object" ? { ...order.archive, passedOver: [] } : await vault.archive(order.archive);
  const { id, host } = seen.header;
  const identity = { vault: vault.trust.vault, host, archive: id, paths };
  const isBegun = RestoreJournal.isBegun(target, identity);
  const catalog = await vault.catalog(seen, manifest);
  const segments = catalog.segmentsFor(paths);
  await catalog.fetch(segments);
  signal.throwIfAborted();
  if (!isSmallPlan(segments)) crew.expectMuch();
  const isNew = prepareTarget(target, order.merge || isBegun, JOURNAL_FOLDER);
  const journal = RestoreJournal.open(target, identity);
  try {
    const { plan, objects } = await planRestore({ catalog, manifest, catalogDir: vault.cache.directory, segments, paths, leaveOut: order.machine?.leaveOut, journal, signal });
    if (!journal.isResumed && !order.merge) checkSpace(target, plan, emit);
    const source = vault.objects(seen);
    const cold = await findCold(vault.reachable, host, neededVolumes(plan, objects, journal.done), emit, signal);
    await thawBlocked(cold, host, order.thaw, emit, signal);
    avoidFrozen(source, cold);
    return await unpack({ crew, order, journal, plan, objects, seen: { id, host, passedOver }, source, startedAtMs });
  } catch (error) {
    if (error instanceof Resumable) throw error.again();
    // Nothing was written yet.
    if (!journal.isResumed) journal.discard();
    if (isNew) rmdirSync(target);
    throw error;
  }
}

/** The volumes of lists that are not done. */
export function neededVolumes(plan: RestorePlan, objects: ReadonlyMap<string, ListedObject>, done: ReadonlySet<string>): ListedObject[] {
  const ids = new Set(plan.lists.flatMap(({ volume, list }) => (volume === null || done.has(list) ? [] : [volume])));
  return [...ids].flatMap((id) => objects.get(id) ?? []);
}

/** Regions that have a volume readable come first. */
function avoidFrozen(source: ObjectSource, { regions, blocked }: ColdVolumes): void {
  const thawed = new Set(blocked.map(({ region, object }) => `${region.name} ${object.id}`));
  for (const { region, volumes } of regions) {
    for (const { object } of volumes) if (!thawed.has(`${region.name} ${object.id}`)) source.noteFrozen(region.name, object);
  }
}

type Unpacking = {
  crew: UnpackCrew;
  order: RestoreOrder;
  journal: RestoreJournal;
  plan: RestorePlan;
  objects: Map<string, ListedObject>;
  seen: { id: string; host: string; passedOver: string[] };
  source: ObjectSource;
  startedAtMs: number;
};

async function unpack(unpacking: Unpacking): Promise<RestoreReport> {
  const { crew, order, journal, plan, objects, seen, source } = unpacking;
  const { target, numericOwner, merge, machine, emit, signal, vault } = order;
  const setup = { target, archiveId: seen.id, planDir: journal.planDir, numericOwner, merge: merge || journal.isResumed, aside: machine?.aside, aclIds: machine?.aclIds };
  const onListDone = ({ object, list }: UnpackTask): void => {
    if (object !== null) journal.noteDone(list);
    const { bytes, files } = crew.totals;
    emit({ kind: "progress", text: `${formatSize(bytes)} of ${formatSize(plan.bytes)}`, work: { done: bytes, total: plan.bytes, bytes }, more: `${files} files written` });
  };
  const stop = (): void => crew.fail(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const lists = plan.lists.filter(({ volume, list }) => volume === null || !journal.done.has(list));
    const tasks = lists.map(({ volume, list }, number) => ({ number, list, object: volume === null ? null : (objects.get(volume) ?? null) }));
    await crew.run(tasks, { setup, source, identities: vault.identities, onListDone });
    emit({ kind: "progress", text: "links and directories" });
    journal.noteFinishing();
    await crew.finish(setup.merge);
    journal.end();
  } catch (error) {
    throw new Resumable(error);
  } finally {
    signal.removeEventListener("abort", stop);
  }
  crew.losses.merge(plan.losses);
  return reportOf(unpacking);
}

function reportOf({ crew, journal, plan, seen, source, startedAtMs }: Unpacking): RestoreReport {
  const lost = [...crew.totals.lost].toSorted();
  const notKept = crew.losses.list();
  const isComplete = lost.length === 0 && notKept.length === 0 && seen.passedOver.length === 0;
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
    passedOver: seen.passedOver,
    damaged: [...source.damaged],
    durationMs: Date.now() - startedAtMs,
    exitStatus: isComplete ? EXIT.done : EXIT.partial,
  };
}

/** What stopped a restore that had begun to write: running it again goes on with it. */
class Resumable extends Error {
  static {
    this.prototype.name = "Resumable";
  }

  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }

  again(): unknown {
    const { cause } = this;
    if (!(cause instanceof ColdkeepError)) return cause;
    const again = "Run the same command again: it goes on where it stopped.";
    return new ColdkeepError(cause.code, cause.message, { hint: cause.hint === undefined ? again : `${cause.hint} ${again}`, cause });
  }
}
