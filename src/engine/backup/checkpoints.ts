/**
 * Checkpoints of a run that goes on (format §5.4): they name what it has stored so far, so that neither the loss of this machine's state
 * nor a run of many weeks makes it garbage.
 */
import type { Sealing } from "./write-manifest.ts";
import { commit, makeManifest, storeCatalog } from "./write-manifest.ts";

export const CHECKPOINT_EVERY_MS = 6 * 3_600_000;

export class Checkpoints {
  readonly #everyMs: number;
  readonly #sealing: () => Sealing;
  readonly #failure = Promise.withResolvers<never>();
  /** By volume: resolved once every region has it, or gave up. */
  readonly #stored = new Map<string, PromiseWithResolvers<void>>();
  #storedSince = 0;
  #underWay: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /** `sealing`: what a checkpoint is made of at that moment. */
  constructor(everyMs: number, sealing: () => Sealing) {
    this.#everyMs = everyMs;
    this.#sealing = sealing;
    this.#failure.promise.catch(() => undefined);
  }

  noteStored(volume: string): void {
    this.#storedSince++;
    this.#whenStored(volume).resolve();
  }

  #whenStored(volume: string): PromiseWithResolvers<void> {
    const known = this.#stored.get(volume) ?? Promise.withResolvers<void>();
    this.#stored.set(volume, known);
    return known;
  }

  /** Writes one every so often while `work` is under way; what it comes to, once no checkpoint is in the making. Throws as `work`, and for a catalog that cannot be stored. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#arm();
    try {
      const result = await Promise.race([work, this.#failure.promise]);
      clearTimeout(this.#timer);
      await Promise.race([this.#underWay, this.#failure.promise]);
      return result;
    } finally {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      this.#underWay = this.#write().then(() => {
        if (this.#timer !== undefined) this.#arm();
      }, this.#failure.reject);
    }, this.#everyMs).unref();
  }

  async #write(): Promise<void> {
    if (this.#storedSince === 0) return;
    this.#storedSince = 0;
    const sealing = this.#sealing();
    const stored = await storeCatalog(sealing);
    const { objects } = sealing.ground.reusable;
    await Promise.all(stored.catalog.volumes.filter((id) => !objects.has(id)).map((id) => this.#whenStored(id).promise));
    const manifest = makeManifest(sealing, stored);
    const regions = await commit(sealing, manifest);
    sealing.emit({ kind: "detail", message: `checkpoint ${manifest.header.id} in ${regions.length} region${regions.length === 1 ? "" : "s"}` });
  }
}
