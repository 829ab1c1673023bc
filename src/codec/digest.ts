/** SHA-256, the one content digest of the format: 32 bytes, written as 64 lower-case hex digits. */
import { createHash, hash } from "node:crypto";

/** SHA-256 of the bytes (or of the text as UTF-8) as 64 lower-case hex digits. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return hash("sha256", bytes, "hex");
}

/** SHA-256 of the bytes (or of the text as UTF-8) as 32 raw bytes. */
export function sha256(bytes: Uint8Array | string): Buffer {
  return hash("sha256", bytes, "buffer");
}

/** SHA-256 of bytes that arrive in pieces, with a count of them. */
export class RunningDigest {
  readonly #hash = createHash("sha256");
  #length = 0;

  /** Bytes taken in so far. */
  get length(): number {
    return this.#length;
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#length += bytes.length;
  }

  /** The digest as hex; the object takes no more bytes afterwards. */
  hex(): string {
    return this.#hash.digest("hex");
  }
}
