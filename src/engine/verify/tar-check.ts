/** A second opinion on a volume: the `tar` package's own strict parser must accept its stream to the end. */
import type { Parser } from "tar";
import { ColdkeepError } from "../../errors.ts";

export class TarCheck {
  readonly #parser: Parser;
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

  /** The next bytes of the stream. Throws E_FORMAT. */
  push(bytes: Buffer): void {
    this.#parser.write(bytes);
    this.#throwFault();
  }

  /** The stream is over. Throws E_FORMAT, also when the two zero blocks are missing. */
  end(): void {
    this.#parser.end();
    this.#throwFault();
    if (!this.#hasEnd) throw new ColdkeepError("E_FORMAT", "its tar stream has no end");
  }

  #throwFault(): void {
    if (this.#fault !== undefined) throw new ColdkeepError("E_FORMAT", `its tar stream is malformed: ${this.#fault.message}`, { cause: this.#fault });
  }
}
