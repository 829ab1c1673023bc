/** What is known to be stored: the index of earlier runs, and what this run packed and no region has confirmed yet. */
import { ContentFilter } from "../../state/content-filter.ts";
import { ContentIndex, type ContentPlace } from "../../state/content-index.ts";
import { DIGEST_BYTES, PIECE_BYTES, readPlace } from "../../state/piece-records.ts";
import type { KnownChunk } from "./messages.ts";

/** Records of pieces, as a packer tells of each frame. */
type Batch = { volume: string; records: Buffer };

/** Digests are random bytes: their first six, as a number, tell the pieces of some volumes apart. */
const KEY_BYTES = 6;

export class ContentBook {
  readonly #index: ContentIndex;
  readonly #filter: ContentFilter;
  readonly #reusable: Set<string>;
  readonly #confirmed = new Set<string>();
  /** Content of volumes that are on their way, by volume and by digest. */
  readonly #underWay = new Map<string, Batch[]>();
  readonly #places = new Map<number, { batch: Batch; at: number }>();
  #isLoaded = false;

  constructor(stateDir: string, filter: SharedArrayBuffer, reusableVolumes: readonly string[]) {
    this.#index = new ContentIndex(stateDir);
    this.#filter = new ContentFilter(filter);
    this.#reusable = new Set(reusableVolumes);
  }

  /** Fills the filter; only a run that packs anything needs it. */
  load(): void {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    this.#index.loadFilter(this.#filter);
  }

  isReusable(volume: string): boolean {
    return this.#reusable.has(volume);
  }

  find(sha256: string): KnownChunk | null {
    const place = this.#findUnderWay(sha256) ?? this.#index.find(sha256);
    if (place === undefined) return null;
    const usable = this.#reusable.has(place.volume) || this.#confirmed.has(place.volume) || this.#underWay.has(place.volume);
    return usable ? { sha256, ...place } : null;
  }

  #findUnderWay(sha256: string): ContentPlace | undefined {
    const digest = Buffer.from(sha256, "hex");
    const found = this.#places.get(digest.readUIntBE(0, KEY_BYTES));
    if (found === undefined) return undefined;
    const { batch, at } = found;
    if (digest.compare(batch.records, at, at + DIGEST_BYTES) !== 0) return undefined;
    return { volume: batch.volume, ...readPlace(batch.records, at) };
  }

  /** Notes where this run put some content. */
  note(volume: string, records: Buffer): void {
    if (this.#confirmed.has(volume)) {
      this.#index.add(volume, [records]);
      return;
    }
    const batch: Batch = { volume, records };
    const batches = this.#underWay.get(volume);
    if (batches === undefined) this.#underWay.set(volume, [batch]);
    else batches.push(batch);
    for (let at = 0; at < records.length; at += PIECE_BYTES) this.#places.set(records.readUIntBE(at, KEY_BYTES), { batch, at });
  }

  /** A region holds the volume: what lies in it may be known to later runs. */
  confirm(volume: string): void {
    const batches = this.#underWay.get(volume) ?? [];
    this.#index.add(volume, batches.map(({ records }) => records));
    this.#confirmed.add(volume);
    this.#underWay.delete(volume);
    for (const { records } of batches) {
      for (let at = 0; at < records.length; at += PIECE_BYTES) this.#places.delete(records.readUIntBE(at, KEY_BYTES));
    }
  }

  /** Throws E_DISK when the filter could not be saved: the next run then makes it anew. */
  close(): void {
    try {
      this.#index.saveFilter(this.#filter);
    } finally {
      this.#index.close();
    }
  }
}
