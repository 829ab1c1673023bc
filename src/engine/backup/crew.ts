/** The threads of a run, and the bytes in flight between them and the regions. */
import { availableParallelism } from "node:os";
import { MessageChannel, type MessagePort, type Worker } from "node:worker_threads";
import { HeaderSealer } from "../../codec/age-header.ts";
import { ContentFilter } from "../../state/content-filter.ts";
import { fromPortableError } from "../portable-error.ts";
import { keepHeapsSmall, startWorker, YOUNG_MIB_QUEUES } from "../start-worker.ts";
import type {
  FinishedVolume,
  MainToPacker,
  MainToScan,
  PackerSetup,
  PackerToMain,
  ScanReport,
  ScanSetup,
  ScanToMain,
  SealedCatalog,
  SealRequest,
  WalkSetup,
} from "./messages.ts";
import { ReadingTurns } from "./reading-turns.ts";
import { DUMP_SPAN_BYTES } from "./dumps-under-way.ts";
import type { DumpPort } from "./take-dumps.ts";
import type { StageTimes } from "./stage-times.ts";
import { volumeBufferBytes } from "./volume-writer.ts";

/** Volumes above this go through a file instead of memory. */
const SPOOL_ABOVE_BYTES = 64 * 1024 * 1024;
const PACKERS_MAX = 8;
/** Spans of dumps that may be in memory at once: one is filled while two are packed. */
const DUMP_BUFFERS = 3;

export type CrewPlan = {
  scan: Omit<ScanSetup, "walkPort" | "packerPorts" | "filter">;
  packer: Omit<PackerSetup, "scanPort" | "filter" | "readingTurns">;
  /** Null: by the number of cores. */
  memoryBytes: number | null;
  /** Of the volumes. */
  recipients: string[];
  /** How many packers read at once; null: all of them. */
  readers: number | null;
  /** Target size of the next volume, bytes. */
  nextTargetBytes(): number;
  /** Stores a volume everywhere; resolves when its bytes are no longer needed. */
  store(volume: FinishedVolume, confirmed: () => void): Promise<void>;
  onScan(message: Extract<ScanToMain, { kind: "progress" | "problem" }>): void;
};

/** Volumes that may be in memory at once, being made or on their way to the regions: by default three for every two cores. */
function buffersFor(memoryBytes: number | null, volumeBytes: number): number {
  if (memoryBytes === null) return Math.max(3, Math.ceil(1.5 * Math.min(availableParallelism(), PACKERS_MAX)));
  return Math.max(2, Math.floor(memoryBytes / volumeBufferBytes(volumeBytes)));
}

/** One a core, as long as a volume can be on its way while each of them makes another. */
function packerCount(memoryBytes: number | null, volumeBytes: number): number {
  const affordable = volumeBytes > SPOOL_ABOVE_BYTES ? PACKERS_MAX : buffersFor(memoryBytes, volumeBytes) - 1;
  return Math.min(availableParallelism(), affordable, PACKERS_MAX);
}

/** The threads that need no packers: the walk, and the scan of what it finds. */
export class Scouts {
  readonly walk: Worker;
  readonly scan: Worker;
  /** Where the scan hears from the walk. */
  readonly walkPort: MessagePort;

  /** The walk goes ahead, and the scan loads its modules, while the run still looks at the regions. */
  constructor(setup: Omit<WalkSetup, "scanPort">) {
    const { port1, port2 } = new MessageChannel();
    this.walkPort = port1;
    this.walk = startWorker(new URL("./walk.worker.ts", import.meta.url), { ...setup, scanPort: port2 } satisfies WalkSetup, [port2], YOUNG_MIB_QUEUES);
    this.scan = startWorker(new URL("./scan.worker.ts", import.meta.url), null, [], YOUNG_MIB_QUEUES);
  }

  /** Ends both where they are. */
  async terminate(): Promise<void> {
    await Promise.all([this.walk.terminate(), this.scan.terminate()]);
  }
}

