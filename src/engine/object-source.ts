/** Reads stored objects from whichever region has them right: whole against their digest, or ranges through age (format §9). */
import { HeaderOpener } from "../codec/age-header.ts";
import { chunkSpan, openChunks, plaintextLength } from "../codec/age-payload.ts";
import { sha256Hex } from "../codec/digest.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import type { ListedObject } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import { StoreError } from "../storage/object-store.ts";
import type { Emit } from "./events.ts";
import { findHiddenVersion } from "./hidden-version.ts";
import type { Region } from "./region.ts";

type Fetched = Buffer<ArrayBuffer>;

export type RangeOptions = {
  /** Index of the region that is asked first. */
  first?: number;
  /** Regions whose bytes of this very range were found wrong. */
  except?: ReadonlySet<string>;
  /** Ends this one fetch; what is thrown then is no word on the object. */
  signal?: AbortSignal | undefined;
};

/** Whether an error says that the object is bad in a region; every other error says nothing about the object. */
function isDamage(error: unknown): boolean {
  if (error instanceof StoreError) return error.fault === "missing" || error.fault === "corrupt";
  return !(error instanceof ColdkeepError) || error.code === "E_OBJECT" || error.code === "E_FORMAT";
}

/** Reads from a region what its key holds, or a version of it. */
type Fetching<T> = (region: Region, key: string, version: string | undefined) => Promise<T>;

function endsEarly(region: Region, key: string, bytes: number): ColdkeepError {
  return new ColdkeepError("E_OBJECT", `region "${region.name}": ${key} ends after ${bytes} bytes`);
}

/** Fetches the objects of one host, region after region in order of preference. */
export class ObjectSource {
  readonly host: string;
  readonly #regions: readonly Region[];
  readonly #emit: Emit;
  readonly #signal: AbortSignal | undefined;
  /** Object and region pairs found bad: named once, and asked last for what other regions do not have right either. */
  readonly #bad = new Set<string>();
  /** Object and region pairs that have to be thawed first: asked last, and no fault. */
  readonly #frozen = new Set<string>();
  /** Regions that could not be asked: named once. */
  readonly #silent = new Set<string>();
  /** `region id` → the version to read in place of what the key holds, null where there is none. */
  readonly #hidden = new Map<string, Promise<string | null>>();
  /** Those of them that were found. */
  readonly #versions = new Map<string, string>();
  /** Objects whose other region was named. */
  readonly #told = new Set<string>();

  constructor(host: string, regions: readonly Region[], emit: Emit, signal?: AbortSignal) {
    this.host = host;
    this.#regions = regions;
    this.#emit = emit;
    this.#signal = signal;
  }

  /** Objects that a region has missing or wrong, as `region id`. */
  get damaged(): ReadonlySet<string> {
    return this.#bad;
  }

