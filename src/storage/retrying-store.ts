/**
 * A store that repeats what failed for a while only, until its region's budget is used up. After that the region is down:
 * every call fails at once, so that a dead region does not hold up the others. Its errors name the region.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ColdkeepError } from "../errors.ts";
import { formatDuration } from "../units.ts";
import { checkInterrupted, interruptedError } from "./interrupted.ts";
import type { ObjectLock } from "../policy/lock.ts";
import {
  type Erasure,
  type FoundObject,
  type GetOptions,
  type ObjectBody,
  type ObjectStore,
  type OpenedObject,
  type Protection,
  type PutOptions,
  StoreError,
  type StoredObject,
  type StoredVersion,
  type ThawTier,
} from "./object-store.ts";
import { backoffMs, RetryBudget } from "./retry-budget.ts";
import { type Fetch, PartialFetch } from "./partial-fetch.ts";

export type RetryEvent = { region: string; error: StoreError; waitMs: number; leftMs: number };

export type RetryOptions = {
  /** The region's name, for messages. */
  name: string;
  /** How long the region may go without one success while it is tried, ms. */
  budgetMs: number;
  /** When the region is given up whatever it does, ms since the epoch; running calls are ended then. */
  deadlineMs?: number | undefined;
  /** Numbers in [0, 1). Default: Math.random. */
  random?: (() => number) | undefined;
  /** Told before each wait. */
  onRetry?: ((event: RetryEvent) => void) | undefined;
};

export interface RetryingStore extends ObjectStore {
  readonly name: string;
  /** Why the region is down, or undefined while it is not. */
  readonly downReason: string | undefined;
  /** Lets a region that is down be tried again, with its whole budget; a new deadline replaces the old one. */
  revive(deadlineMs?: number): void;
  /**
   * Reads an object, or a range of it, whole into memory. A body that breaks off is gone on with by range.
   * Throws StoreError: `missing`, and `corrupt` when it is longer than `maxBytes`.
   */
  fetchBytes(key: string, fetch: Fetch): Promise<Buffer<ArrayBuffer>>;
  /**
   * Reads a range into `room`, whose length is that of the range, without memory of its own. Returns how many bytes there
   * were. Throws as `fetchBytes`; `room` may then hold a part of them.
   */
  fetchInto(key: string, fetch: Omit<Fetch, "range" | "maxBytes"> & { offset: number }, room: Buffer): Promise<number>;
}

/** Puts retries, a budget and a deadline around the store of one region. */
export function retryingStore(store: ObjectStore, options: RetryOptions): RetryingStore {
  return new BudgetedStore(store, options);
}

class BudgetedStore implements RetryingStore {
  readonly name: string;
  readonly location: string;
  readonly #store: ObjectStore;
  readonly #options: RetryOptions;
  #budget: RetryBudget;
  #downReason: string | undefined;
  /** Ends the waits of all calls when the region goes down. */
  #down = new AbortController();
  /** Ends everything at the deadline. */
  #deadline = new AbortController();
  #deadlineTimer: NodeJS.Timeout | undefined;

  constructor(store: ObjectStore, options: RetryOptions) {
    this.name = options.name;
    this.location = store.location;
    this.#store = store;
    this.#options = options;
    this.#budget = new RetryBudget(options.budgetMs);
    this.#setDeadline(options.deadlineMs);
  }

  get downReason(): string | undefined {
    return this.#downReason;
  }

  revive(deadlineMs?: number): void {
    this.#downReason = undefined;
    this.#budget = new RetryBudget(this.#options.budgetMs);
    this.#down = new AbortController();
    this.#setDeadline(deadlineMs);
  }

  put(key: string, body: ObjectBody, options: PutOptions): Promise<"created" | "exists"> {
    return this.#repeat(`put of ${key}`, options.signal, (signal) => this.#store.put(key, body, { ...options, signal }));
  }

