/** The same bytes to every region at once; a region that is down is behind, and holds up nobody (promise 4). */
import { ColdkeepError, messageOf } from "../../errors.ts";
import { objectKey } from "../../format/object-key.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { FIRST_PUTS_AT_ONCE, nextPutsAtOnce } from "../../policy/puts-at-once.ts";
import type { ObjectBody } from "../../storage/object-store.ts";
import type { Emit } from "../events.ts";
import type { Region } from "../region.ts";

/** Lets puts to one region run in order, as many at a time as the line makes use of. */
class PutLine {
  readonly #waiting: (() => void)[] = [];
  #limit = FIRST_PUTS_AT_ONCE;
  #running = 0;
  /** The round that is measured; one in which nobody waited says nothing. */
  #round = { startMs: performance.now(), puts: 0, bytes: 0, putMs: 0 };

  async run<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    // Whoever is let in has its place already, so that nobody who comes meanwhile takes it too.
    if (this.#running < this.#limit.atOnce) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const startMs = performance.now();
    try {
      const result = await work();
      this.#measure(bytes, startMs);
      return result;
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  #measure(bytes: number, startMs: number): void {
    const nowMs = performance.now();
    const round = this.#round;
    if (this.#waiting.length === 0) {
      this.#round = { startMs: nowMs, puts: 0, bytes: 0, putMs: 0 };
      return;
    }
    round.puts++;
    round.bytes += bytes;
    round.putMs += nowMs - startMs;
    if (round.puts < this.#limit.atOnce) return;
    const seconds = Math.max(1, nowMs - round.startMs) / 1000;
    this.#limit = nextPutsAtOnce(this.#limit, { bytesPerSecond: round.bytes / seconds, putMs: round.putMs / round.puts });
    this.#round = { startMs: nowMs, puts: 0, bytes: 0, putMs: 0 };
  }

  #admit(): void {
    while (this.#running < this.#limit.atOnce) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#running++;
      next();
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
          await line.run(object.sizeBytes, () => region.store.put(key, body, { sha256: object.sha256, signal: this.#signal }));
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