  /** The whole object, its digest checked. `first` starts the order. Throws E_OBJECT when no region has it right, E_STORE when one cannot be asked. */
  async whole(object: ListedObject, first = 0): Promise<Fetched> {
    const except = new Set(this.#regions.map(({ name }) => name).filter((name) => this.#isBad(name, object) && !this.#versions.has(`${name} ${object.id}`)));
    return this.#fromAny(object, { first, except }, async (region, key, version) => {
      const bytes = await region.store.fetchBytes(key, { maxBytes: object.sizeBytes, sizeBytes: object.sizeBytes, version, signal: this.#signal });
      if (sha256Hex(bytes) !== object.sha256) throw new ColdkeepError("E_OBJECT", `region "${region.name}": ${key} does not match its digest`);
      return bytes;
    });
  }

  /** Names of the regions, in order of preference. */
  get regionNames(): string[] {
    return this.#regions.map(({ name }) => name);
  }

  /**
   * Fills `room` with bytes of the object as stored, unchecked but for the object's size, and returns the region they came
   * from: whoever checks them says `noteBad` when they are wrong, and asks again without that region. Throws E_OBJECT,
   * E_STORE as `whole`.
   */
  async fill(object: ListedObject, offset: number, room: Buffer, options: RangeOptions = {}): Promise<string> {
    const signal = options.signal === undefined || this.#signal === undefined ? (options.signal ?? this.#signal) : AbortSignal.any([options.signal, this.#signal]);
    return this.#fromAny(object, options, async (region, key, version) => {
      const got = await region.store.fetchInto(key, { offset, sizeBytes: object.sizeBytes, version, signal }, room);
      if (got !== room.length) throw endsEarly(region, key, offset + got);
      return region.name;
    });
  }

  /** The age header and payload nonce, checked against the signed digest. */
  async head(object: ListedObject, first = 0): Promise<Fetched> {
    return this.#fromAny(object, { first }, async (region, key, version) => {
      const bytes = await this.#part(region, key, object, { offset: 0, length: object.head.lengthBytes, version });
      if (sha256Hex(bytes) !== object.head.sha256) throw new ColdkeepError("E_OBJECT", `region "${region.name}": the head of ${key} does not match its digest`);
      return bytes;
    });
  }

  /** Runs `use` on what each region holds until one is right; for reads whose check lies in the decryption. */
  async checkedRange<T>(object: ListedObject, offset: number, length: number, use: (bytes: Fetched) => T | Promise<T>): Promise<T> {
    return this.#fromAny(object, {}, async (region, key, version) => {
      const bytes = await this.#part(region, key, object, { offset, length, version });
      try {
        return await use(bytes);
      } catch (cause) {
        if (!(cause instanceof ColdkeepError) || cause.code !== "E_OBJECT") throw cause;
        throw new ColdkeepError("E_OBJECT", `region "${region.name}": ${key} is damaged: ${cause.message}`, { cause });
      }
    });
  }

  async #part(region: Region, key: string, object: ListedObject, { offset, length, version }: { offset: number; length: number; version: string | undefined }): Promise<Fetched> {
    const bytes = await region.store.fetchBytes(key, { range: { offset, length }, maxBytes: length, sizeBytes: object.sizeBytes, version, signal: this.#signal });
    if (bytes.length !== length) throw endsEarly(region, key, offset + bytes.length);
    return bytes;
  }

  /** Regions not known to have the object wrong come first: of a partly damaged copy, other ranges may still be right. */
  #order(object: ListedObject, { first = 0, except }: RangeOptions): Region[] {
    const turned = [...this.#regions.slice(first % this.#regions.length), ...this.#regions.slice(0, first % this.#regions.length)];
    const asked = turned.filter(({ name }) => except?.has(name) !== true);
    const rank = ({ name }: Region): number => (this.#isBad(name, object) ? 2 : this.#frozen.has(`${name} ${object.id}`) ? 1 : 0);
    return asked.toSorted((a, b) => rank(a) - rank(b));
  }

  async #fromAny<T>(object: ListedObject, options: RangeOptions, fetch: Fetching<T>): Promise<T> {
    const key = objectKey(this.host, object.kind, object.id);
    const reasons: string[] = [];
    let unasked: StoreError | undefined;
    for (const region of this.#order(object, options)) {
      try {
        const fetched = await this.#fromRegion(region, object, key, { fetch, signal: options.signal });
        this.#tellTaken(region, object);
        return fetched;
      } catch (error) {
        if (this.#signal?.aborted === true || options.signal?.aborted === true) throw error;
        if (isDamage(error)) this.#note(region, object, messageOf(error));
        else if (error instanceof StoreError) unasked = this.#cannotAsk(region, error);
        else throw error;
        reasons.push(messageOf(error));
      }
    }
    const what = `${object.kind} ${object.id}`;
    if (unasked !== undefined) {
      // Nothing is lost while a region that may have it does not answer.
      throw new ColdkeepError("E_STORE", `${what} cannot be read now: ${reasons.join("; ")}`, { hint: unasked.hint, cause: unasked });
    }
    throw new ColdkeepError("E_OBJECT", `${what} is right in no region: ${reasons.join("; ") || "found bad before"}`, {
      hint: "Run `coldkeep verify` to see what else is damaged; files that need this object cannot be restored from these regions.",
    });
  }

  /** What the key holds; where that is wrong, the version of it that is right. */
  async #fromRegion<T>(region: Region, object: ListedObject, key: string, { fetch, signal }: { fetch: Fetching<T>; signal: AbortSignal | undefined }): Promise<T> {
    const known = this.#versions.get(`${region.name} ${object.id}`);
    if (known !== undefined) return fetch(region, key, known);
    try {
      return await fetch(region, key, undefined);
    } catch (error) {
      if (this.#signal?.aborted === true || signal?.aborted === true || !isDamage(error)) throw error;
      const version = await this.#findHidden(region, object);
      if (version === null) throw error;
      this.#note(region, object, messageOf(error));
      return fetch(region, key, version);
    }
  }

  /** Looks once for the version that is right. */
  #findHidden(region: Region, object: ListedObject): Promise<string | null> {
    const name = `${region.name} ${object.id}`;
    const known = this.#hidden.get(name);
    if (known !== undefined) return known;
    const looking = findHiddenVersion(region, this.host, object, this.#signal).then((version) => {
      if (version === null) return null;
      this.#versions.set(name, version);
      this.#emit({ kind: "warning", message: `region "${region.name}": ${object.kind} ${object.id} is hidden by something newer; version ${version} of it is right, and read instead` });
      return version;
    });
    this.#hidden.set(name, looking);
    looking.catch(() => this.#hidden.delete(name));
    return looking;
  }

  #isBad(regionName: string, { id }: ListedObject): boolean {
    return this.#bad.has(`${regionName} ${id}`);
  }

  #note(region: Region, object: ListedObject, message: string): void {
    if (this.#isBad(region.name, object)) return;
    this.#bad.add(`${region.name} ${object.id}`);
    this.#emit({ kind: "warning", message });
  }

  #cannotAsk(region: Region, error: StoreError): StoreError {
    if (!this.#silent.has(region.name)) {
      this.#silent.add(region.name);
      this.#emit({ kind: "warning", message: `${messageOf(error)}; other regions are asked instead`, hint: error.hint });
    }
    return error;
  }

  #tellTaken(region: Region, object: ListedObject): void {
    if (this.#bad.size === 0 || this.#told.has(object.id) || this.#isBad(region.name, object)) return;
    const bad = this.#regions.filter(({ name }) => this.#isBad(name, object)).map(({ name }) => `"${name}"`);
    if (bad.length === 0) return;
    this.#told.add(object.id);
    this.#emit({ kind: "warning", message: `${object.kind} ${object.id} is bad in region ${bad.join(", ")} and taken from region "${region.name}"` });
  }

  /** The region has it in a class that must be thawed before reading. */
  noteFrozen(regionName: string, { id }: ListedObject): void {
    this.#frozen.add(`${regionName} ${id}`);
  }

  /** The bytes a region gave turned out wrong. Resolves to whether it may be asked for them again: a version that was hidden is right. */
  async noteBad(regionName: string, object: ListedObject, message: string): Promise<boolean> {
    const region = this.#regions.find(({ name }) => name === regionName);
    if (region === undefined) return false;
    this.#note(region, object, `region "${regionName}": ${message}`);
    // A region that cannot be asked is found out by whoever asks it for bytes.
    return (await this.#findHidden(region, object).catch(() => null)) !== null;
  }
}

