/** Hands tasks to packers in batches, so that neighbouring files end up near each other and no packer starves. */
import type { MessagePort } from "node:worker_threads";
import { MIB } from "../../units.ts";
import type { BytesTask, FileTask, PackTask, ScanToPacker } from "./messages.ts";

const BATCH_FILES = 256;
const BATCH_BYTES = 4 * MIB;
/** Batches given to a packer before it is done with the first. */
const BATCHES_AHEAD = 2;
/** Batches that wait before one more packer is worth its start, which takes as long as packing a few hundred small files. */
const BATCHES_A_START = 4;

/** The spans of one file, and the task that comes next. `left` counts that one too. */
type Feed = { number: number; tasks: Iterator<PackTask>; next: PackTask; left: number };

type PackerLine = { port: MessagePort; outstanding: number; isStarted: boolean };

export class TaskDispatch {
  readonly #packers: PackerLine[];
  readonly #start: (index: number) => void;
  #batch: PackTask[] = [];
  #batchBytes = 0;
  /** Batches, and files in spans whose tasks are made when their turn comes. */
  #queue: (PackTask[] | Feed)[] = [];
  /** Spans of dumps, before all else: a database waits for them, and has few. */
  #urgent: BytesTask[] = [];

  /** `start` is called for each packer when there is work for it: most nights have none, and many have enough for one. */
  constructor(ports: readonly MessagePort[], start: (index: number) => void) {
    this.#start = start;
    this.#packers = ports.map((port) => ({ port, outstanding: 0, isStarted: false }));
  }

  /** How many packers have been started. */
  get packersStarted(): number {
    return this.#packers.filter(({ isStarted }) => isStarted).length;
  }

  /** Whether more tasks would only pile up. */
  get isFull(): boolean {
    return this.#queue.length >= Math.max(this.#packers.length, BATCHES_A_START);
  }

  /** Whether every task handed over has been worked off. */
  get isIdle(): boolean {
    return this.#waiting === 0 && this.#batch.length === 0 && this.#packers.every((packer) => packer.outstanding === 0);
  }

  get #waiting(): number {
    return this.#queue.length + this.#urgent.length;
  }

  /** Batches that wait; each span of a large file is one. */
  get #waitingBatches(): number {
    return this.#urgent.length + this.#queue.reduce((sum, work) => sum + (Array.isArray(work) ? 1 : work.left), 0);
  }

  /** Adds a span of a dump, ahead of all files. */
  addUrgent(task: BytesTask): void {
    this.#urgent.push(task);
    this.#send();
  }

  add(task: FileTask): void {
    this.#batch.push(task);
    this.#batchBytes += task.size;
    if (this.#batch.length >= BATCH_FILES || this.#batchBytes >= BATCH_BYTES) this.closeBatch();
  }

  /** Adds the tasks of a file in `count` spans, in order, behind what was added before. */
  feed(number: number, tasks: Iterator<PackTask>, count: number): void {
    this.closeBatch();
    const first = tasks.next();
    if (first.done !== true) this.#enqueue({ number, tasks, next: first.value, left: count });
  }

  /** Sends off the tasks gathered so far. */
  closeBatch(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#enqueue(batch);
  }

  /** Sends off what there is when no packer has anything to do. */
  feedIdle(): void {
    if (this.#waiting === 0 && this.#packers.every((packer) => packer.outstanding === 0)) this.closeBatch();
  }

  #enqueue(work: PackTask[] | Feed): void {
    this.#queue.push(work);
    this.#send();
  }

  /** A packer has worked off a batch. */
  ready(index: number): void {
    const packer = this.#packers[index];
    if (packer !== undefined) packer.outstanding--;
    this.#send();
  }

  /** Drops what was not handed over yet; returns the numbers of the files that miss something now. */
  abandon(): number[] {
    const dropped = [...this.#queue, this.#batch].flatMap((work) => (Array.isArray(work) ? work.map(({ number }) => number) : [work.number]));
    this.#queue = [];
    this.#urgent = [];
    this.#batch = [];
    this.#batchBytes = 0;
    return dropped;
  }

  broadcast(message: ScanToPacker): void {
    for (const { port, isStarted } of this.#packers) if (isStarted) port.postMessage(message);
  }

  answer(index: number, message: ScanToPacker): void {
    this.#packers[index]?.port.postMessage(message);
  }

  #send(): void {
    for (;;) {
      const packer = this.#hungriest();
      const batch = packer && this.#nextBatch();
      if (packer === undefined || batch === undefined) return;
      packer.outstanding++;
      packer.port.postMessage({ kind: "tasks", tasks: batch } satisfies ScanToPacker);
    }
  }

  /** The packer with the least to do, or one started for what waits; undefined while all have enough. */
  #hungriest(): PackerLine | undefined {
    const started = this.#packers.filter(({ isStarted }) => isStarted);
    const least = started.toSorted((a, b) => a.outstanding - b.outstanding)[0];
    if (least !== undefined && least.outstanding < BATCHES_AHEAD) return least;
    const next = this.#packers.find(({ isStarted }) => !isStarted);
    if (next === undefined || this.#waitingBatches < (least === undefined || this.#urgent.length > 0 ? 1 : BATCHES_A_START)) return undefined;
    next.isStarted = true;
    this.#start(this.#packers.indexOf(next));
    return next;
  }

  #nextBatch(): PackTask[] | undefined {
    const urgent = this.#urgent.shift();
    if (urgent !== undefined) return [urgent];
    const [work] = this.#queue;
    if (work === undefined) return undefined;
    if (Array.isArray(work)) {
      this.#queue.shift();
      return work;
    }
    const batch = [work.next];
    const following = work.tasks.next();
    work.left--;
    if (following.done === true) this.#queue.shift();
    else work.next = following.value;
    return batch;
  }
}
