/** Reads stored objects from whichever region has them right: whole against their digest, or ranges through age (format §9). */
import { HeaderOpener } from "../codec/age-header.ts";
import { chunkSpan, openChunks, openWhole, plaintextLength } from "../codec/age-payload.ts";
import { sha256Hex } from "../codec/digest.ts";
import { ColdkeepError, messageOf } from "../errors.ts";
import type { ListedObject } from "../format/manifest.ts";
import { objectKey } from "../format/object-key.ts";
import type { Emit } from "./events.ts";
import type { Region } from "./region.ts";

type Fetched = Buffer<ArrayBuffer>;

/** Fetches the objects of one host, region after region in order of preference. */
export class ObjectSource {
  readonly host: string;
  readonly #regions: readonly Region[];
  readonly #emit: Emit;
  readonly #signal: AbortSignal | undefined;
  /** Object and region pairs found bad: named once, not asked again. */
  readonly #bad = new Set<string>();

  constructor(host: string, regions: readonly Region[], emit: Emit, signal?: AbortSignal) {
    this.host = host;
    this.#regions = regions;
    this.#emit = emit;
    this.#signal = signal;
  }

  /** Objects that had to be taken from another region than the first, as `region id`. */
  get damaged(): ReadonlySet<string> {
    return this.#bad;
  }

  /** The whole object, its digest checked. `region` starts the order. Throws E_OBJECT when no region has it right. */
  async whole(object: ListedObject, first = 0): Promise<Fetched> {
    return this.#fromAny(object, first, async (region, key) => {
      const bytes = await region.store.fetchBytes(key, { maxBytes: object.sizeBytes, sizeBytes: object.sizeBytes, signal: this.#signal });
      if (sha256Hex(bytes) !== object.sha256) throw new ColdkeepError("E_OBJECT", `region "${region.name}": ${key} does not match its digest`);
      return bytes;
    });
  }

  /**
   * Bytes of the object as stored, unchecked but for the object's size, and the region they came from: whoever checks them
   * says `noteBad` when they are wrong, and asks again.
   */
  async part(object: ListedObject, offset: number, length: number, first = 0): Promise<{ bytes: Fetched; region: string }> {
    return this.#fromAny(object, first, async (region, key) => ({ bytes: await this.#part(region, key, object, offset, length), region: region.name }));
  }

  /** The age header and payload nonce, checked against the signed digest. */
  async head(object: ListedObject, first = 0): Promise<Fetched> {
    return this.#fromAny(object, first, async (region, key) => {
      const bytes = await this.#part(region, key, object, 0, object.head.lengthBytes);
      if (sha256Hex(bytes) !== object.head.sha256) throw new ColdkeepError("E_OBJECT", `region "${region.name}": the head of ${key} does not match its digest`);
      return bytes;
    });
  }

  /** Runs `use` on what each region holds until one is right; for reads whose check lies in the decryption. */
  async checkedRange<T>(object: ListedObject, offset: number, length: number, use: (bytes: Fetched) => T): Promise<T> {
    return this.#fromAny(object, 0, async (region, key) => use(await this.#part(region, key, object, offset, length)));
  }

  async #part(region: Region, key: string, object: ListedObject, offset: number, length: number): Promise<Fetched> {
    const bytes = await region.store.fetchBytes(key, { range: { offset, length }, maxBytes: length, sizeBytes: object.sizeBytes, signal: this.#signal });
    if (bytes.length !== length) throw new ColdkeepError("E_OBJECT", `region "${region.name}": ${key} ends after ${offset + bytes.length} bytes`);
    return bytes;
  }

  async #fromAny<T>(object: ListedObject, first: number, fetch: (region: Region, key: string) => Promise<T>): Promise<T> {
    const key = objectKey(this.host, object.kind, object.id);
    const reasons: string[] = [];
    for (let i = 0; i < this.#regions.length; i++) {
      const region = this.#regions[(first + i) % this.#regions.length];
      if (region === undefined || this.#bad.has(`${region.name} ${object.id}`)) continue;
      try {
        return await fetch(region, key);
      } catch (error) {
        if (this.#signal?.aborted === true) throw error;
        reasons.push(messageOf(error));
        this.#note(region, object, error);
      }
    }
    throw new ColdkeepError("E_OBJECT", `${object.kind} ${object.id} is right in no region: ${reasons.join("; ") || "found bad before"}`, {
      hint: "Run `coldkeep verify` to see what else is damaged; files that need this object cannot be restored from these regions.",
    });
  }

  #note(region: Region, object: ListedObject, error: unknown): void {
    const pair = `${region.name} ${object.id}`;
    if (this.#bad.has(pair)) return;
    this.#bad.add(pair);
    this.#emit({ kind: "warning", message: `${messageOf(error)}; ${object.kind} ${object.id} is taken from another region if one has it` });
  }

  /** The bytes a region gave turned out wrong: it is not asked for this object again. */
  noteBad(regionName: string, object: ListedObject, message: string): void {
    const region = this.#regions.find(({ name }) => name === regionName);
    if (region !== undefined) this.#note(region, object, new ColdkeepError("E_OBJECT", `region "${regionName}": ${message}`));
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
    return key;
  }

  /** Bytes `[offset, offset + length)` of the decrypted stream, every 64 KiB chunk authenticated. */
  async read(object: ListedObject, offset: number, length: number): Promise<Buffer> {
    const key = await this.payloadKey(object);
    const total = plaintextLength(object.sizeBytes - object.head.lengthBytes);
    const span = chunkSpan(offset, length, total);
    return this.#source.checkedRange(object, object.head.lengthBytes + span.cipherOffset, span.cipherLength, (bytes) =>
      openChunks(bytes, key, span.firstChunk, total).subarray(span.skip, span.skip + length),
    );
  }

  /** The whole decrypted stream. */
  async readWhole(object: ListedObject): Promise<Buffer> {
    const key = await this.payloadKey(object);
    const bytes = await this.#source.whole(object);
    return openWhole(bytes.subarray(object.head.lengthBytes), key);
  }
}
