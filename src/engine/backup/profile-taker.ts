/** The machine's profile, taken in a thread of its own while the sources are walked: nothing of it can hold up or fail a backup. */
import type { Worker } from "node:worker_threads";
import type { LoadedConfig } from "../../config/load.ts";
import { messageOf } from "../../errors.ts";
import type { Profile } from "../../format/profile.ts";
import type { Emit } from "../events.ts";
import { coverageOf } from "../machine-profile.ts";
import { startWorker } from "../start-worker.ts";
import type { ProfileSetup } from "./profile.worker.ts";

/** From the start of the run; by then the walk of a small tree has long ended. */
const DEADLINE_MS = 10_000;

export class ProfileTaker {
  readonly #worker: Worker | null;
  readonly #taken: Promise<Profile | null>;
  #timer: NodeJS.Timeout | undefined;

  constructor(loaded: LoadedConfig, emit: Emit) {
    if (!loaded.config.machine.profile) {
      this.#worker = null;
      this.#taken = Promise.resolve(null);
      return;
    }
    const worker = startWorker(new URL("./profile.worker.ts", import.meta.url), { coverage: coverageOf(loaded) } satisfies ProfileSetup);
    this.#worker = worker;
    this.#taken = new Promise<Profile>((resolve, reject) => {
      this.#timer = setTimeout(() => reject(new Error(`was not done within ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error("its thread ended")));
    }).catch((error: unknown) => {
      emit({ kind: "warning", message: `the archive goes without a profile of this machine: ${messageOf(error)}` });
      return null;
    });
  }

  /** Null where none is wanted, or none could be taken. */
  taken(): Promise<Profile | null> {
    return this.#taken;
  }

  /** Ends it where it is. */
  async end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#worker?.removeAllListeners();
    this.#worker?.unref();
    await this.#worker?.terminate();
  }
}
