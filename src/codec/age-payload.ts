/**
 * The payload of an age v1 file (C2SP age.md, "Payload"): STREAM with ChaCha20-Poly1305 over chunks of 64 KiB, the
 * nonce an 11-byte big-endian counter and a byte that is 1 for the last chunk only. All positions here are relative
 * to the start of the payload, which follows the head (age header and payload nonce).
 */
import { ColdkeepError } from "../errors.ts";
import { KIB } from "../units.ts";
import { RunningDigest } from "./digest.ts";
import { aeadEngine } from "./native.ts";

export const CHUNK_BYTES = 64 * KIB;
export const TAG_BYTES = 16;
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

const NONCE_BYTES = 12;
const LAST_FLAG_AT = 11;

/** Writes the nonce of chunk `index`; six bytes of counter are far more than any object needs. */
function writeNonce(nonce: Buffer, index: number, isLast: boolean): void {
  nonce.writeUIntBE(index, LAST_FLAG_AT - 6, 6);
  nonce[LAST_FLAG_AT] = isLast ? 1 : 0;
}

/** Chunks of a payload of `plainLength` bytes; an empty one has one empty chunk. */
function chunkCount(plainLength: number): number {
  return Math.max(1, Math.ceil(plainLength / CHUNK_BYTES));
}

/** Length in bytes of the payload that `plainLength` bytes become. */
export function ciphertextLength(plainLength: number): number {
  return plainLength + chunkCount(plainLength) * TAG_BYTES;
}

/** Length in bytes of the plaintext of a payload of `cipherLength` bytes. Throws E_OBJECT where none has that length. */
export function plaintextLength(cipherLength: number): number {
  const chunks = Math.ceil(cipherLength / SEALED_CHUNK_BYTES);
  const plain = cipherLength - chunks * TAG_BYTES;
  const lastPlain = plain - (chunks - 1) * CHUNK_BYTES;
  if (!Number.isSafeInteger(cipherLength) || chunks < 1 || lastPlain < 0 || (lastPlain === 0 && chunks > 1)) {
    throw new ColdkeepError("E_OBJECT", `no age payload has ${cipherLength} bytes`);
  }
  return plain;
}

/**
 * Encrypts a stream of bytes, piece by piece, into a buffer the caller owns, and digests everything written there,
 * head included. Where the object is longer than the buffer, `drain` makes room.
 */
export class PayloadSealer {
  readonly #key: Uint8Array;
  readonly #target: Buffer;
  readonly #digest = new RunningDigest();
  readonly #nonce = Buffer.alloc(NONCE_BYTES);
  /** Plaintext that may yet turn out to be the last chunk; a chunk goes out once a byte follows it. */
  readonly #pending = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #pendingLength = 0;
  #index = 0;
  #end = 0;
  #digested = 0;
  #isFinished = false;

  /** Starts `target` with `head` (age header and payload nonce, as `HeaderSealer` makes them). */
  constructor(head: Uint8Array, payloadKey: Uint8Array, target: Buffer) {
    this.#key = payloadKey;
    this.#target = target;
    this.#requireRoom(head.length);
    target.set(head, 0);
    this.#end = head.length;
  }

  /** Bytes in the target since the start or the last `drain`. */
  get end(): number {
    return this.#end;
  }

