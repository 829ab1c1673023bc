/**
 * Catalog segments kept on this machine, one compressed file each, named by the digest of their text. A cache: readers check
 * the digest after decompressing, and fetch again what does not match.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../codec/digest.ts";
import { decompressFrame } from "../codec/zstd.ts";
import { stateFault } from "./database.ts";

export class CatalogCache {
  readonly directory: string;

  /** Throws E_DISK. */
  constructor(directory: string) {
    this.directory = directory;
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw stateFault(directory, error);
    }
  }

  #path(sha256: string): string {
    return join(this.directory, `${sha256}.zst`);
  }

  /** The compressed frame as stored, unchecked; undefined when it is not here. */
  frame(sha256: string): Buffer | undefined {
    try {
      return readFileSync(this.#path(sha256));
    } catch {
      return undefined;
    }
  }

  /** Whether there is a frame of that name; what it holds is checked when it is read. */
  has(sha256: string): boolean {
    return existsSync(this.#path(sha256));
  }

  /** The text of a segment when it is here and intact; a damaged one is removed. `sizeBytes` is the size of the text. */
  text(sha256: string, sizeBytes: number): Buffer | undefined {
    const frame = this.frame(sha256);
    if (frame === undefined) return undefined;
    try {
      const text = decompressFrame(frame, sizeBytes);
      if (sha256Hex(text) === sha256) return text;
    } catch {
      // No frame at all: as good as a wrong digest.
    }
    rmSync(this.#path(sha256), { force: true });
    return undefined;
  }

  /** Keeps a frame. Written under another name first, so that a killed run leaves no half of one. Throws E_DISK. */
  keep(sha256: string, frame: Uint8Array): void {
    const path = this.#path(sha256);
    const temporary = `${path}.${randomBytes(6).toString("hex")}.new`;
    try {
      writeFileSync(temporary, frame, { mode: 0o600 });
      renameSync(temporary, path);
    } catch (error) {
      throw stateFault(this.directory, error);
    }
  }

  /** Removes every segment not in `needed`. */
  retain(needed: ReadonlySet<string>): void {
    for (const name of readdirSync(this.directory)) {
      if (!needed.has(name.replace(/\.zst$/, ""))) rmSync(join(this.directory, name), { force: true });
    }
  }
}
