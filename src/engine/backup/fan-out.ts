/** The same bytes to every region at once; a region that is down is behind, and holds up nobody (promise 4). */
import { ColdkeepError, messageOf } from "../../errors.ts";
import { objectKey } from "../../format/object-key.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { ObjectBody } from "../../storage/object-store.ts";
import type { Emit } from "../events.ts";
import type { Region } from "../region.ts";

const PUTS_AT_ONCE = 4;

/** Lets a few puts to one region run at a time, in order. */
class PutLine {
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= PUTS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

export class FanOut {
  readonly #host: string;
  readonly #regions: readonly { region: Region; line: PutLine }[];
  readonly #emit: Emit;
  readonly #signal: AbortSignal;
  readonly #told = new Set<string>();

  constructor(host: string, regions: readonly Region[], emit: Emit, signal: AbortSignal) {
    this.#host = host;
    this.#regions = regions.map((region) => ({ region, line: new PutLine() }));
    this.#emit = emit;
    this.#signal = signal;
  }

  /**
   * Puts an object into every region. `onConfirmed` is called for each region that holds it. Resolves when all have it or
   * gave up. Throws E_REGION when none took it.
   */
  async put(object: ListedObject, body: ObjectBody, onConfirmed: (region: Region) => void): Promise<void> {
    const key = objectKey(this.#host, object.kind, object.id);
    const faults = await Promise.all(
      this.#regions.map(async ({ region, line }) => {
        try {
          await line.run(() => region.store.put(key, body, { sha256: object.sha256, signal: this.#signal }));
          onConfirmed(region);
          return null;
        } catch (error) {
          this.#tell(region, error);
          return error;
        }
      }),
    );
    this.#signal.throwIfAborted();
    if (faults.includes(null)) return;
    throw new ColdkeepError("E_REGION", `no region took ${object.kind} ${object.id}: ${messageOf(faults[0])}`, {
      hint: "What was stored before is intact; run again when a region answers.",
      cause: faults[0],
    });
  }

  #tell(region: Region, error: unknown): void {
    if (this.#signal.aborted || this.#told.has(region.name)) return;
    this.#told.add(region.name);
    this.#emit({ kind: "warning", message: `${messageOf(error)}; it is behind for now`, hint: "The run goes on with the other regions." });
  }
}
