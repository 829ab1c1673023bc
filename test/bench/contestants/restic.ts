/** restic with its defaults. */
import { join } from "node:path";
import type { Measured, Meter } from "../measure.ts";
import type { Place } from "../stores.ts";
import type { Contestant, Depth } from "./contestant.ts";

export class Restic implements Contestant {
  readonly name = "restic";
  readonly #folder: string;
  readonly #source: string;
  readonly #place: Place;
  readonly #meter: Meter;

  constructor(folder: string, source: string, place: Place, meter: Meter) {
    this.#folder = folder;
    this.#source = source;
    this.#place = place;
    this.#meter = meter;
  }

  async prepare(): Promise<void> {
    await this.#run("init");
  }

  backup(): Promise<Measured> {
    return this.#run("backup", this.#source);
  }

  /** What lies in the target is compared by content, as by us. */
  restore(target: string): Promise<Measured> {
    return this.#run("restore", "latest", "--target", target);
  }

  restoreOne(path: string, target: string): Promise<Measured> {
    return this.#run("--no-cache", "restore", "latest", "--include", path, "--target", target);
  }

  /** Its `--read-data` is both of our deeper levels at once. */
  verify(depth: Depth): Promise<Measured> {
    return this.#run("check", ...(depth === "presence" ? [] : ["--read-data"]));
  }

  list(): Promise<Measured> {
    return this.#run("snapshots");
  }

  start(): Promise<Measured> {
    return this.#meter.run({ argv: ["restic", "version"], env: {} });
  }

  storedBytes(): Promise<number> {
    return this.#place.storedBytes();
  }

  #run(...args: string[]): Promise<Measured> {
    const { keys, resticUrl, resticOptions } = this.#place;
    const env = { RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(this.#folder, "restic-cache") };
    const s3 = keys === undefined ? {} : { AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey };
    return this.#meter.run({ argv: ["restic", "-q", "-r", resticUrl, ...resticOptions, ...args], env: { ...env, ...s3 } });
  }
}
