/** Large files being written: a few open descriptors, and what is known of the bytes that lie on disk already. */
import { closeSync, readSync } from "node:fs";
import { sha256Hex } from "../../codec/digest.ts";
import { writeFully } from "../../disk/atomic-write.ts";
import { ColdkeepError, messageOf, systemCode } from "../../errors.ts";
import type { RestoreTarget } from "../../disk/restore-target.ts";

const OPEN_MAX = 16;

type OpenFile = { partial: number; /** What lies under the final name, in a merge. */ existing: number | null };

export class PartialFiles {
  readonly #target: RestoreTarget;
  readonly #id: string;
  readonly #merge: boolean;
  readonly #open = new Map<string, OpenFile>();

  constructor(target: RestoreTarget, id: string, merge: boolean) {
    this.#target = target;
    this.#id = id;
    this.#merge = merge;
  }

  /** Whether a chunk is in place, also by taking it from what lies under the final name. */
  hasChunk(path: string, size: number, at: number, length: number, sha256: string): boolean {
    if (!this.#merge) return false;
    const file = this.#file(path, size);
    const buffer = Buffer.allocUnsafe(length);
    if (readSync(file.partial, buffer, 0, length, at) === length && sha256Hex(buffer) === sha256) return true;
    if (file.existing === null || readSync(file.existing, buffer, 0, length, at) !== length || sha256Hex(buffer) !== sha256) return false;
    this.#write(path, file, buffer, at);
    return true;
  }

  write(path: string, size: number, at: number, bytes: Buffer): void {
    this.#write(path, this.#file(path, size), bytes, at);
  }

  #write(path: string, file: OpenFile, bytes: Buffer, at: number): void {
    try {
      writeFully(file.partial, bytes, at);
    } catch (cause) {
      const hint = systemCode(cause) === "ENOSPC" ? "Free some space in the target." : undefined;
      throw new ColdkeepError("E_DISK", `cannot write ${path} in the target: ${messageOf(cause)}`, { hint, cause });
    }
  }

  /** Makes the file, all hole, unless it is there. */
  ensure(path: string, size: number): void {
    this.#file(path, size);
  }

  closeAll(): void {
    for (const path of this.#open.keys()) this.#close(path);
  }

  #file(path: string, size: number): OpenFile {
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    const [oldest] = this.#open.keys();
    if (this.#open.size >= OPEN_MAX && oldest !== undefined) this.#close(oldest);
    const file = { partial: this.#target.openPartial(path, this.#id, size), existing: this.#merge ? this.#target.readBack(path) : null };
    this.#open.set(path, file);
    return file;
  }

  #close(path: string): void {
    const file = this.#open.get(path);
    if (file === undefined) return;
    this.#open.delete(path);
    closeSync(file.partial);
    if (file.existing !== null) closeSync(file.existing);
  }
}
