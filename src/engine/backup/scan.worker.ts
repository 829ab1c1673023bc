/** Thread of the scan: steps through what the walk finds in short slices, so that results, questions and orders get through between them. */
import { parentPort, type MessagePort } from "node:worker_threads";
import { Owners } from "../../disk/owners.ts";
import type { SegmentReference } from "../../format/catalog-root.ts";
import { OWN_DIRECTORY } from "../../format/own-directory.ts";
import { isWithin } from "../../format/entry-path.ts";
import { comparePaths } from "../../format/path-order.ts";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { toPortableError } from "../portable-error.ts";
import { CatalogLines } from "./catalog-lines.ts";
import { ContentBook } from "./content-book.ts";
import { DumpsUnderWay } from "./dumps-under-way.ts";
import type { MainToScan, PackResult, PackerToScan, ScanSetup, ScanToMain, SealRequest, WalkToScan } from "./messages.ts";
import type { CatalogLineText } from "./pending-file.ts";
import { PreviousCatalog } from "./previous-catalog.ts";
import { ScanLog } from "./scan-log.ts";
import { Scanner } from "./scanner.ts";
import { sealCatalog } from "./seal-catalog.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { asWalked } from "./sources.ts";
import { TaskDispatch } from "./task-dispatch.ts";
import { WalkFeed } from "./walk-feed.ts";

const SLICE_MS = 10;
const PROGRESS_MS = 200;

/** Segments of the previous archive that may be named again, by digest. */
function storedSegments({ previous, reusableCatalogs }: ScanSetup): Map<string, SegmentReference> {
  const usable = new Set(reusableCatalogs);
  for (const object of previous?.rewriteObjects ?? []) usable.delete(object);
  return new Map((previous?.segments ?? []).filter((s) => usable.has(s.object)).map((s) => [s.sha256, s]));
}

/** Segments of the previous archive in which the program's own entries may lie. */
function ownSegments(segments: readonly SegmentReference[]): SegmentReference[] {
  return segments.filter(({ first }, index) => {
    const next = segments[index + 1]?.first;
    const beginsBehind = !isWithin(first, OWN_DIRECTORY) && comparePaths(first, OWN_DIRECTORY) > 0;
    return !beginsBehind && (next === undefined || comparePaths(next, OWN_DIRECTORY) >= 0);
  });
}

class ScanThread {
  readonly #setup: ScanSetup;
  readonly #main: MessagePort;
  readonly #cache: CatalogCache;
  readonly #book: ContentBook;
  readonly #dispatch: TaskDispatch | null;
  readonly #log: ScanLog;
  readonly #lines: CatalogLines;
  readonly #walk: WalkFeed;
  readonly #scanner: Scanner;
  /** Null where none come. */
  readonly #dumps: DumpsUnderWay | null;
  #isScheduled = false;
  #isStopped = false;
  /** Whether the packers were told to hand out what they hold, and nothing has moved since. */
  #isFlushed = false;
  #isFinishing = false;
  #closedPackers = 0;
  #lastProgressMs = 0;

