/**
 * Listings of a host that are asked for all at once at the start of a run: on a line with latency each question that waits
 * for the answer before it costs a round trip. A region that turns out to be of no use has been asked in vain, no more.
 */
import type { KeyKind } from "../format/object-key.ts";
import type { StoredObject } from "../storage/object-store.ts";
import { listObjects } from "./manifests.ts";
import type { Region } from "./region.ts";

type Listing = Promise<Map<string, StoredObject>>;

const ALL: readonly KeyKind[] = ["archive", "checkpoint", "record", "volume", "catalog"];

export class EarlyListings {
  readonly #host: string;
  readonly #signal: AbortSignal;
  readonly #asked = new Map<string, Listing>();

  constructor(regions: readonly Region[], host: string, signal: AbortSignal, kinds: readonly KeyKind[] = ALL) {
    this.#host = host;
    this.#signal = signal;
    for (const region of regions) for (const kind of kinds) void this.#ask(region, kind);
  }

  /** What a region lists; rejects as `listObjects`. */
  get(region: Region, kind: KeyKind): Listing {
    return this.#asked.get(`${region.name} ${kind}`) ?? this.#ask(region, kind);
  }

  /** Objects were copied meanwhile: what is stored is asked for again. */
  forgetObjects(regions: readonly Region[]): void {
    for (const region of regions) for (const kind of ["volume", "catalog"]) this.#asked.delete(`${region.name} ${kind}`);
  }

  #ask(region: Region, kind: KeyKind): Listing {
    const listing = listObjects(region, this.#host, kind, this.#signal);
    // Whoever wants it is told; where nobody does, the region's marker has said why already.
    listing.catch(() => undefined);
    this.#asked.set(`${region.name} ${kind}`, listing);
    return listing;
  }
}
