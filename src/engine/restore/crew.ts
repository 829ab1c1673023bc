/** The unpack workers of a restore, and the bytes in flight towards them. */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import type { Loss } from "../../disk/losses.ts";
import { Losses } from "../../disk/losses.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { Emit } from "../events.ts";
import type { ObjectSource } from "../object-source.ts";
import { fromPortableError } from "../portable-error.ts";
import { startWorker } from "../start-worker.ts";
import type { ByteRange, MainToUnpack, UnpackSetup, UnpackToMain } from "./messages.ts";

const WORKERS_MAX = 8;
/** Jobs a worker holds at once, so that one is written while another is fetched. */
const JOBS_PER_WORKER = 3;
const FETCHES_MAX = 16;
const BYTES_IN_FLIGHT_MAX = 192 * 1024 * 1024;

type Job = { number: number; object: ListedObject | null; list: string };
type Thread = { worker: Worker; jobs: number; finished: PromiseWithResolvers<{ lost: string[]; losses: Loss[] }> };
type Fetch = { thread: Thread; job: Job; object: ListedObject; index: number; range: ByteRange };

export type UnpackTotals = { bytes: number; files: number; lost: Set<string> };

export class UnpackCrew {
  readonly totals: UnpackTotals = { bytes: 0, files: 0, lost: new Set() };
  readonly losses = new Losses();
  readonly #source: ObjectSource;
  readonly #emit: Emit;
  readonly #onVolumeDone: (job: Job) => void;
  readonly #threads: Thread[];
  readonly #failure = Promise.withResolvers<never>();
  readonly #idle = Promise.withResolvers<void>();
  #waitingJobs: Job[] = [];
  readonly #jobs = new Map<number, { job: Job; ranges: ByteRange[] }>();
  readonly #fetches: Fetch[] = [];
  #fetching = 0;
  #bytesInFlight = 0;
  #isOver = false;

  constructor(setup: UnpackSetup, source: ObjectSource, emit: Emit, onVolumeDone: (job: Job) => void) {
    this.#source = source;
    this.#emit = emit;
    this.#onVolumeDone = onVolumeDone;
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

  /** Works off all jobs, one a volume. */
  async run(jobs: Job[]): Promise<void> {
    this.#waitingJobs = [...jobs];
    this.#dispatch();
    await Promise.race([this.#idle.promise, this.#failure.promise]);
  }

  /** The end of the restore, in one thread, after all others have closed what they hold. */
  async finish(isResumed: boolean): Promise<void> {
    const [first, ...others] = this.#threads;
    for (const thread of others) this.#send(thread, { kind: "close" });
    for (const thread of others) this.#account(await this.#ended(thread));
    if (first === undefined) return;
    this.#send(first, { kind: "finish", lost: [...this.totals.lost], isResumed });
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
      const job = this.#waitingJobs.shift();
      if (job === undefined) break;
      thread.jobs++;
      this.#jobs.set(job.number, { job, ranges: [] });
      this.#send(thread, { kind: "job", job: job.number, object: job.object, list: job.list });
    }
    if (this.#jobs.size === 0) this.#idle.resolve();
  }

  #take(thread: Thread, message: UnpackToMain): void {
    switch (message.kind) {
      case "need":
        return this.#need(thread, message.job, message.ranges);
      case "taken":
        return this.#release(message.job, message.range);
      case "bad":
        return this.#bad(thread, message);
      case "done":
        return this.#done(thread, message);
      case "finished":
        return thread.finished.resolve(message);
      case "error":
        return this.#failure.reject(fromPortableError(message.error));
    }
  }

  #need(thread: Thread, number: number, ranges: ByteRange[]): void {
    const known = this.#jobs.get(number);
    if (known === undefined || known.job.object === null) return;
    known.ranges = ranges;
    const { job } = known;
    const { object } = job;
    if (object !== null) ranges.forEach((range, index) => this.#fetches.push({ thread, job, object, index, range }));
    this.#pump();
  }

  /** Starts fetches, in order, while requests and memory allow. */
  #pump(): void {
    while (this.#fetching < FETCHES_MAX) {
      const next = this.#fetches[0];
      if (next === undefined || (this.#bytesInFlight > 0 && this.#bytesInFlight + next.range.length > BYTES_IN_FLIGHT_MAX)) return;
      this.#fetches.shift();
      this.#fetching++;
      this.#bytesInFlight += next.range.length;
      void this.#fetch(next);
    }
  }

  async #fetch({ thread, job, object, index, range }: Fetch): Promise<void> {
    try {
      const { bytes, region } = await this.#source.part(object, range.offset, range.length);
      const { buffer } = bytes.byteLength === bytes.buffer.byteLength ? bytes : Buffer.from(bytes);
      this.#send(thread, { kind: "bytes", job: job.number, range: index, bytes: buffer, region }, [buffer]);
    } catch (error) {
      this.#bytesInFlight -= range.length;
      if (error instanceof ColdkeepError && error.code === "E_OBJECT") this.#unavailable(thread, job, error);
      else this.#failure.reject(error);
    } finally {
      this.#fetching--;
      this.#pump();
    }
  }

  #unavailable(thread: Thread, job: Job, error: ColdkeepError): void {
    this.#emit({ kind: "warning", message: messageOf(error), hint: error.hint });
    this.#send(thread, { kind: "unavailable", job: job.number });
  }

  #release(number: number, index: number): void {
    this.#bytesInFlight -= this.#jobs.get(number)?.ranges[index]?.length ?? 0;
    this.#pump();
  }

  #bad(thread: Thread, { job: number, range: index, region, message }: Extract<UnpackToMain, { kind: "bad" }>): void {
    const known = this.#jobs.get(number);
    const range = known?.ranges[index];
    const object = known?.job.object;
    if (known === undefined || range === undefined || !object) return;
    this.#source.noteBad(region, object, message);
    this.#bytesInFlight -= range.length;
    this.#fetches.unshift({ thread, job: known.job, object, index, range });
    this.#pump();
  }

  #done(thread: Thread, message: Extract<UnpackToMain, { kind: "done" }>): void {
    const known = this.#jobs.get(message.job);
    this.#jobs.delete(message.job);
    thread.jobs--;
    this.totals.bytes += message.bytes;
    this.totals.files += message.files;
    for (const path of message.lost) this.totals.lost.add(path);
    if (known !== undefined && message.lost.length === 0) this.#onVolumeDone(known.job);
    this.#dispatch();
  }
}
