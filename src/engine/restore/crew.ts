/** The unpack workers of a restore, and what they are sent. */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { HeaderOpener } from "../../codec/age-header.ts";
import type { Loss } from "../../disk/losses.ts";
import { Losses } from "../../disk/losses.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { ObjectSource } from "../object-source.ts";
import { fromPortableError, toPortableError } from "../portable-error.ts";
import { startWorker } from "../start-worker.ts";
import type { ByteRange, MainToUnpack, StopFlag, UnpackSetup, UnpackToMain } from "./messages.ts";
import { newRange, type Range, RangeFetcher } from "./range-fetcher.ts";

const WORKERS_MAX = 8;
/** Jobs a worker holds at once, so that one is written while another is fetched. */
const JOBS_PER_WORKER = 3;
/** How long a worker may take to write what it has begun: whole, as it has its final name already. */
const STOP_MS = 3000;

export type UnpackTask = { number: number; object: ListedObject | null; list: string };
export type CrewOrder = {
  setup: UnpackSetup;
  source: ObjectSource;
  /** What opens the volumes. */
  identities: readonly string[];
  /** Told of each task of which nothing was lost; what it throws ends the restore. */
  onListDone(task: UnpackTask): void;
};
type Thread = { worker: Worker; ended: Promise<void>; jobs: number; finished: PromiseWithResolvers<{ lost: string[]; losses: Loss[] }> };
type Job = { task: UnpackTask; thread: Thread; ranges: Range[] };

export type UnpackTotals = { bytes: number; files: number; lost: Set<string> };

export class UnpackCrew {
  readonly totals: UnpackTotals = { bytes: 0, files: 0, lost: new Set() };
  readonly losses = new Losses();
  readonly #threads: Thread[] = [];
  readonly #failure = Promise.withResolvers<never>();
  readonly #idle = Promise.withResolvers<void>();
  #order: CrewOrder | undefined;
  #opener: Promise<HeaderOpener> | undefined;
  #fetcher: RangeFetcher | undefined;
  #waiting: UnpackTask[] = [];
  readonly #stopFlag: StopFlag = new Int32Array(new SharedArrayBuffer(4));
  readonly #jobs = new Map<number, Job>();
  /** Which job a range belongs to, and as what number. */
  readonly #owners = new Map<Range, { job: Job; index: number }>();
  #isOver = false;

  /** Starts a first thread at once: it loads its code while the catalog is read. */
  constructor() {
    this.#failure.promise.catch(() => undefined);
    this.#startThread();
  }

  /** Much work is coming: the other threads load their code while it is planned. */
  expectMuch(): void {
    this.#growTo(Math.min(availableParallelism(), WORKERS_MAX));
  }

  #growTo(count: number): void {
    while (this.#threads.length < count) this.#startThread();
  }