/** Reads plaintext ranges of encrypted objects. */
export class SealedReader {
  readonly #source: ObjectSource;
  readonly #opener: HeaderOpener;
  readonly #keys = new Map<string, Promise<Buffer>>();

  private constructor(source: ObjectSource, opener: HeaderOpener) {
    this.#source = source;
    this.#opener = opener;
  }

  /** Throws E_KIT for malformed identities. */
  static async create(source: ObjectSource, identities: readonly string[]): Promise<SealedReader> {
    return new SealedReader(source, await HeaderOpener.create(identities));
  }

  /** The payload key of an object. Throws E_IDENTITY when no identity opens it, E_OBJECT. */
  payloadKey(object: ListedObject): Promise<Buffer> {
    const known = this.#keys.get(object.id);
    if (known !== undefined) return known;
    const key = this.#source.head(object).then((head) => this.#opener.open(head));
    this.#keys.set(object.id, key);
    key.catch(() => this.#keys.delete(object.id));
    return key;
  }

  /** Bytes `[offset, offset + length)` of the decrypted stream, every 64 KiB chunk authenticated. */
  async read(object: ListedObject, offset: number, length: number): Promise<Buffer> {
    const key = this.payloadKey(object);
    const total = plaintextLength(object.sizeBytes - object.head.lengthBytes);
    const span = chunkSpan(offset, length, total);
    // Both are fetched at once; without the right head nothing is opened, and the range is not to blame.
    const opened = key.catch(() => Promise.reject(new ColdkeepError("E_INTERNAL", "there is no key")));
    opened.catch(() => undefined);
    try {
      return await this.#source.checkedRange(object, object.head.lengthBytes + span.cipherOffset, span.cipherLength, async (bytes) =>
        openChunks(bytes, await opened, span.firstChunk, total).subarray(span.skip, span.skip + length),
      );
    } catch (error) {
      await key;
      throw error;
    }
  }
}