export class Crew {
  readonly #plan: CrewPlan;
  readonly #scouts: Scouts;
  readonly #packers: Worker[] = [];
  /** Called when the scan finds work for one more packer. */
  readonly #startNext: (index: number) => void;
  readonly #sealer: Promise<HeaderSealer>;
  readonly #failure = Promise.withResolvers<never>();
  readonly #scanned = Promise.withResolvers<ScanReport>();
  readonly #packed = Promise.withResolvers<void>();
  readonly #packerTimes: StageTimes[] = [];
  #sealed = Promise.withResolvers<SealedCatalog>();
  readonly #storing = new Set<Promise<void>>();
  readonly #wanting: Worker[] = [];
  readonly #free: SharedArrayBuffer[] = [];
  #buffersOut = 0;
  #spoolsOut = 0;
  readonly #dumpBuffers: SharedArrayBuffer[] = [];
  #dumpBuffersMade = 0;
  /** Who waits for a buffer: there is one dump at a time. */
  #dumpWaits: ((buffer: SharedArrayBuffer) => void) | null = null;
  #isOver = false;

  private constructor(plan: CrewPlan, scouts: Scouts) {
    this.#plan = plan;
    this.#failure.promise.catch(() => undefined);
    this.#sealer = HeaderSealer.create(plan.recipients);
    this.#sealer.catch((error: unknown) => this.#failure.reject(error));
    const filter = new ContentFilter().memory;
    const count = plan.scan.dryRun ? 0 : packerCount(plan.memoryBytes, plan.nextTargetBytes());
    const channels = Array.from({ length: count }, () => new MessageChannel());
    const packerPorts = channels.map((channel) => channel.port1);
    const { scan, walk, walkPort } = scouts;
    const setup: ScanSetup = { ...plan.scan, filter, walkPort, packerPorts };
    this.#scouts = scouts;
    this.#watch(walk);
    this.#watch(scan);
    scan.on("message", (message: ScanToMain) => this.#fromScan(message));
    scan.postMessage({ kind: "start", setup } satisfies MainToScan, [walkPort, ...packerPorts]);
    const readingTurns = plan.readers === null || plan.readers >= count ? null : ReadingTurns.of(plan.readers).memory;
    this.#startNext = (index) => {
      const scanPort = channels[index]?.port2;
      if (scanPort !== undefined) this.#startPacker({ ...plan.packer, filter, readingTurns, scanPort });
    };
  }