  #startThread(): void {
    const worker = startWorker(new URL("./unpack.worker.ts", import.meta.url), this.#stopFlag);
    const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
    const thread: Thread = { worker, ended, jobs: 0, finished: Promise.withResolvers() };
    worker.on("message", (message: UnpackToMain) => this.#take(thread, message));
    worker.on("error", (error) => this.#failure.reject(error));
    worker.on("exit", (code) => {
      if (code !== 0 && !this.#isOver) this.#failure.reject(new Error(`a worker ended with status ${code}`));
    });
    this.#threads.push(thread);
  }

  /** Works off all tasks, in as many threads as there are processors and work for. */
  async run(tasks: readonly UnpackTask[], order: CrewOrder): Promise<void> {
    this.#order = order;
    this.#fetcher = new RangeFetcher(order.source, {
      arrived: (range, room, region) => this.#arrived(range, room, region),
      unavailable: (range) => this.#unavailable(range),
      failed: (error) => this.#failure.reject(error),
    });
    this.#growTo(Math.min(availableParallelism(), WORKERS_MAX, tasks.length));
    for (const thread of this.#threads) this.#send(thread, { kind: "setup", setup: order.setup });
    this.#waiting = tasks.toReversed();
    this.#dispatch();
    await Promise.race([this.#idle.promise, this.#failure.promise]);
  }

  /** The end of the restore, in one thread, after all others have closed what they hold. */
  async finish(clean: boolean): Promise<void> {
    const [first, ...others] = this.#threads;
    for (const thread of others) this.#send(thread, { kind: "close" });
    for (const thread of others) this.#account(await this.#ended(thread));
    if (first === undefined) return;
    this.#send(first, { kind: "finish", lost: [...this.totals.lost], clean });
    this.#account(await this.#ended(first));
  }

  #ended(thread: Thread): Promise<{ lost: string[]; losses: Loss[] }> {
    return Promise.race([thread.finished.promise, this.#failure.promise]);
  }

  #account({ lost, losses }: { lost: string[]; losses: Loss[] }): void {
    for (const path of lost) this.totals.lost.add(path);
    this.losses.merge(losses);
  }

  fail(error: unknown): void {
    this.#failure.reject(error);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    this.#fetcher?.close();
    Atomics.store(this.#stopFlag, 0, 1);
    await Promise.all(this.#threads.map((thread) => this.#stop(thread)));
  }

  async #stop(thread: Thread): Promise<void> {
    const timer = setTimeout(() => void thread.worker.terminate(), STOP_MS);
    this.#send(thread, { kind: "stop" });
    await thread.ended;
    clearTimeout(timer);
  }

  #send(thread: Thread, message: MainToUnpack): void {
    thread.worker.postMessage(message);
  }

  #dispatch(): void {
    for (;;) {
      const thread = this.#threads.reduce((least, next) => (next.jobs < least.jobs ? next : least));
      if (thread.jobs >= JOBS_PER_WORKER) return;
      const task = this.#waiting.pop();
      if (task === undefined) break;
      thread.jobs++;
      this.#jobs.set(task.number, { task, thread, ranges: [] });
      this.#send(thread, { kind: "job", job: task.number, object: task.object, list: task.list });
    }
    if (this.#jobs.size === 0) this.#idle.resolve();
  }

  #take(thread: Thread, message: UnpackToMain): void {
    if (message.kind === "finished") return thread.finished.resolve(message);
    if (message.kind === "error") return this.#failure.reject(fromPortableError(message.error));
    const job = this.#jobs.get(message.job);
    if (job === undefined) return;
    if (message.kind === "need") return this.#need(job, message.ranges);
    if (message.kind === "head") return void this.#openHead(job, Buffer.from(message.head));
    if (message.kind === "done") return this.#done(job, message);
    const range = job.ranges[message.range];
    if (range === undefined) return;
    if (message.kind === "taken") return this.#fetcher?.release(range);
    void this.#again(range, message.region, message.message);
  }

  async #again(range: Range, region: string, what: string): Promise<void> {
    const hasOther = (await this.#order?.source.noteBad(region, range.object, what)) === true;
    this.#fetcher?.again(range, region, hasOther);
  }

  #need(job: Job, more: ByteRange[]): void {
    const { object } = job.task;
    if (object === null) return;
    const ranges = more.map((range) => newRange(object, range));
    for (const range of ranges) this.#owners.set(range, { job, index: job.ranges.push(range) - 1 });
    this.#fetcher?.need(ranges);
  }

  /** Here and not in the workers: to load what opens heads would take each of them longer than its work on a few files. */
  async #openHead({ task, thread }: Job, head: Buffer): Promise<void> {
    try {
      this.#opener ??= HeaderOpener.create(this.#order?.identities ?? []);
      const key = await (await this.#opener).open(head);
      this.#send(thread, { kind: "key", job: task.number, key });
    } catch (error) {
      this.#send(thread, { kind: "key", job: task.number, key: null, error: toPortableError(error) });
    }
  }

  #arrived(range: Range, bytes: SharedArrayBuffer, region: string): void {
    const owner = this.#owners.get(range);
    if (owner === undefined) return;
    const { job, index } = owner;
    this.#send(job.thread, { kind: "bytes", job: job.task.number, range: index, bytes, length: range.length, region });
  }

  #unavailable(range: Range): void {
    const owner = this.#owners.get(range);
    if (owner === undefined) return;
    this.#send(owner.job.thread, { kind: "unavailable", job: owner.job.task.number, range: owner.index });
  }

  #done(job: Job, { bytes, files, lost }: Extract<UnpackToMain, { kind: "done" }>): void {
    this.#jobs.delete(job.task.number);
    // A job may end while some of its ranges are on their way: when its head is lost.
    for (const range of job.ranges) this.#owners.delete(range);
    this.#fetcher?.drop(job.ranges);
    job.thread.jobs--;
    this.totals.bytes += bytes;
    this.totals.files += files;
    for (const path of lost) this.totals.lost.add(path);
    try {
      if (lost.length === 0) this.#order?.onListDone(job.task);
    } catch (error) {
      this.#failure.reject(error);
      return;
    }
    this.#dispatch();
  }
}
