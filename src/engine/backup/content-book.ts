/** What is known to be stored: the index of earlier runs, and what this run packed and no region has confirmed yet. */
import { ContentFilter } from "../../state/content-filter.ts";
import { ContentIndex, type ContentPlace } from "../../state/content-index.ts";
import type { KnownChunk } from "./messages.ts";

export class ContentBook {
  readonly #index: ContentIndex;
  readonly #filter: ContentFilter;
  readonly #reusable: Set<string>;
  readonly #confirmed = new Set<string>();
  /** Content of volumes that are on their way, by volume. */
  readonly #underWay = new Map<string, Map<string, ContentPlace>>();
  readonly #places = new Map<string, ContentPlace>();
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
    const place = this.#places.get(sha256) ?? this.#index.find(sha256);
    if (place === undefined) return null;
    const usable = this.#reusable.has(place.volume) || this.#confirmed.has(place.volume) || this.#underWay.has(place.volume);
    return usable ? { sha256, ...place } : null;
  }

  /** Notes where this run put some content. Content of earlier volumes is in the index already. */
  note(sha256: string, place: ContentPlace): void {
    if (this.#reusable.has(place.volume)) return;
    if (this.#confirmed.has(place.volume)) {
      this.#index.add(place.volume, [[sha256, place]]);
      return;
    }
    let pieces = this.#underWay.get(place.volume);
    if (pieces === undefined) {
      pieces = new Map();
      this.#underWay.set(place.volume, pieces);
    }
    pieces.set(sha256, place);
    this.#places.set(sha256, place);
  }

  /** A region holds the volume: what lies in it may be known to later runs. */
  confirm(volume: string): void {
    const pieces = this.#underWay.get(volume) ?? new Map<string, ContentPlace>();
    this.#index.add(volume, pieces);
    this.#confirmed.add(volume);
    this.#underWay.delete(volume);
    for (const sha256 of pieces.keys()) this.#places.delete(sha256);
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