  #startPacker(setup: PackerSetup): void {
    const packer = startWorker(new URL("./pack.worker.ts", import.meta.url), setup, [setup.scanPort]);
    // Much is to be packed: volumes and their buffers need the memory.
    if (this.#packers.push(packer) === 2) keepHeapsSmall();
    this.#watch(packer);
    packer.on("message", (message: PackerToMain) => this.#fromPacker(packer, message));
  }

  /** Sets the scan to work. */
  static start(plan: CrewPlan, scouts: Scouts): Crew {
    return new Crew(plan, scouts);
  }

  /** Time by stage of each packer, once `finished`; none where nothing was packed. */
  get packerTimes(): readonly StageTimes[] {
    return this.#packerTimes;
  }

  /** The scan is over and every volume is stored, or the first failure. */
  async finished(): Promise<ScanReport> {
    const report = await Promise.race([this.#scanned.promise, this.#failure.promise]);
    if (this.#packers.length > 0) await Promise.race([this.#packed.promise, this.#failure.promise]);
    await Promise.race([Promise.all(this.#storing), this.#failure.promise]);
    return report;
  }

  /** Ends the walk early. */
  stop(): void {
    this.#toScan({ kind: "stop" });
  }

  /** The way of dumps to the packers. */
  get dumpPort(): DumpPort {
    return {
      send: (message) => this.#scouts.scan.postMessage({ kind: "dump", message } satisfies MainToScan),
      buffer: (signal) => this.#dumpBuffer(signal),
      giveBack: (buffer) => this.#takeBack(buffer),
    };
  }

  #dumpBuffer(signal: AbortSignal): Promise<SharedArrayBuffer> {
    const free = this.#dumpBuffers.pop();
    if (free !== undefined) return Promise.resolve(free);
    if (this.#dumpBuffersMade++ < DUMP_BUFFERS) return Promise.resolve(new SharedArrayBuffer(DUMP_SPAN_BYTES));
    const given = Promise.withResolvers<SharedArrayBuffer>();
    this.#dumpWaits = given.resolve;
    const stop = (): void => given.reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    return Promise.race([given.promise, this.#failure.promise]).finally(() => signal.removeEventListener("abort", stop));
  }

  #takeBack(buffer: SharedArrayBuffer): void {
    const waits = this.#dumpWaits;
    this.#dumpWaits = null;
    if (waits === null) this.#dumpBuffers.push(buffer);
    else waits(buffer);
  }

  async seal(request: SealRequest): Promise<SealedCatalog> {
    this.#sealed = Promise.withResolvers();
    this.#toScan(request);
    return Promise.race([this.#sealed.promise, this.#failure.promise]);
  }

  /** Lets the scan save its index, then ends all threads. */
  async close(): Promise<void> {
    this.#isOver = true;
    const ended = new Promise<void>((resolve) => this.#scouts.scan.once("exit", () => resolve()));
    this.#toScan({ kind: "close" });
    await ended;
    await this.abandon();
  }

  /** Ends all threads where they are. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await Promise.all([this.#scouts, ...this.#packers].map((thread) => thread.terminate()));
  }

  #toScan(message: MainToScan): void {
    this.#scouts.scan.postMessage(message);
  }

  #watch(worker: Worker): void {
    worker.on("error", (error) => this.#failure.reject(error));
    worker.on("exit", (code) => {
      if (code !== 0 && !this.#isOver) this.#failure.reject(new Error(`a worker ended with status ${code}`));
    });
  }

  #fromScan(message: ScanToMain): void {
    switch (message.kind) {
      case "progress":
      case "problem":
        return this.#plan.onScan(message);
      case "spent":
        return this.#takeBack(message.buffer);
      case "packing":
        return this.#startNext(message.packer);
      case "scanned":
        return this.#scanned.resolve(message.report);
      case "sealed":
        return this.#sealed.resolve(message.catalog);
      case "error":
        return this.#failure.reject(fromPortableError(message.error));
    }
  }

  #fromPacker(packer: Worker, message: PackerToMain): void {
    switch (message.kind) {
      case "want":
        this.#wanting.push(packer);
        return this.#grant();
      case "volume":
        return this.#storeVolume(message.volume);
      case "finished":
        if (this.#packerTimes.push(message.times) === this.#packers.length) this.#packed.resolve();
        return;
      case "error":
        return this.#failure.reject(fromPortableError(message.error));
    }
  }

  /** Gives out buffers while the bytes in flight allow; packers wait for the rest. */
  #grant(): void {
    while (this.#wanting.length > 0) {
      const targetBytes = this.#plan.nextTargetBytes();
      const buffer = targetBytes > SPOOL_ABOVE_BYTES ? null : this.#takeBuffer(targetBytes);
      if (buffer === undefined || (buffer === null && this.#spoolsOut > this.#packers.length)) return;
      if (buffer === null) this.#spoolsOut++;
      const packer = this.#wanting.shift();
      if (packer !== undefined) void this.#go(packer, targetBytes, buffer);
    }
  }

  async #go(packer: Worker, targetBytes: number, buffer: SharedArrayBuffer | null): Promise<void> {
    try {
      const sealed = await (await this.#sealer).seal();
      packer.postMessage({ kind: "go", targetBytes, buffer, sealed } satisfies MainToPacker);
    } catch (error) {
      this.#failure.reject(error);
    }
  }

  #takeBuffer(targetBytes: number): SharedArrayBuffer | undefined {
    if (this.#buffersOut >= buffersFor(this.#plan.memoryBytes, targetBytes)) return undefined;
    this.#buffersOut++;
    const bytes = volumeBufferBytes(targetBytes);
    const free = this.#free.pop();
    return free !== undefined && free.byteLength >= bytes ? free : new SharedArrayBuffer(bytes);
  }

  #storeVolume(volume: FinishedVolume): void {
    const confirmed = (): void => this.#toScan({ kind: "confirmed", volume: volume.object.id });
    const storing = this.#plan
      .store(volume, confirmed)
      .then(() => this.#release(volume), (error: unknown) => this.#failure.reject(error))
      .finally(() => this.#storing.delete(storing));
    this.#storing.add(storing);
  }

  #release(volume: FinishedVolume): void {
    if ("buffer" in volume.body) {
      this.#buffersOut--;
      this.#free.push(volume.body.buffer);
    } else this.#spoolsOut--;
    this.#grant();
  }
}
