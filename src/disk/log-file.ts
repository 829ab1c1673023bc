/** A file that lines are appended to, by several processes at once: each line is one write(2) with O_APPEND. */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";

export class LogFile {
  readonly #fd: number;

  /** Opens or makes the file, mode 0600; one that is there keeps its mode. Throws system errors. */
  constructor(path: string) {
    // Without following links, which another user may have put there; without waiting for the reader of a FIFO.
    this.#fd = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
    if (fstatSync(this.#fd).isFile()) return;
    closeSync(this.#fd);
    throw new Error("it is not a regular file");
  }

  /** Throws system errors. */
  append(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    const written = writeSync(this.#fd, bytes);
    if (written < bytes.length) throw new Error("the disk is full");
  }

  close(): void {
    closeSync(this.#fd);
  }
}
