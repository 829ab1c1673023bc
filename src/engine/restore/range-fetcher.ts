/** Fetches the ranges that jobs need: in the order they came, as many at once as requests and memory allow, from the regions in turn. */
import { ColdkeepError } from "../../errors.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { ObjectSource } from "../object-source.ts";
import type { ByteRange } from "./messages.ts";
import { RangeMemory } from "./range-memory.ts";
import { RegionShare } from "./region-share.ts";

const FETCHES_MAX = 16;
/** How often running fetches are looked at. */
const LOOK_MS = 1000;

/** A range of a job. */
export type Range = ByteRange & {
  object: ListedObject;
  /** Regions that had it wrong. */
  bad: Set<string>;
  /** Regions that were asked once more, for another version. */
  twice: Set<string>;
  /** Indices of the regions that are no choice: they had it wrong, or took too long. */
  not: Set<number>;
  /** What its bytes lie in, while they are on their way or in use. */
  room: SharedArrayBuffer | null;
  /** Whether nobody waits for it any more. */
  isDropped: boolean;
};

export function newRange(object: ListedObject, { offset, length }: ByteRange): Range {
  return { object, offset, length, bad: new Set(), twice: new Set(), not: new Set(), room: null, isDropped: false };
}

export type FetcherPort = {
  /** The bytes are in `range.room`, until `release`. */
  arrived(range: Range, room: SharedArrayBuffer, region: string): void;
  /** No region has them right. */
  unavailable(range: Range): void;
  /** Nothing is known of the object: the restore cannot go on now. */
  failed(error: unknown): void;
};

type Running = { range: Range; region: number; startMs: number; controller: AbortController };

export class RangeFetcher {
  readonly #source: ObjectSource;
  readonly #names: readonly string[];
  readonly #port: FetcherPort;
  readonly #memory = new RangeMemory();
  readonly #share: RegionShare;
  readonly #waiting: Range[] = [];
  readonly #running = new Set<Running>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(source: ObjectSource, port: FetcherPort) {
    this.#source = source;
    this.#names = source.regionNames;
    this.#port = port;
    this.#share = new RegionShare(this.#names.length);
    if (this.#names.length > 1) this.#timer = setInterval(() => this.#endSlow(), LOOK_MS);
  }

  need(ranges: readonly Range[]): void {
    this.#waiting.push(...ranges);
    this.#pump();
  }

  /** The bytes of a range are no longer used. */
  release(range: Range): void {
    this.#giveBack(range);
    this.#pump();
  }

  /** A range whose bytes from `region` were wrong: next in turn, from another, or from there where it has another version. */
  again(range: Range, region: string, hasOther: boolean): void {
    this.#giveBack(range);
    if (hasOther && !range.twice.has(region)) range.twice.add(region);
    else {
      range.bad.add(region);
      range.not.add(this.#names.indexOf(region));
    }
    this.#waiting.unshift(range);
    this.#pump();
  }

  /** Nobody waits for these, or uses their bytes, any more. */
  drop(ranges: readonly Range[]): void {
    const running = new Set([...this.#running].map(({ range }) => range));
    for (const range of ranges) {
      range.isDropped = true;
      if (!running.has(range)) this.#giveBack(range);
    }
    this.#pump();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #giveBack(range: Range): void {
    if (range.room !== null) this.#memory.give(range.room);
    range.room = null;
  }

  #pump(): void {
    while (this.#running.size < FETCHES_MAX) {
      const [range] = this.#waiting;
      if (range === undefined) return;
      const room = range.isDropped ? null : this.#memory.take(range.length);
      if (room === null && !range.isDropped) return;
      this.#waiting.shift();
      if (room === null) continue;
      range.room = room;
      void this.#fetch(range, room);
    }
  }

  async #fetch(range: Range, room: SharedArrayBuffer): Promise<void> {
    const { object, offset, length, bad, not } = range;
    const startMs = performance.now();
    const region = this.#share.begin(length, startMs, not);
    const running: Running = { range, region, startMs, controller: new AbortController() };
    this.#running.add(running);
    const { signal } = running.controller;
    const from = await this.#source.fill(object, offset, Buffer.from(room, 0, length), { first: region, except: bad, signal }).catch((error: unknown) => ({ error }));
    this.#running.delete(running);
    this.#share.end(region, length, from === this.#names[region] ? length : 0, performance.now());
    if (range.isDropped) this.#giveBack(range);
    else if (typeof from === "string") this.#port.arrived(range, room, from);
    else {
      this.#giveBack(range);
      this.#missed(range, from.error, signal.aborted);
    }
    this.#pump();
  }

  #missed(range: Range, error: unknown, wasSlow: boolean): void {
    if (wasSlow) this.#waiting.unshift(range);
    else if (error instanceof ColdkeepError && error.code === "E_OBJECT") this.#port.unavailable(range);
    else this.#port.failed(error);
  }

  #endSlow(): void {
    const nowMs = performance.now();
    for (const { range, region, startMs, controller } of this.#running) {
      const not = new Set(range.not).add(region);
      if (controller.signal.aborted || !this.#share.isTooLong(region, range.length, startMs, nowMs, not)) continue;
      range.not.add(region);
      controller.abort();
    }
  }
}
