/** A second opinion on a volume: the `tar` package's own strict parser must accept its stream to the end. */
import type { Parser } from "tar";
import { ColdkeepError } from "../../errors.ts";

const BLOCK_BYTES = 512;

export class TarCheck {
  readonly #parser: Parser;
  /** What is left of a block that came in two pieces. */
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #blockLength = 0;
  #fault: Error | undefined;
  #hasEnd = false;

  private constructor(parser: Parser) {
    this.#parser = parser;
    parser.on("entry", (entry: { resume(): void }) => entry.resume());
    parser.on("ignoredEntry", () => (this.#fault ??= new Error("a header of an unusable size")));
    parser.on("eof", () => (this.#hasEnd = true));
    parser.on("error", (error: Error) => (this.#fault ??= error));
  }

  /** Loads the package on first use. */
  static async create(): Promise<TarCheck> {
    const tar = await import("tar");
    return new TarCheck(new tar.Parser({ strict: true, zstd: false, brotli: false }));
  }

  /** The next bytes of the stream, which may change afterwards: the parser keeps none of whole blocks. Throws E_FORMAT. */
  push(bytes: Buffer): void {
    let start = 0;
    if (this.#blockLength > 0) {
      start = bytes.copy(this.#block, this.#blockLength);
      this.#blockLength += start;
      if (this.#blockLength < BLOCK_BYTES) return;
      this.#parser.write(Buffer.from(this.#block));
    }
    const end = bytes.length - ((bytes.length - start) % BLOCK_BYTES);
    if (end > start) this.#parser.write(bytes.subarray(start, end));
    this.#blockLength = bytes.copy(this.#block, 0, end);
    this.#throwFault();
  }

  /** The stream is over. Throws E_FORMAT, also when the two zero blocks are missing. */
  end(): void {
    this.#parser.end(this.#block.subarray(0, this.#blockLength));
    this.#throwFault();
    if (!this.#hasEnd) throw new ColdkeepError("E_FORMAT", "its tar stream has no end");
  }

  #throwFault(): void {
    if (this.#fault !== undefined) throw new ColdkeepError("E_FORMAT", `its tar stream is malformed: ${this.#fault.message}`, { cause: this.#fault });
  }
}
