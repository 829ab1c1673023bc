/** Fetches the objects of one region, several at once, and has them hashed (and volumes looked into) by other threads. */
import { ColdkeepError, messageOf } from "../errors.ts";
import type { ListedObject } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import { StoreError } from "../storage/object-store.ts";
import { MIB } from "../units.ts";
import { eachOf } from "./manifests.ts";
import { olderVersions } from "./hidden-version.ts";
import { shortfall } from "./region-copy.ts";
import { type Checkers, CheckerPool, checkersHere } from "./verify/checker-pool.ts";
import type { CheckOutcome, ContentFault } from "./verify/messages.ts";
import { PartMemory } from "./verify/part-memory.ts";
import { isAway } from "./targets.ts";
import type { RegionTally } from "./region-tally.ts";

/** Stored bytes in memory, of all regions together; what decrypting takes comes on top. */
const MEMORY_BYTES = 64 * MIB;
/** Objects come in parts, so that several of any size fit into that. */
const PART_BYTES_MAX = 4 * MIB;
const FETCHES_AT_ONCE = 4;

/** Shared by the regions of one check. */
export type CheckGround = { host: string; pool: Checkers; regions: number; signal: AbortSignal; onProgress: () => void };

/** What to do with an object: `pieces` is the list of what a volume must hold, null asks for its digest only. */
export type ObjectTask = { object: ListedObject; pieces: string | null };

export type ContentResult = { object: ListedObject; faults: ContentFault[] };

/** Whether a region holds every object at its size. Nothing is read. */
export async function checkPresence(tally: RegionTally, objects: readonly ListedObject[], host: string, signal: AbortSignal): Promise<void> {
  if (tally.reason !== undefined) return;
  try {
    const { missing, wrong } = await shortfall(tally.region, host, objects, signal);
    const isWrong = new Set(wrong);
    await eachOf([...missing, ...wrong], FETCHES_AT_ONCE, async (object) => {
      const versions = await olderVersions(tally.region, objectKey(host, object.kind, object.id), signal);
      if (versions.some(({ sizeBytes }) => sizeBytes === object.sizeBytes)) tally.noteHidden(object, 0);
      else if (isWrong.has(object)) tally.noteWrong(object, describeSize(object), 0);
      else tally.noteMissing(object);
    });
    const bad = new Set([...missing, ...wrong]);
    for (const object of objects) if (!bad.has(object)) tally.noteRight(object, 0);
  } catch (error) {
    if (signal.aborted || !(error instanceof ColdkeepError)) throw error;
    tally.noteUnreachable(messageOf(error));
  }
}

/** Less is hashed before a thread has started. */
const HERE_BYTES_MAX = 64 * MIB;

/** Gives `use` threads that look into volumes with these identities; without any, what hashes so many bytes. */
export async function withCheckers<T>(identities: readonly string[], bytes: number, use: (pool: Checkers) => Promise<T>): Promise<T> {
  if (identities.length === 0 && bytes <= HERE_BYTES_MAX) return use(checkersHere);
  const pool = new CheckerPool(identities);
  try {
    return await use(pool);
  } finally {
    await pool.close();
  }
}

/** One region's share of a check of stored bytes. */
export class RegionCheck {
  readonly tally: RegionTally;
  readonly #ground: CheckGround;
  readonly #memory: PartMemory;

  constructor(tally: RegionTally, ground: CheckGround) {
    this.tally = tally;
    this.#ground = ground;
    this.#memory = new PartMemory(Math.floor(MEMORY_BYTES / ground.regions), PART_BYTES_MAX);
  }

  /** Checks every task. Returns what was found inside volumes whose bytes are right. Throws E_INTERRUPTED. */
  async run(tasks: readonly ObjectTask[]): Promise<ContentResult[]> {
    const results: ContentResult[] = [];
    await eachOf(tasks, FETCHES_AT_ONCE, async (task) => {
      const outcome = await this.#check(task);
      if (outcome !== null && task.pieces !== null) results.push({ object: task.object, faults: outcome.faults });
      this.#ground.onProgress();
    });
    return results;
  }

