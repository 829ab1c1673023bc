/** One backup: from the walk to a manifest in every region that can take it. */
import { rmSync } from "node:fs";
import { CHAIN_NOTE, noteChainBegun } from "../../config/keys.ts";
import { stepAside } from "../../disk/priority.ts";
import { ColdkeepError, EXIT, messageOf, type ExitStatus } from "../../errors.ts";
import type { Problem, SegmentReference } from "../../format/catalog-root.ts";
import type { DataFact } from "../../format/data-facts.ts";
import { OWN_DIRECTORY } from "../../format/own-directory.ts";
import type { Profile } from "../../format/profile.ts";
import { archiveStatus } from "../../policy/copies.ts";
import { type Flag, judge, nextUsual } from "../../policy/safety.ts";
import { volumeTargetBytes } from "../../policy/sizing.ts";
import { stalledAfterMs } from "../../policy/stalled.ts";
import { HostLock } from "../../state/host-lock.ts";
import { type KnownObject, RunState } from "../../state/run-state.ts";
import { statePaths } from "../../state/state-paths.ts";
import { type HookOrder, withHooks } from "../../machine/hooks.ts";
import { type DataPlan, planData } from "../../machine/databases/plan.ts";
import { formatSize } from "../../units.ts";
import type { EngineEvent } from "../events.ts";
import type { HostSetup } from "../host-setup.ts";
import type { Manifest } from "../manifests.ts";
import { ownDirectories } from "../machine-profile.ts";
import { closeRegions, type Region } from "../region.ts";
import { knownObjects, objectsToRewrite } from "./base.ts";
import { CHECKPOINT_EVERY_MS, Checkpoints } from "./checkpoints.ts";
import { Crew, Scouts } from "./crew.ts";
import { FanOut } from "./fan-out.ts";
import { findGround, readSafeSetup, type BackupOrder, type Ground } from "./ground.ts";
import type { FinishedVolume, ScanCounts, ScanReport, SourceSpec } from "./messages.ts";
import { noteStored } from "./locks.ts";
import { ProfileTaker } from "./profile-taker.ts";
import { measureUse } from "./reclaim.ts";
import { fingerprintSet } from "./recipient-sets.ts";
import { describeStages, StageClock } from "./stage-times.ts";
import { takeDumps } from "./take-dumps.ts";
import { commit, makeManifest, runFacts, storeCatalog, type Sealing } from "./write-manifest.ts";

export type BackupReport = {
  /** Null for a dry run. */
  archive: string | null;
  status: "complete" | "partial";
  /** What is unusual about it. */
  flags: Flag[];
  counts: ScanCounts;
  bytesStored: number;
  /** What the archive needs in each region. */
  archiveBytes: number;
  regions: Record<string, "complete" | "behind">;
  /** Dumps in the archive; of a dry run, those that would be taken. */
  dumps: { path: string; name: string; bytes: number | null }[];
  problems: Problem[];
  problemsTotal: number;
  skippedMounts: ScanReport["skippedMounts"];
  notKept: ScanReport["notKept"];
  notKeptTotal: number;
  notes: ScanReport["notes"];
  /** Data that no source covers, as far as the machine's profile tells. */
  uncovered: Profile["uncovered"];
  receipt: string | null;
  durationMs: number;
  exitStatus: ExitStatus;
};

/** How long an interrupted run may take to store what is under way, and a checkpoint. */
const INTERRUPT_GRACE_MS = 10_000;

/** The configuration and keys go along in every archive, so that a rebuilt server can continue its chain. */
function sourcesOf({ loaded, keysDir }: HostSetup): SourceSpec[] {
  const own = [{ path: loaded.path, exclude: [] }, { path: keysDir, exclude: [CHAIN_NOTE] }];
  return [...loaded.config.sources, ...own];
}

function hasData({ sources, faults }: DataPlan): boolean {
  return sources.length > 0 || faults.length > 0;
}

