/** The unpack workers of a restore, and the bytes in flight towards them. */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import type { Loss } from "../../disk/losses.ts";
import { Losses } from "../../disk/losses.ts";
import { ColdkeepError } from "../../errors.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { ObjectSource } from "../object-source.ts";
import { fromPortableError } from "../portable-error.ts";
import { startWorker } from "../start-worker.ts";
import type { ByteRange, MainToUnpack, UnpackSetup, UnpackToMain } from "./messages.ts";

const WORKERS_MAX = 8;
/** Jobs a worker holds at once, so that one is written while another is fetched. */
const JOBS_PER_WORKER = 3;
const FETCHES_MAX = 16;
const BYTES_IN_FLIGHT_MAX = 128 * 1024 * 1024;

/** Ranges up to this length are never held back: the others may be waiting for what is in them. */
const SMALL_BYTES_MAX = 128 * 1024;

export type UnpackTask = { number: number; object: ListedObject | null; list: string };
type Thread = { worker: Worker; jobs: number; finished: PromiseWithResolvers<{ lost: string[]; losses: Loss[] }> };
/** A range of a job: which regions had it wrong, and how many of its bytes are in memory or on their way. */
type Range = ByteRange & { bad: Set<string>; held: number };
type Job = { task: UnpackTask; thread: Thread; ranges: Range[] };
type Fetch = { job: Job; object: ListedObject; index: number; range: Range };

export type UnpackTotals = { bytes: number; files: number; lost: Set<string> };

export class UnpackCrew {
  readonly totals: UnpackTotals = { bytes: 0, files: 0, lost: new Set() };
  readonly losses = new Losses();
  readonly #source: ObjectSource;
  readonly #onListDone: (task: UnpackTask) => void;
  readonly #threads: Thread[];
  readonly #failure = Promise.withResolvers<never>();
  readonly #idle = Promise.withResolvers<void>();
  #waiting: UnpackTask[] = [];
  readonly #jobs = new Map<number, Job>();
  readonly #fetches: Fetch[] = [];
  #fetching = 0;
  #bytesInFlight = 0;
  #isOver = false;

  constructor(setup: UnpackSetup, source: ObjectSource, onListDone: (task: UnpackTask) => void) {
    this.#source = source;
    this.#onListDone = onListDone;
    this.#failure.promise.catch(() => undefined);
    const count = Math.min(availableParallelism(), WORKERS_MAX);
    this.#threads = Array.from({ length: count }, () => this.#startThread(setup));
  }

  #startThread(setup: UnpackSetup): Thread {
    const worker = startWorker(new URL("./unpack.worker.ts", import.meta.url), setup);
    const thread: Thread = { worker, jobs: 0, finished: Promise.withResolvers() };
    worker.on("message", (message: UnpackToMain) => this.#take(thread, message));
    worker.on("error", (error) => this.#failure.reject(error));
    worker.on("exit", (code) => {
      if (code !== 0 && !this.#isOver) this.#failure.reject(new Error(`a worker ended with status ${code}`));
    });
    return thread;
  }

  /** Works off all tasks. `onListDone` is told of each of which nothing was lost; what it throws ends the restore. */
  async run(tasks: readonly UnpackTask[]): Promise<void> {
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
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #send(thread: Thread, message: MainToUnpack, transfer: ArrayBuffer[] = []): void {
    thread.worker.postMessage(message, transfer);
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
    switch (message.kind) {
      case "need":
        return this.#need(job, message.ranges);
      case "taken":
        this.#release(job.ranges[message.range]);
        return this.#pump();
      case "bad":
        return this.#bad(job, message);
      case "done":
        return this.#done(job, message);
    }
  }

  #need(job: Job, more: ByteRange[]): void {
    const { object } = job.task;
    if (object === null) return;
    for (const { offset, length } of more) {
      const range: Range = { offset, length, bad: new Set(), held: 0 };
      this.#fetches.push({ job, object, index: job.ranges.length, range });
      job.ranges.push(range);
    }
    this.#pump();
  }

  /** Starts fetches, in order, while requests and memory allow. */
  #pump(): void {
    while (this.#fetching < FETCHES_MAX) {
      const next = this.#fetches[0];
      if (next === undefined) return;
      const { range, job } = next;
      if (this.#bytesInFlight > 0 && range.length > SMALL_BYTES_MAX && this.#bytesInFlight + range.length > BYTES_IN_FLIGHT_MAX) return;
      this.#fetches.shift();
      if (!this.#isLive(job)) continue;
      this.#fetching++;
      range.held = range.length;
      this.#bytesInFlight += range.length;
      void this.#fetch(next);
    }
  }

  /** A job may end while some of its ranges are on their way: when its head is lost. */
  #isLive(job: Job): boolean {
    return this.#jobs.get(job.task.number) === job;
  }

  async #fetch({ job, object, index, range }: Fetch): Promise<void> {
    try {
      const { bytes, region } = await this.#source.part(object, range.offset, range.length, { except: range.bad });
      if (!this.#isLive(job)) return;
      const { buffer } = bytes.byteLength === bytes.buffer.byteLength ? bytes : Buffer.from(bytes);
      this.#send(job.thread, { kind: "bytes", job: job.task.number, range: index, bytes: buffer, region }, [buffer]);
    } catch (error) {
      this.#release(range);
      if (!(error instanceof ColdkeepError) || error.code !== "E_OBJECT") this.#failure.reject(error);
      else if (this.#isLive(job)) this.#send(job.thread, { kind: "unavailable", job: job.task.number, range: index });
    } finally {
      this.#fetching--;
      this.#pump();
    }
  }

  #release(range: Range | undefined): void {
    if (range === undefined) return;
    this.#bytesInFlight -= range.held;
    range.held = 0;
  }

  #bad(job: Job, { range: index, region, message }: Extract<UnpackToMain, { kind: "bad" }>): void {
    const range = job.ranges[index];
    const { object } = job.task;
    if (range === undefined || object === null) return;
    this.#source.noteBad(region, object, message);
    range.bad.add(region);
    this.#release(range);
    this.#fetches.unshift({ job, object, index, range });
    this.#pump();
  }

  #done(job: Job, { bytes, files, lost }: Extract<UnpackToMain, { kind: "done" }>): void {
    this.#jobs.delete(job.task.number);
    for (const range of job.ranges) this.#release(range);
    job.thread.jobs--;
    this.totals.bytes += bytes;
    this.totals.files += files;
    for (const path of lost) this.totals.lost.add(path);
    try {
      if (lost.length === 0) this.#onListDone(job.task);
    } catch (error) {
      this.#failure.reject(error);
      return;
    }
    this.#pump();
    this.#dispatch();
  }
}