  async get(key: string, options: GetOptions = {}): Promise<OpenedObject> {
    const doing = `get of ${key}`;
    const opened = await this.#repeat(doing, options.signal, (signal) => this.#store.get(key, { ...options, signal }));
    return { sizeBytes: opened.sizeBytes, body: this.#namedBody(opened.body, doing, options.signal) };
  }

  head(key: string, signal?: AbortSignal): Promise<FoundObject | null> {
    return this.#repeat(`look-up of ${key}`, signal, (inner) => this.#store.head(key, inner));
  }

  extendLock(key: string, lock: ObjectLock, signal?: AbortSignal): Promise<void> {
    return this.#repeat(`lock of ${key}`, signal, (inner) => this.#store.extendLock(key, lock, inner));
  }

  thaw(key: string, tier: ThawTier, days: number, signal?: AbortSignal): Promise<void> {
    return this.#repeat(`thaw of ${key}`, signal, (inner) => this.#store.thaw(key, tier, days, inner));
  }

  protection(signal?: AbortSignal): Promise<Protection> {
    return this.#repeat("asking for versioning and Object Lock", signal, (inner) => this.#store.protection(inner));
  }

  /** Goes on behind the last key after a break, as long as the store lists in order; else a listing could lose keys. */
  async *list(prefix: string, signal?: AbortSignal, after?: string): AsyncGenerator<StoredObject> {
    let last = after;
    let ordered = true;
    let listing: AsyncIterator<StoredObject> | undefined;
    try {
      for (;;) {
        const step = await this.#repeat(`listing of ${prefix}`, signal, async (inner) => {
          listing ??= this.#store.list(prefix, inner, last)[Symbol.asyncIterator]();
          try {
            return await listing.next();
          } catch (error) {
            listing = undefined;
            throw ordered ? error : cannotGoOn(error);
          }
        });
        if (step.done === true) return;
        if (last !== undefined && step.value.key < last) ordered = false;
        last = step.value.key;
        yield step.value;
      }
    } finally {
      await listing?.return?.();
    }
  }

  versions(key: string, signal?: AbortSignal): Promise<StoredVersion[]> {
    return this.#repeat(`look-up of the versions of ${key}`, signal, (inner) => this.#store.versions(key, inner));
  }

  delete(key: string, signal?: AbortSignal): Promise<void> {
    return this.#repeat(`delete of ${key}`, signal, (inner) => this.#store.delete(key, inner));
  }

  erase(key: string, signal?: AbortSignal): Promise<Erasure> {
    return this.#repeat(`erasing of ${key}`, signal, (inner) => this.#store.erase(key, inner));
  }

  nowMs(signal?: AbortSignal): Promise<number> {
    return this.#repeat("asking for the time", signal, (inner) => this.#store.nowMs(inner));
  }

  create(): Promise<void> {
    return this.#repeat("making the place", undefined, () => this.#store.create());
  }

  close(): void {
    clearTimeout(this.#deadlineTimer);
    this.#store.close();
  }

  fetchBytes(key: string, fetch: Fetch): Promise<Buffer<ArrayBuffer>> {
    return this.#fetch(key, fetch, (bytes) => Buffer.allocUnsafeSlow(bytes));
  }

  async fetchInto(key: string, { offset, ...fetch }: Omit<Fetch, "range" | "maxBytes"> & { offset: number }, room: Buffer): Promise<number> {
    const range = { offset, length: room.length };
    const bytes = await this.#fetch(key, { ...fetch, range, maxBytes: room.length }, (length) => room.subarray(0, length));
    return bytes.length;
  }

  #fetch<B extends ArrayBufferLike>(key: string, fetch: Fetch, make: (bytes: number) => Buffer<B>): Promise<Buffer<B>> {
    const doing = `get of ${key}`;
    const partial = new PartialFetch(key, fetch, `${doing} from ${this.location}`, make);
    return this.#repeat(
      doing,
      fetch.signal,
      (signal) => partial.goOn(this.#store, signal),
      () => partial.progressed(),
    );
  }

  /** Calls `attempt` until it succeeds, fails for good, or the region is down. `progressed`: whether a failed one got further. */
  async #repeat<T>(
    doing: string,
    signal: AbortSignal | undefined,
    attempt: (signal: AbortSignal | undefined) => Promise<T>,
    progressed?: () => boolean,
  ): Promise<T> {
    for (let failures = 1; ; failures++) {
      this.#checkUp(doing, signal);
      const startMs = performance.now();
      const budget = this.#budget;
      try {
        const result = await attempt(this.#attemptSignal(signal));
        budget.succeed(performance.now());
        return result;
      } catch (error) {
        const endMs = performance.now();
        const failure = this.#named(error, doing, signal);
        if (!(failure instanceof StoreError) || !failure.retryable) {
          if (failure instanceof StoreError && failure.fault !== "unreachable") budget.succeed(endMs);
          throw failure;
        }
        if (progressed?.() === true) {
          budget.succeed(endMs);
          failures = 1;
        } else {
          budget.spend(startMs, endMs);
        }
        await this.#wait(failure, failures, budget, doing, signal);
      }
    }
  }

  async #wait(error: StoreError, failures: number, budget: RetryBudget, doing: string, signal: AbortSignal | undefined): Promise<void> {
    if (budget.leftMs <= 0) {
      if (budget === this.#budget) this.#goDown(`it did not work for ${formatDuration(budget.budgetMs)}; last: ${error.message}`);
      throw this.#downError(doing, error);
    }
    const waitMs = Math.min(backoffMs(failures, this.#options.random ?? Math.random), budget.leftMs);
    this.#options.onRetry?.({ region: this.name, error, waitMs, leftMs: budget.leftMs });
    const startMs = performance.now();
    const ends = [this.#down.signal, this.#deadline.signal, ...(signal === undefined ? [] : [signal])];
    // Whatever ended the wait is told apart by the check before the next attempt.
    await sleep(waitMs, undefined, { signal: AbortSignal.any(ends) }).catch(() => undefined);
    budget.spend(startMs, performance.now());
  }

  #checkUp(doing: string, signal: AbortSignal | undefined): void {
    checkInterrupted(signal, `region "${this.name}": ${doing}`);
    if (this.#downReason !== undefined) throw this.#downError(doing);
  }

  /** The signal for an attempt: the caller's and the deadline's. */
  #attemptSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
    if (this.#deadlineTimer === undefined && !this.#deadline.signal.aborted) return signal;
    return signal === undefined ? this.#deadline.signal : AbortSignal.any([signal, this.#deadline.signal]);
  }

  async *#namedBody(body: AsyncIterable<Uint8Array>, doing: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (error) {
      throw this.#named(error, doing, signal);
    }
  }

  /** The same error with the region in front, or what really ended the call. */
  #named(error: unknown, doing: string, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return interruptedError(`region "${this.name}": ${doing}`, error);
    if (this.#deadline.signal.aborted) return this.#downError(doing, error);
    if (!(error instanceof ColdkeepError)) return error;
    const message = `region "${this.name}": ${error.message}`;
    const details = { hint: error.hint, cause: error };
    if (error instanceof StoreError) return new StoreError(error.fault, message, { ...details, retryable: error.retryable });
    return new ColdkeepError(error.code, message, details);
  }

  #downError(doing: string, cause?: unknown): StoreError {
    const prefix = `region "${this.name}": `;
    const reason = (this.#downReason ?? "it is down").replaceAll(prefix, "");
    return new StoreError("unreachable", `${prefix}${doing} was given up: ${reason}`, {
      cause,
      retryable: false,
      hint: "Other regions go on without it; it is brought up to date when it answers again.",
    });
  }

  #goDown(reason: string): void {
    this.#downReason ??= reason;
    this.#down.abort();
  }

  #setDeadline(deadlineMs: number | undefined): void {
    clearTimeout(this.#deadlineTimer);
    this.#deadlineTimer = undefined;
    this.#deadline = new AbortController();
    if (deadlineMs === undefined) return;
    const deadline = this.#deadline;
    const pass = (): void => {
      const leftMs = deadlineMs - Date.now();
      if (leftMs > 0) {
        // A timer holds 2^31-1 ms at the most, and the machine may have slept.
        this.#deadlineTimer = setTimeout(pass, Math.min(leftMs, 2 ** 31 - 1)).unref();
        return;
      }
      this.#goDown("its deadline has passed");
      deadline.abort();
    };
    pass();
  }
}

/** A listing that broke off in a store without order: asking again from the last key on could leave keys out. */
function cannotGoOn(error: unknown): unknown {
  if (!(error instanceof StoreError) || !error.retryable) return error;
  const message = `${error.message}; the store does not list in order, so the listing cannot go on`;
  return new StoreError(error.fault, message, { cause: error, retryable: false });
}
