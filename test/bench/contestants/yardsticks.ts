/** What is measured beside the programs: the plainest encrypted archive, and the start of Node itself. */
import { spawnSync } from "node:child_process";
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { generateIdentity, identityToRecipient } from "age-encryption";
import type { Measured, Meter } from "../measure.ts";
import type { Contestant } from "./contestant.ts";

export function isInstalled(...programs: readonly string[]): boolean {
  return programs.every((program) => spawnSync("sh", ["-c", 'command -v "$1"', "sh", program]).status === 0);
}

/** One file beside the source: no store, no index, no second copy, everything anew each time. */
export class Pipe implements Contestant {
  readonly name = "tar|zstd|age";
  readonly #file: string;
  readonly #source: string;
  readonly #meter: Meter;
  #recipient = "";
  #bytes = 0;

  static isInstalled(): boolean {
    return isInstalled("bash", "tar", "zstd", "age");
  }

  constructor(folder: string, source: string, meter: Meter) {
    this.#file = join(folder, "pipe.tar.zst.age");
    this.#source = source;
    this.#meter = meter;
  }

  async prepare(): Promise<void> {
    this.#recipient = await identityToRecipient(await generateIdentity());
  }

  async backup(): Promise<Measured> {
    const pipe = 'tar -C "$1" -cf - . | zstd -T0 -q | age -r "$2" -o "$3"';
    const measured = await this.#meter.run({ argv: ["bash", "-o", "pipefail", "-c", pipe, "bash", this.#source, this.#recipient, this.#file], env: {} });
    this.#bytes += statSync(this.#file).size;
    rmSync(this.#file);
    return measured;
  }

  async storedBytes(): Promise<number> {
    return this.#bytes;
  }
}

export class BareNode implements Contestant {
  readonly name = "node -e 0";
  readonly #meter: Meter;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  start(): Promise<Measured> {
    return this.#meter.run({ argv: [process.execPath, "-e", "0"], env: {} });
  }
}