/** What the walk starts with. The program's own entries come from no disk. */
function walkSetup(setup: HostSetup, { sources }: DataPlan): { sources: SourceSpec[]; excludedDirs: string[]; leftOut: string[] } {
  const settings = sources.flatMap((source) => source.settings.map((path) => ({ path, exclude: [] })));
  return { sources: [...sourcesOf(setup), ...settings], excludedDirs: [...ownDirectories(setup.loaded), OWN_DIRECTORY], leftOut: sources.flatMap(({ leftOut }) => leftOut) };
}

/** An order whose events are heard by the lock too: it tells the next run whether this one gets anywhere. */
type WatchedOrder = BackupOrder & { noteProgress(): void };

function watched(order: BackupOrder, lock: HostLock): WatchedOrder {
  return {
    ...order,
    noteProgress: () => lock.noteProgress(),
    emit: (event) => {
      if (event.kind === "progress") lock.noteProgress();
      order.emit(event);
    },
  };
}

/** `scouts` and `profile` began before the ground was found. */
type RunParts = { order: WatchedOrder; ground: Ground; scouts: Scouts; profile: ProfileTaker; data: DataPlan; clock: StageClock; startedAtMs: number };

/** The run itself, on its ground. */
class BackupRun {
  readonly #order: WatchedOrder;
  readonly #ground: Ground;
  readonly #startedAtMs: number;
  readonly #fanOut: FanOut;
  readonly #written = new Map<string, KnownObject>();
  /** Stops storing; the walk is stopped by the caller's signal. */
  readonly #storing = new AbortController();
  readonly #data: DataPlan;
  #databases: DataFact[] = [];

  /** While the walk goes on. */
  #checkpoints: Checkpoints | null = null;
  #committed: { id: string; segments: readonly SegmentReference[] } | undefined;
  readonly #scouts: Scouts;
  readonly #profile: ProfileTaker;
  readonly #clock: StageClock;

  constructor({ order, ground, scouts, profile, data, clock, startedAtMs }: RunParts) {
    this.#order = order;
    this.#scouts = scouts;
    this.#profile = profile;
    this.#clock = clock;
    this.#ground = ground;
    this.#data = data;
    this.#startedAtMs = startedAtMs;
    this.#fanOut = new FanOut(ground.setup.loaded.config.host, ground.reachable, order.emit, this.#storing.signal);
  }