  constructor(setup: ScanSetup, main: MessagePort) {
    const sources = asWalked(setup.sources).map(({ path }) => path);
    this.#setup = setup;
    this.#main = main;
    this.#cache = new CatalogCache(setup.catalogDir);
    this.#book = new ContentBook(setup.stateDir, setup.filter, setup.reusableVolumes);
    this.#dispatch = setup.dryRun ? null : new TaskDispatch(setup.packerPorts, (packer) => this.#tell({ kind: "packing", packer }));
    this.#log = new ScanLog(sources, setup.usualSources ?? [], (problem) => this.#tell({ kind: "problem", problem }));
    const stored = storedSegments(setup);
    this.#lines = new CatalogLines(new SegmentWriter(this.#cache, stored), setup.hasDumps ? new SegmentWriter(this.#cache, stored) : null);
    this.#walk = new WalkFeed(setup.walkPort);
    this.#scanner = new Scanner({
      walk: this.#walk,
      previous: setup.previous === null ? null : new PreviousCatalog(setup.previous.segments, this.#cache),
      previousStartSeconds: setup.previous?.startedAtSeconds ?? 0,
      sources: setup.usualSources === null ? [] : sources,
      mustExist: setup.mustExist,
      owners: new Owners(),
      book: this.#book,
      dispatch: this.#dispatch,
      segments: this.#lines,
      log: this.#log,
    });
    this.#dumps = setup.hasDumps && this.#dispatch !== null ? this.#expectDumps(this.#dispatch) : null;
  }

  #expectDumps(dispatch: TaskDispatch): DumpsUnderWay {
    const write = (line: CatalogLineText): void => this.#lines.addOwn(line);
    const previous = this.#setup.previous === null ? null : new PreviousCatalog(ownSegments(this.#setup.previous.segments), this.#cache);
    return new DumpsUnderWay({ book: this.#book, dispatch, log: this.#log, previous, write });
  }

  start(): void {
    this.#setup.packerPorts.forEach((port, index) => {
      port.on("message", (message: PackerToScan) => this.#guarded(() => this.#fromPacker(index, message)));
      port.on("close", () => this.#guarded(() => this.#packerClosed()));
    });
    this.#main.on("message", (message: MainToScan) => this.#guarded(() => this.#fromMain(message)));
    this.#setup.walkPort.on("message", (message: WalkToScan) => this.#guarded(() => this.#fromWalk(message)));
    this.#schedule();
  }

  #tell(message: ScanToMain): void {
    this.#main.postMessage(message);
  }

  /** Errors end the run in the main thread. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#tell({ kind: "error", error: toPortableError(error) });
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#guarded(() => this.#advance()));
  }

  #advance(): void {
    this.#isScheduled = false;
    this.#scanner.step(performance.now() + SLICE_MS);
    this.#reportProgress();
    if (!this.#scanner.walkEnded && this.#scanner.waitsForWalk) this.#dispatch?.feedIdle();
    else if (!this.#scanner.walkEnded && !this.#scanner.mustWait) this.#schedule();
    else if (this.#dispatch === null) this.#scanned();
    else this.#wait(this.#dispatch);
  }

  /** The walk waits for packers, or is over: no task may lie in a batch that nobody fills any more. */
  #wait(dispatch: TaskDispatch): void {
    dispatch.closeBatch();
    if (dispatch.isIdle) this.#settle(dispatch);
  }

  /** Nothing is under way: ends the packers when all is there, else has them hand out what they still hold. */
  #settle(dispatch: TaskDispatch): void {
    const isDone = (this.#scanner.isComplete && this.#dumps?.isDone !== false) || this.#isStopped;
    if (isDone && !this.#isFinishing) {
      this.#isFinishing = true;
      if (dispatch.packersStarted > 0) dispatch.broadcast({ kind: "finish" });
      else this.#scanned();
    } else if (!isDone && !this.#isFlushed) {
      this.#isFlushed = true;
      dispatch.broadcast({ kind: "flush" });
    }
  }

  #packerClosed(): void {
    this.#closedPackers++;
    if (this.#isFinishing && this.#closedPackers === this.#dispatch?.packersStarted) this.#scanned();
  }

  #scanned(): void {
    this.#tell({ kind: "scanned", report: this.#log.report() });
  }

  #reportProgress(): void {
    const now = performance.now();
    if (now - this.#lastProgressMs < PROGRESS_MS) return;
    this.#lastProgressMs = now;
    this.#tell({ kind: "progress", counts: this.#log.counts, path: this.#log.lastPath });
  }

  #fromWalk(message: WalkToScan): void {
    this.#walk.take(message);
    this.#schedule();
  }

  #fromPacker(index: number, message: PackerToScan): void {
    switch (message.kind) {
      case "results":
        this.#takeResults(message.results);
        break;
      case "spent":
        return this.#main.postMessage(message satisfies ScanToMain);
      case "pieces":
        return this.#book.note(message.volume, Buffer.from(message.records.buffer, message.records.byteOffset, message.records.byteLength));
      case "ready":
        this.#dispatch?.ready(index);
        break;
      case "question":
        this.#dispatch?.answer(index, { kind: "answer", places: message.digests.map((sha256) => this.#book.find(sha256)) });
        return;
    }
    this.#isFlushed = false;
    this.#schedule();
  }

  #takeResults(results: readonly PackResult[]): void {
    for (const result of results) if (result.kind === "bytes") this.#dumps?.packed(result);
    this.#scanner.take(results.filter((result) => result.kind !== "bytes"));
  }

  #fromMain(message: MainToScan): void {
    switch (message.kind) {
      case "start":
        return;
      case "confirmed":
        return this.#book.confirm(message.volume);
      case "dump":
        this.#dumps?.take(message.message);
        return this.#schedule();
      case "stop":
        this.#isStopped = true;
        this.#scanner.stop();
        return this.#schedule();
      case "seal":
        return this.#seal(message);
      case "close":
        try {
          this.#book.close();
        } finally {
          for (const port of [this.#setup.walkPort, ...this.#setup.packerPorts]) port.close();
          this.#main.close();
        }
    }
  }

  #seal(request: SealRequest): void {
    if (!request.goesOn) this.#lines.seal();
    const { segments, entries } = this.#lines.finished();
    const sealed = sealCatalog(request, segments, { entries, problems: this.#log.problems }, this.#cache);
    const catalogs = new Set(segments.map((segment) => segment.object)).add(request.catalogId);
    const totals = { entries, sourceBytes: this.#log.counts.sourceBytes };
    this.#tell({
      kind: "sealed",
      catalog: { ...sealed, totals, path: request.spoolPath, volumes: [...new Set([...this.#scanner.volumes, ...(this.#dumps?.volumes ?? [])])], catalogs: [...catalogs], segments },
    });
  }
}

if (parentPort === null) throw new Error("scan.worker runs as a worker only");
const main = parentPort;
main.once("message", (message: MainToScan) => {
  if (message.kind !== "start") return;
  try {
    new ScanThread(message.setup, main).start();
  } catch (error) {
    main.postMessage({ kind: "error", error: toPortableError(error) } satisfies ScanToMain);
  }
});
