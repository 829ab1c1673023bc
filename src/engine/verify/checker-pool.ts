/** The threads that hash and decrypt, and the checks they have in hand. */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { RunningDigest } from "../../codec/digest.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { fromPortableError } from "../portable-error.ts";
import { startWorker } from "../start-worker.ts";
import type { CheckOutcome, CheckSetup, CheckToMain, MainToCheck } from "./messages.ts";

const CHECKERS_MAX = 4;

type Pending = { checker: Checker; onTaken: (() => void)[]; settle: PromiseWithResolvers<CheckOutcome> };
type Checker = { worker: Worker; bytesWaiting: number };

/** One object under way: its bytes in order, then the outcome. */
export type RunningCheck = {
  /** Lends the first `length` bytes of `room`; `taken` is called when it is free again. */
  push(room: SharedArrayBuffer, length: number, taken: () => void): void;
  outcome: Promise<CheckOutcome>;
  /** No more bytes will come. */
  abandon(): void;
};

/** Whoever checks objects whose bytes arrive. */
export type Checkers = { begin(object: ListedObject, pieces: string | null): RunningCheck };

/** Hashes in this thread, and looks into nothing: little is done before another thread has started. */
export const checkersHere: Checkers = {
  begin(object) {
    const digest = new RunningDigest();
    const { promise, resolve } = Promise.withResolvers<CheckOutcome>();
    return {
      push(room, length, taken) {
        digest.update(Buffer.from(room, 0, length));
        taken();
        if (digest.length >= object.sizeBytes) resolve({ sha256: digest.hex(), faults: [] });
      },
      outcome: promise,
      abandon: () => undefined,
    };
  },
};

export class CheckerPool implements Checkers {
  readonly #checkers: Checker[];
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #failure: Error | undefined;

  constructor(identities: readonly string[]) {
    const setup: CheckSetup = { identities: [...identities] };
    this.#checkers = Array.from({ length: Math.min(availableParallelism(), CHECKERS_MAX) }, () => this.#start(setup));
  }

  #start(setup: CheckSetup): Checker {
    const worker = startWorker(new URL("./check.worker.ts", import.meta.url), setup);
    worker.on("message", (message: CheckToMain) => this.#receive(message));
    worker.on("error", (error: Error) => this.#fail(error));
    return { worker, bytesWaiting: 0 };
  }

  /** `pieces`: the list of what a volume must hold; null to look at its digest only. */
  begin(object: ListedObject, pieces: string | null): RunningCheck {
    const job = this.#next++;
    const checker = this.#checkers.reduce((best, each) => (each.bytesWaiting < best.bytesWaiting ? each : best));
    const pending: Pending = { checker, onTaken: [], settle: Promise.withResolvers<CheckOutcome>() };
    // Whoever waits for the outcome hears of a failure; whoever gave up does not care.
    pending.settle.promise.catch(() => undefined);
    this.#pending.set(job, pending);
    if (this.#failure !== undefined) pending.settle.reject(this.#failure);
    const send = (message: MainToCheck): void => checker.worker.postMessage(message);
    send({ kind: "begin", job, object, pieces });
    return {
      push: (bytes, length, taken) => {
        if (this.#failure !== undefined) return taken();
        checker.bytesWaiting += length;
        pending.onTaken.push(() => {
          checker.bytesWaiting -= length;
          taken();
        });
        send({ kind: "bytes", job, bytes, length });
      },
      outcome: pending.settle.promise,
      abandon: () => send({ kind: "abandon", job }),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#checkers.map(({ worker }) => worker.terminate()));
  }

  #receive(message: CheckToMain): void {
    switch (message.kind) {
      case "taken":
        this.#pending.get(message.job)?.onTaken.shift()?.();
        return;
      case "checked":
        this.#pending.get(message.job)?.settle.resolve(message.outcome);
        this.#pending.delete(message.job);
        return;
      case "error":
        this.#fail(fromPortableError(message.error));
    }
  }

  /** A thread that fails fails the whole check: that is a defect, or this machine's trouble, never a stored object's. */
  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { settle, onTaken } of this.#pending.values()) {
      settle.reject(error);
      for (const taken of onTaken.splice(0)) taken();
    }
    this.#pending.clear();
  }
}