  /** Encrypts `bytes` behind what came before. Throws E_INTERNAL when the target has no room for them. */
  push(bytes: Uint8Array): void {
    if (this.#isFinished) throw new ColdkeepError("E_INTERNAL", "an age payload takes no bytes after its last chunk");
    this.#requireRoom(Math.floor((this.#pendingLength + bytes.length) / CHUNK_BYTES) * SEALED_CHUNK_BYTES);
    let at = this.#fillPending(bytes, 0);
    if (at < bytes.length && this.#pendingLength > 0) {
      this.#seal(this.#pending, false);
      this.#pendingLength = 0;
    }
    for (; bytes.length - at > CHUNK_BYTES; at += CHUNK_BYTES) this.#seal(bytes.subarray(at, at + CHUNK_BYTES), false);
    this.#fillPending(bytes, at);
    this.#digestWritten();
  }

  /** Seals the last chunk. Returns length in bytes and SHA-256 of the whole object. */
  finish(): { length: number; sha256: string } {
    if (this.#isFinished) throw new ColdkeepError("E_INTERNAL", "an age payload ends once");
    this.#isFinished = true;
    this.#requireRoom(this.#pendingLength + TAG_BYTES);
    this.#seal(this.#pending.subarray(0, this.#pendingLength), true);
    this.#digestWritten();
    return { length: this.#digest.length, sha256: this.#digest.hex() };
  }

  /**
   * What was written since the start or the last call, as a view of the target, and starts over at its beginning:
   * the caller must have copied or written the view out before the next `push`.
   */
  drain(): Buffer {
    if (!this.#isFinished) this.#digestWritten();
    const written = this.#target.subarray(0, this.#end);
    this.#end = 0;
    this.#digested = 0;
    return written;
  }

  #requireRoom(length: number): void {
    if (this.#end + length > this.#target.length) {
      throw new ColdkeepError("E_INTERNAL", `age payload of ${this.#end + length} bytes in a buffer of ${this.#target.length}`);
    }
  }

  /** Copies from `bytes[at…]` what the pending chunk takes, and returns where it stopped. */
  #fillPending(bytes: Uint8Array, at: number): number {
    const taken = Math.min(bytes.length - at, CHUNK_BYTES - this.#pendingLength);
    this.#pending.set(bytes.subarray(at, at + taken), this.#pendingLength);
    this.#pendingLength += taken;
    return at + taken;
  }

  #seal(chunk: Uint8Array, isLast: boolean): void {
    writeNonce(this.#nonce, this.#index++, isLast);
    aeadEngine.seal(this.#key, this.#nonce, chunk, this.#target.subarray(this.#end, this.#end + chunk.length + TAG_BYTES));
    this.#end += chunk.length + TAG_BYTES;
  }

  #digestWritten(): void {
    if (this.#digested < this.#end) this.#digest.update(this.#target.subarray(this.#digested, this.#end));
    this.#digested = this.#end;
  }
}

/** Decrypts a whole payload. Nothing is returned unless every chunk is right and the last is the last. Throws E_OBJECT. */
export function openWhole(payload: Uint8Array, payloadKey: Uint8Array): Buffer {
  return openChunks(payload, payloadKey, 0, plaintextLength(payload.length));
}

/** Which bytes of a payload hold a range of plaintext; all in bytes but `firstChunk`. */
export type ChunkSpan = {
  cipherOffset: number;
  cipherLength: number;
  firstChunk: number;
  /** Where the range begins in what `openChunks` returns. */
  skip: number;
};

/** The whole chunks that hold `plainLength` (at least 1) bytes from `plainOffset` on, of a plaintext of `plainTotal`. Throws E_OBJECT. */
export function chunkSpan(plainOffset: number, plainLength: number, plainTotal: number): ChunkSpan {
  if (!(plainOffset >= 0 && plainLength >= 1 && plainOffset + plainLength <= plainTotal)) {
    throw new ColdkeepError("E_OBJECT", `${plainLength} bytes at ${plainOffset} lie outside a plaintext of ${plainTotal} bytes`);
  }
  const firstChunk = Math.floor(plainOffset / CHUNK_BYTES);
  const endChunk = Math.ceil((plainOffset + plainLength) / CHUNK_BYTES);
  const cipherOffset = firstChunk * SEALED_CHUNK_BYTES;
  const cipherEnd = Math.min(endChunk * SEALED_CHUNK_BYTES, ciphertextLength(plainTotal));
  return { cipherOffset, cipherLength: cipherEnd - cipherOffset, firstChunk, skip: plainOffset - firstChunk * CHUNK_BYTES };
}

/**
 * Decrypts whole chunks, from number `firstChunk` on, of a payload whose plaintext has `plainTotal` bytes: the total
 * fixes which chunk carries the last flag and how long it is. Returns nothing unless every tag is right. The plaintext lies
 * in `room` where that is given and long enough, else in a new buffer. Throws E_OBJECT.
 */
export function openChunks(sealed: Uint8Array, payloadKey: Uint8Array, firstChunk: number, plainTotal: number, room?: Buffer): Buffer {
  const view = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
  const chunks = Math.ceil(view.length / SEALED_CHUNK_BYTES);
  const total = chunkCount(plainTotal);
  const reachesEnd = firstChunk + chunks === total;
  const expected = reachesEnd ? ciphertextLength(plainTotal) - firstChunk * SEALED_CHUNK_BYTES : chunks * SEALED_CHUNK_BYTES;
  if (chunks < 1 || firstChunk < 0 || firstChunk + chunks > total || view.length !== expected) {
    throw new ColdkeepError("E_OBJECT", `${view.length} bytes are not whole chunks of an age payload of ${plainTotal} bytes`);
  }
  const plainLength = view.length - chunks * TAG_BYTES;
  const plain = room !== undefined && room.length >= plainLength ? room.subarray(0, plainLength) : Buffer.allocUnsafeSlow(plainLength);
  const nonce = Buffer.alloc(NONCE_BYTES);
  for (let i = 0; i < chunks; i++) {
    const at = i * SEALED_CHUNK_BYTES;
    writeNonce(nonce, firstChunk + i, firstChunk + i === total - 1);
    const from = i * CHUNK_BYTES;
    if (aeadEngine.open(payloadKey, nonce, view.subarray(at, at + SEALED_CHUNK_BYTES), plain.subarray(from, from + CHUNK_BYTES))) continue;
    throw new ColdkeepError("E_OBJECT", `age payload is damaged in its 64 KiB chunk ${firstChunk + i}`);
  }
  return plain;
}