  async run(): Promise<BackupReport> {
    const { signal, dryRun } = this.#order;
    const crew = this.#startCrew();
    let grace: NodeJS.Timeout | undefined;
    const interrupt = (): void => {
      crew.stop();
      grace = setTimeout(() => this.#storing.abort(signal.reason), INTERRUPT_GRACE_MS);
    };
    signal.addEventListener("abort", interrupt, { once: true });
    try {
      if (signal.aborted) interrupt();
      const report = await this.#walkAndStore(crew);
      this.#clock.end("walked, packed and stored");
      if (crew.packerTimes.length > 0) this.#order.emit({ kind: "detail", message: describeStages(crew.packerTimes) });
      if (signal.aborted && this.#written.size === 0) throw interrupted();
      if (dryRun) return await this.#report(report, this.#flagsOf(report), null, [], 0);
      const archive = await this.#conclude(crew, report);
      await crew.close();
      this.#clock.end("index saved");
      this.#measure();
      return archive;
    } catch (error) {
      this.#storing.abort(error);
      throw error;
    } finally {
      clearTimeout(grace);
      signal.removeEventListener("abort", interrupt);
      await crew.abandon();
    }
  }

  async #walkAndStore(crew: Crew): Promise<ScanReport> {
    const work = Promise.all([crew.finished(), this.#takeDumps(crew)]).then(([report]) => report);
    if (this.#order.dryRun) return work;
    const facts = { startedAt: new Date(this.#startedAtMs).toISOString() };
    this.#checkpoints = new Checkpoints(this.#order.checkpointEveryMs ?? CHECKPOINT_EVERY_MS, () => ({
      ...this.#sealing(crew),
      status: "unfinished",
      goesOn: true,
      flags: [],
      facts,
      profile: Promise.resolve(null),
      databases: [],
    }));
    return this.#checkpoints.during(work);
  }

  /** What the catalog and manifest of a checkpoint and of an archive have in common. */
  #sealing(crew: Crew): Pick<Sealing, "ground" | "crew" | "fanOut" | "written" | "startedAtMs" | "sources" | "emit" | "signal"> {
    const sources = sourcesOf(this.#ground.setup).map(({ path }) => path.toWellFormed());
    return { ground: this.#ground, crew, fanOut: this.#fanOut, written: this.#written, startedAtMs: this.#startedAtMs, sources, emit: this.#order.emit, signal: this.#storing.signal };
  }

  /** Takes the dumps beside the walk; an interrupted run, or a failed one, leaves out what is not whole. */
  async #takeDumps(crew: Crew): Promise<void> {
    const { dryRun, emit, signal } = this.#order;
    if (dryRun) for (const { label, error } of this.#data.faults) emit({ kind: "warning", message: `${label} could not be asked: ${messageOf(error)}` });
    if (dryRun || !hasData(this.#data)) return;
    this.#databases = await takeDumps({ plan: this.#data, port: crew.dumpPort, emit, signal: AbortSignal.any([signal, this.#storing.signal]) });
    this.#clock.end("databases dumped");
  }

  #startCrew(): Crew {
    const { setup, base, reusable, spoolDir, recipients, cache } = this.#ground;
    const { config } = setup.loaded;
    const isNewest = base !== null && base.manifest.header.writer === setup.keys.writer;
    const startedAtSeconds = base === null ? 0 : Math.floor(Date.parse(base.manifest.header.startedAt) / 1000);
    const rewriteObjects = objectsToRewrite(base?.segments ?? []);
    const previous = base === null ? null : { segments: base.segments, startedAtSeconds: isNewest ? startedAtSeconds : 0, rewriteObjects };
    return Crew.start({
      scan: {
        stateDir: config.state,
        catalogDir: cache.directory,
        sources: sourcesOf(setup),
        previous,
        mustExist: config.safety.mustExist,
        usualSources: this.#order.acceptChanges ? null : (base?.usual?.sources ?? []),
        reusableVolumes: reusable.volumes,
        reusableCatalogs: reusable.catalogs,
        dryRun: this.#order.dryRun,
        hasDumps: hasData(this.#data),
      },
      recipients: recipients.volume,
      packer: { recipientSet: 0, compressionLevel: config.compressionLevel, spoolDir },
      memoryBytes: config.memoryBytes,
      readers: config.readers,
      nextTargetBytes: () => volumeTargetBytes(config.volumeSizeBytes, (base?.manifest.objects.length ?? 0) + this.#written.size),
      store: (volume, confirmed) => this.#store(volume, confirmed),
      onScan: (message) => {
        if (message.kind === "progress") this.#order.emit(progressOf(message.counts, base?.manifest.header.totals.sourceBytes ?? null));
        else this.#order.emit({ kind: "warning", message: `${message.problem.path}: ${message.problem.message} (${message.problem.code})` });
      },
    }, this.#scouts);
  }

  async #store(volume: FinishedVolume, confirmed: () => void): Promise<void> {
    const { object, body } = volume;
    const known = { ...object, recipients: fingerprintSet(this.#ground.recipients.volume) };
    this.#written.set(object.id, known);
    let isFirst = true;
    const bytes = "buffer" in body ? Buffer.from(body.buffer, 0, body.length) : { path: body.path, sizeBytes: object.sizeBytes };
    await this.#fanOut.put(object, bytes, (region) => {
      noteStored(this.#ground.state, region, object.id);
      this.#order.noteProgress();
      if (!isFirst) return;
      isFirst = false;
      this.#ground.state.noteObjects([known]);
      confirmed();
    });
    this.#checkpoints?.noteStored(object.id);
    if ("path" in body) rmSync(body.path, { force: true });
  }

  async #conclude(crew: Crew, report: ScanReport): Promise<BackupReport> {
    const isInterrupted = this.#order.signal.aborted;
    const flags = isInterrupted ? [] : this.#flagsOf(report);
    const usual = nextUsual(this.#ground.base?.usual ?? null, report.counts, report.sources, flags, this.#order.acceptChanges);
    const whole = report.problemsTotal === 0 ? "complete" : "partial";
    const sealing: Sealing = {
      ...this.#sealing(crew),
      status: isInterrupted ? "unfinished" : whole,
      goesOn: false,
      flags,
      facts: runFacts(this.#startedAtMs, report, flags, usual),
      profile: this.#profile.taken(),
      databases: this.#databases,
    };
    const stored = await storeCatalog(sealing);
    const manifest = makeManifest(sealing, stored);
    this.#clock.end("catalog stored");
    const complete = await commit(sealing, manifest);
    this.#clock.end("looked up and committed");
    if (isInterrupted) throw interrupted(complete.length > 0 ? manifest.header.id : undefined);
    if (complete.length === 0) throw new ColdkeepError("E_REGION", `archive ${manifest.header.id} could not be committed in any region`, { hint: "What was stored before is intact; run again when a region answers." });
    noteChainBegun(this.#ground.setup.keysDir, manifest.header.id);
    this.#ground.state.noteLatest({ id: manifest.header.id, sha256: manifest.sha256, sequence: manifest.header.sequence });
    this.#ground.state.clearIntent();
    this.#ground.state.noteObjects(knownObjects(manifest));
    this.#ground.cache.retain(new Set(stored.catalog.segments.map((segment) => segment.sha256)));
    this.#committed = { id: manifest.header.id, segments: stored.catalog.segments };
    return this.#report(report, flags, manifest, complete, manifest.header.totals.addedBytes);
  }

  /** What the next runs go by; the archive stands without it. */
  #measure(): void {
    const { setup: { loaded: { config } }, state, cache } = this.#ground;
    if (this.#committed === undefined || (config.retention?.reclaimBytes ?? null) === null) return;
    try {
      measureUse(state, config.state, { ...this.#committed, cache }, Date.now());
      this.#clock.end("use of volumes measured");
    } catch (error) {
      this.#order.emit({ kind: "warning", message: `space is not reclaimed for now: ${messageOf(error)}` });
    }
  }

  #flagsOf({ counts }: ScanReport): Flag[] {
    const { setup, base } = this.#ground;
    if (this.#order.acceptChanges) return [];
    return judge(counts, setup.loaded.config.safety, base === null ? null : { entries: base.manifest.header.totals.entries, usual: base.usual });
  }

  #dumps(): BackupReport["dumps"] {
    const planned = this.#data.sources.flatMap(({ dumps }) => dumps.map(({ path, name }) => ({ path, name, bytes: null })));
    return this.#order.dryRun ? planned : this.#databases.flatMap(({ dumps }) => dumps.map(({ path, name, bytes }) => ({ path, name, bytes })));
  }

  async #report(report: ScanReport, flags: Flag[], manifest: Manifest | null, complete: readonly Region[], bytesStored: number): Promise<BackupReport> {
    const { config } = this.#ground.setup.loaded;
    const isComplete = report.problemsTotal === 0;
    const sourceStatus = isComplete ? EXIT.done : EXIT.partial;
    const names = new Set(complete.map(({ name }) => name));
    return {
      archive: manifest?.header.id ?? null,
      status: isComplete ? "complete" : "partial",
      flags,
      counts: report.counts,
      bytesStored,
      archiveBytes: manifest?.header.totals.storedBytes ?? 0,
      regions: Object.fromEntries(config.regions.map(({ name }) => [name, names.has(name) ? "complete" : "behind"])),
      dumps: this.#dumps(),
      problems: report.problems,
      problemsTotal: report.problemsTotal,
      skippedMounts: report.skippedMounts,
      notKept: report.notKept,
      notKeptTotal: report.notKeptTotal,
      notes: report.notes,
      uncovered: (await this.#profile.taken())?.uncovered ?? [],
      receipt: manifest === null ? null : `${config.host} ${manifest.header.id} ${manifest.header.sequence} ${manifest.sha256}`,
      durationMs: Date.now() - this.#startedAtMs,
      exitStatus: exitStatusOf(manifest === null ? sourceStatus : archiveStatus(complete.length, config.regions.length, config.copies, isComplete), flags),
    };
  }
}

/** A flag shows in the exit status only where nothing worse does. */
function exitStatusOf(status: ExitStatus, flags: readonly Flag[]): ExitStatus {
  return status === EXIT.done && flags.length > 0 ? EXIT.threshold : status;
}

/** What the archive before came to is the best guess at what this one will. */
function progressOf(counts: ScanCounts, usualBytes: number | null): EngineEvent {
  const { sourceBytes, bytesRead, entries } = counts;
  const whole = usualBytes === null || sourceBytes > usualBytes ? "" : ` of about ${formatSize(usualBytes)}`;
  const changed = counts.filesNew + counts.filesChanged;
  const more = `${entries} entries, ${changed} new or changed, ${formatSize(bytesRead)} read, ${formatSize(counts.bytesPacked)} packed`;
  return { kind: "progress", text: `${formatSize(sourceBytes)}${whole}`, work: { done: sourceBytes, total: usualBytes, bytes: bytesRead }, more };
}

function interrupted(checkpoint?: string): ColdkeepError {
  const kept = checkpoint === undefined ? "no checkpoint was written" : `checkpoint ${checkpoint} keeps what was stored`;
  return new ColdkeepError("E_INTERRUPTED", `interrupted; ${kept}`, { hint: "Run again: content already stored is not sent again." });
}

/** The run and all it stands on, once this host is its own. */
async function runLocked(order: WatchedOrder, setup: HostSetup, startedAtMs: number): Promise<BackupReport> {
  const { config } = setup.loaded;
  const { spool } = statePaths(config.state);
  let state: RunState | undefined;
  let ground: Ground | undefined;
  const profile = new ProfileTaker(setup.loaded, order.emit);
  let scouts: Scouts | undefined;
  const clock = new StageClock(order.emit);
  try {
    const data = await planData(config, spool, order.signal);
    if (hasData(data)) clock.end("asked the databases");
    scouts = new Scouts(walkSetup(setup, data));
    state = new RunState(config.state);
    ground = await findGround(order, setup, state);
    clock.end("looked at the regions");
    return await new BackupRun({ order, ground, scouts, profile, data, clock, startedAtMs }).run();
  } finally {
    await Promise.all([scouts?.terminate(), profile.end()]);
    state?.close();
    if (ground !== undefined) closeRegions(ground.regions);
    rmSync(spool, { recursive: true, force: true });
  }
}

function hooksOf({ loaded: { config }, dryRun, emit, signal }: BackupOrder): HookOrder {
  return { hooks: dryRun ? [] : config.hooks, moment: "backup", facts: { COLDKEEP_HOST: config.host }, warn: (message) => emit({ kind: "warning", message }), signal };
}

/**
 * Makes one archive (or with `dryRun` none), with the hooks around it. Throws E_LOCKED when another run holds the host (E_STALLED
 * when that one hangs), E_REFUSED, E_CLONE, E_SIGNER before anything is written, E_REGION when no region could take it, E_DISK for
 * a hook or a dump that failed and must not, E_INTERRUPTED when the signal was given.
 */
export async function runBackup(given: BackupOrder): Promise<BackupReport> {
  const startedAtMs = Date.now();
  if (given.inBackground) stepAside();
  const { state: stateDir, regions: configured } = given.loaded.config;
  const setup = await readSafeSetup(given);
  const lock = HostLock.take(stateDir, stalledAfterMs(configured.map(({ retryMs }) => retryMs)));
  try {
    return await withHooks(
      hooksOf(given),
      () => runLocked(watched(given, lock), setup, startedAtMs),
      ({ archive, status }) => ({ COLDKEEP_OUTCOME: status === "complete" ? "done" : "partial", COLDKEEP_ARCHIVE: archive ?? "" }),
    );
  } finally {
    lock.release();
  }
}
