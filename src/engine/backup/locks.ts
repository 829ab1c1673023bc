/** Locks of what an archive is about to name again: they last long enough, are renewed, or the object is stored anew. */
import type { ListedObject } from "../../format/manifest.ts";
import { objectKey } from "../../format/object-key.ts";
import { lastsLong, lockEndMs, type LockRule, lockToSet, type ObjectLock } from "../../policy/lock.ts";
import type { KnownObject, RunState } from "../../state/run-state.ts";
import { StoreError } from "../../storage/object-store.ts";
import type { EarlyListings } from "../early-listings.ts";
import type { Emit } from "../events.ts";
import { eachOf, type LostRegion } from "../manifests.ts";
import type { Region } from "../region.ts";
import type { Reusable } from "./base.ts";

const LOCKS_AT_ONCE = 16;

/** Notes that a region confirmed an object of this run, and until when it is locked there. */
export function noteStored(state: RunState, region: Region, id: string): void {
  state.noteReceipt(region.name, id);
  // Counted from the answer, not from the request: that is minutes, and the margin is days.
  if (region.lock !== null) state.noteLock(region.name, id, lockEndMs(region.lock, Date.now()));
}

export type LockOrder = {
  host: string;
  state: RunState;
  /** Ids that the archive before names: their locks are renewed. Others are named again only while theirs last. */
  needed: ReadonlySet<string>;
  early: EarlyListings;
  /** Regions that fail go here. */
  lost: LostRegion[];
  emit: Emit;
  signal: AbortSignal;
};

/** Those of the reusable objects whose lock lasts long enough in every region that asks for one. Throws E_DISK, E_INTERRUPTED. */
export async function withLastingLocks(reusable: Reusable, regions: readonly Region[], order: LockOrder): Promise<Reusable> {
  const refused = new Set<string>();
  await Promise.all(
    regions.map(async (region) => {
      if (region.lock === null) return;
      try {
        for (const id of await new LockRenewal(region, region.lock, order).run(reusable.objects)) refused.add(id);
      } catch (error) {
        order.signal.throwIfAborted();
        if (!(error instanceof StoreError)) throw error;
        order.lost.push({ region, error });
      }
    }),
  );
  const stays = (id: string): boolean => !refused.has(id);
  const objects = new Map([...reusable.objects].filter(([id]) => stays(id)));
  return { ...reusable, volumes: reusable.volumes.filter(stays), catalogs: reusable.catalogs.filter(stays), objects };
}

/** One region's share. */
class LockRenewal {
  readonly #region: Region;
  readonly #rule: LockRule;
  readonly #order: LockOrder;
  readonly #refused: string[] = [];
  #renewed = 0;
  #fault: StoreError | undefined;
  #nowMs = 0;

  constructor(region: Region, rule: LockRule, order: LockOrder) {
    this.#region = region;
    this.#rule = rule;
    this.#order = order;
  }

  /** Returns the ids of what is not to be named again. Throws StoreError for a region that fails. */
  async run(objects: ReadonlyMap<string, KnownObject>): Promise<string[]> {
    const { early, state, signal, emit } = this.#order;
    const { store, name } = this.#region;
    const [volumes, catalogs] = await Promise.all([early.get(this.#region, "volume"), early.get(this.#region, "catalog")]);
    this.#nowMs = await store.nowMs(signal);
    const remembered = state.locks(name);
    const held = [...objects.values()].filter(({ id, kind }) => (kind === "volume" ? volumes : catalogs).has(id));
    const doubtful = held.filter(({ id }) => !lastsLong(remembered.get(id), this.#rule, this.#nowMs));
    await eachOf(doubtful, LOCKS_AT_ONCE, (object) => this.#settle(object, remembered.has(object.id)));
    if (this.#renewed > 0) emit({ kind: "detail", message: `region "${name}": ${this.#renewed} locks renewed` });
    if (this.#fault !== undefined) {
      emit({ kind: "warning", message: `region "${name}": ${this.#refused.length} objects cannot be locked for longer, so that their content is stored again: ${this.#fault.message}`, hint: this.#fault.hint });
    }
    return this.#refused;
  }

  async #settle({ id, kind }: ListedObject, isRemembered: boolean): Promise<void> {
    const { host, needed, state, signal } = this.#order;
    const { name, store } = this.#region;
    const isNeeded = needed.has(id);
    if (isRemembered && !isNeeded) {
      this.#refused.push(id);
      return;
    }
    const key = objectKey(host, kind, id);
    const found = await store.head(key, signal);
    // A listing is a hint only; what is missing after all is put there before the manifest is.
    if (found === null) return;
    const wanted = lockToSet(found.lock, this.#rule, this.#nowMs);
    let untilMs = found.lock?.untilMs ?? 0;
    if (wanted !== null && isNeeded && (await this.#renew(key, wanted))) untilMs = wanted.untilMs;
    else if (wanted !== null) this.#refused.push(id);
    // A longer one than the rule gives would not be believed later.
    state.noteLock(name, id, Math.min(untilMs, lockEndMs(this.#rule, this.#nowMs)));
  }

  /** Whether it is locked for longer now; false where the store says no. Throws StoreError for a region that fails. */
  async #renew(key: string, lock: ObjectLock): Promise<boolean> {
    try {
      await this.#region.store.extendLock(key, lock, this.#order.signal);
      this.#renewed++;
      return true;
    } catch (error) {
      if (!(error instanceof StoreError) || (error.fault !== "denied" && error.fault !== "misused")) throw error;
      this.#fault ??= error;
      return false;
    }
  }
}
