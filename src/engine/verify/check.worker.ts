/** Thread that hashes objects, and decrypts and checks volumes; it reads piece lists and writes nothing. */
import { parentPort, workerData } from "node:worker_threads";
import { HeaderOpener } from "../../codec/age-header.ts";
import { RunningDigest } from "../../codec/digest.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { toPortableError } from "../portable-error.ts";
import type { CheckSetup, CheckToMain, MainToCheck } from "./messages.ts";
import { PieceList } from "./piece-list.ts";
import { TarCheck } from "./tar-check.ts";
import { VolumeCheck } from "./volume-check.ts";

type Job = { object: ListedObject; digest: RunningDigest; volume: VolumeCheck | null };

class Checker {
  readonly #identities: string[];
  readonly #jobs = new Map<number, Job>();
  #opener: Promise<HeaderOpener> | undefined;

  constructor(setup: CheckSetup) {
    this.#identities = setup.identities;
  }

  async handle(message: MainToCheck): Promise<void> {
    switch (message.kind) {
      case "begin":
        this.#jobs.set(message.job, { object: message.object, digest: new RunningDigest(), volume: await this.#openVolume(message.object, message.pieces) });
        return;
      case "bytes":
        await this.#take(message.job, Buffer.from(message.bytes, 0, message.length));
        tell({ kind: "taken", job: message.job });
        return this.#conclude(message.job);
      case "abandon":
        this.#jobs.delete(message.job);
        return;
    }
  }

  async #openVolume(object: ListedObject, pieces: string | null): Promise<VolumeCheck | null> {
    if (pieces === null) return null;
    this.#opener ??= HeaderOpener.create(this.#identities);
    return new VolumeCheck(object, await this.#opener, PieceList.load(pieces), await TarCheck.create());
  }

  async #take(number: number, bytes: Buffer): Promise<void> {
    const job = this.#jobs.get(number);
    job?.digest.update(bytes);
    await job?.volume?.push(bytes);
  }

  #conclude(number: number): void {
    const job = this.#jobs.get(number);
    if (job === undefined || job.digest.length < job.object.sizeBytes) return;
    this.#jobs.delete(number);
    tell({ kind: "checked", job: number, outcome: { sha256: job.digest.hex(), faults: job.volume?.faults ?? [] } });
  }
}

function tell(message: CheckToMain): void {
  parentPort?.postMessage(message);
}

// The thread's data and messages come from `CheckerPool` alone.
const checker = new Checker(workerData as CheckSetup);
let last: Promise<void> = Promise.resolve();
parentPort?.on("message", (message: MainToCheck) => {
  last = last.then(() => checker.handle(message)).catch((error: unknown) => tell({ kind: "error", error: toPortableError(error) }));
});