  async #check(task: ObjectTask): Promise<CheckOutcome | null> {
    const { tally } = this;
    if (tally.reason !== undefined) return null;
    try {
      const outcome = await this.#fetch(task);
      if (outcome.sha256 === task.object.sha256) {
        tally.noteRight(task.object, task.object.sizeBytes);
        return outcome;
      }
      return await this.#checkVersions(task, () => tally.noteWrong(task.object, "damaged: it does not match its digest", task.object.sizeBytes));
    } catch (error) {
      return this.#noteFault(task, error);
    }
  }

  async #noteFault(task: ObjectTask, error: unknown): Promise<CheckOutcome | null> {
    const { tally } = this;
    if (this.#ground.signal.aborted) throw error;
    if (isAway(tally, error)) tally.noteUnreachable(messageOf(error));
    else if (!(error instanceof StoreError)) throw error;
    else if (error.fault === "frozen") return this.#checkFrozen(task);
    else return this.#checkVersions(task, () => (error.fault === "missing" ? tally.noteMissing(task.object) : tally.noteWrong(task.object, describeFault(error), 0)));
    return null;
  }

  /** Its bytes cannot be read before it is thawed; its size can be asked for. */
  async #checkFrozen(task: ObjectTask): Promise<CheckOutcome | null> {
    const { tally } = this;
    const { object } = task;
    const { host, signal } = this.#ground;
    try {
      const found = await tally.region.store.head(objectKey(host, object.kind, object.id), signal);
      if (found?.sizeBytes !== object.sizeBytes) return await this.#checkVersions(task, () => tally.noteWrong(object, describeSize(object), 0));
      tally.noteFrozen(object);
      return null;
    } catch (error) {
      return this.#noteFault(task, error);
    }
  }

  /** Looks for a right version below what is there; `noteFault` says what is wrong where there is none. */
  async #checkVersions(task: ObjectTask, noteFault: () => void): Promise<CheckOutcome | null> {
    const { tally } = this;
    const { object } = task;
    const { host, signal } = this.#ground;
    try {
      for (const { version, sizeBytes } of await olderVersions(tally.region, objectKey(host, object.kind, object.id), signal)) {
        if (sizeBytes !== object.sizeBytes) continue;
        const outcome = await this.#fetch(task, version);
        if (outcome.sha256 !== object.sha256) continue;
        tally.noteHidden(object, object.sizeBytes);
        return outcome;
      }
      noteFault();
    } catch (error) {
      if (signal.aborted || !(error instanceof StoreError)) throw error;
      if (isAway(tally, error)) tally.noteUnreachable(messageOf(error));
      // Of an older version that is frozen the size is known to be right, as where presence alone is looked up.
      else if (error.fault === "frozen") tally.noteHidden(object, 0);
      else noteFault();
    }
    return null;
  }

  async #fetch({ object, pieces }: ObjectTask, version?: string): Promise<CheckOutcome> {
    const { host, pool, signal } = this.#ground;
    const key = objectKey(host, object.kind, object.id);
    const check = pool.begin(object, pieces);
    try {
      for (let offset = 0; offset < object.sizeBytes; offset += this.#memory.partBytes) {
        const length = Math.min(this.#memory.partBytes, object.sizeBytes - offset);
        const room = await this.#memory.acquire();
        const release = (): void => this.#memory.release(room);
        await this.tally.region.store.fetchInto(key, { offset, sizeBytes: object.sizeBytes, version, signal }, Buffer.from(room, 0, length)).catch((error: unknown) => {
          release();
          throw error;
        });
        check.push(room, length, release);
      }
      return await check.outcome;
    } catch (error) {
      check.abandon();
      throw error;
    }
  }
}

function describeSize({ sizeBytes }: ListedObject): string {
  return `its size is not the ${sizeBytes} bytes listed`;
}

function describeFault(error: StoreError): string {
  return `${error.fault === "corrupt" ? "damaged" : "cannot be read"}: ${messageOf(error)}`;
}
