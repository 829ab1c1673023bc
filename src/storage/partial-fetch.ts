/** Reading an object into memory over several attempts, each going on where the one before broke off. */
import { type ObjectStore, StoreError } from "./object-store.ts";

export type Fetch = {
  /** Bytes `[offset, offset + length)`; fewer where the object ends before. Default: the whole object. */
  range?: { offset: number; length: number } | undefined;
  /** More than this is refused as `corrupt` before it fills the memory. */
  maxBytes: number;
  /** Size the whole object must have; any other is refused as `corrupt` before a byte is read. */
  sizeBytes?: number | undefined;
  /** As in GetOptions. */
  version?: string | undefined;
  signal?: AbortSignal | undefined;
};

/** One fetch under way. The digest of the result is the caller's to check: the object may change between attempts. */
export class PartialFetch<B extends ArrayBufferLike> {
  readonly #key: string;
  readonly #offset: number;
  /** How many bytes are wanted, as far as the request says. */
  readonly #limit: number;
  readonly #maxBytes: number;
  readonly #expectedSizeBytes: number | undefined;
  readonly #version: string | undefined;
  readonly #doing: string;
  readonly #make: (bytes: number) => Buffer<B>;
  #bytes: Buffer<B>;
  #received = 0;
  /** Size of the whole object by the first answer. */
  #sizeBytes: number | undefined;
  #receivedBefore = 0;

  /** `make` gives room for as many bytes, at most `maxBytes`. */
  constructor(key: string, fetch: Fetch, doing: string, make: (bytes: number) => Buffer<B>) {
    this.#make = make;
    this.#bytes = make(0);
    this.#key = key;
    this.#offset = fetch.range?.offset ?? 0;
    this.#limit = fetch.range?.length ?? Number.POSITIVE_INFINITY;
    this.#maxBytes = fetch.maxBytes;
    this.#expectedSizeBytes = fetch.sizeBytes;
    this.#version = fetch.version;
    this.#doing = doing;
  }

  /** Whether the last attempt brought bytes although it failed. */
  progressed(): boolean {
    return this.#received > this.#receivedBefore;
  }

  /** Reads on to the end. Throws StoreError; what arrived until then is kept for the next call. */
  async goOn(store: ObjectStore, signal: AbortSignal | undefined): Promise<Buffer<B>> {
    this.#receivedBefore = this.#received;
    const opened = await store.get(this.#key, { ...this.#rest(), version: this.#version, signal });
    const wanted = Math.max(0, Math.min(this.#limit, opened.sizeBytes - this.#offset));
    // Refusals come from inside the loop: leaving it releases the connection.
    for await (const piece of opened.body) {
      this.#checkSize(opened.sizeBytes);
      if (wanted > this.#maxBytes) throw this.#tooLong(wanted);
      this.#begin(opened.sizeBytes, wanted);
      if (this.#received + piece.length > wanted) throw this.#tooLong(this.#received + piece.length);
      this.#bytes.set(piece, this.#received);
      this.#received += piece.length;
    }
    this.#checkSize(opened.sizeBytes);
    if (this.#received !== wanted) {
      throw new StoreError("transient", `${this.#doing}: ${this.#received} of ${wanted} bytes arrived`);
    }
    return this.#bytes;
  }

  #checkSize(sizeBytes: number): void {
    if (this.#expectedSizeBytes === undefined || sizeBytes === this.#expectedSizeBytes) return;
    throw new StoreError("corrupt", `${this.#doing}: it has ${sizeBytes} bytes and should have ${this.#expectedSizeBytes}`);
  }

  /** Makes room at the first piece. An object of another size was replaced meanwhile: pieces of both must not be joined. */
  #begin(sizeBytes: number, wanted: number): void {
    if (this.#sizeBytes === undefined) {
      this.#sizeBytes = sizeBytes;
      this.#bytes = this.#make(wanted);
    } else if (this.#sizeBytes !== sizeBytes) {
      this.#sizeBytes = undefined;
      this.#received = 0;
      this.#receivedBefore = 0;
      throw new StoreError("transient", `${this.#doing}: the object changed to ${sizeBytes} bytes while it was read`);
    }
  }

  #rest(): { range?: { offset: number; length: number } } {
    if (this.#limit === Number.POSITIVE_INFINITY && this.#received === 0) return {};
    const end = this.#offset + Math.min(this.#limit, (this.#sizeBytes ?? Number.POSITIVE_INFINITY) - this.#offset);
    const offset = this.#offset + this.#received;
    return { range: { offset, length: Math.max(0, end - offset) } };
  }

  #tooLong(bytes: number): StoreError {
    return new StoreError("corrupt", `${this.#doing}: ${bytes} bytes are more than it may have`);
  }
}
