/** Applies a plan: what was just seen to be bad is replaced by bytes that match the signed list, manifests come last. */
import { sha256Hex } from "../../codec/digest.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { StoreError } from "../../storage/object-store.ts";
import { formatSize } from "../../units.ts";
import type { EngineEvent, Emit } from "../events.ts";
import { storedState } from "../hidden-version.ts";
import { eachOf, type Manifest } from "../manifests.ts";
import { ObjectSource } from "../object-source.ts";
import type { Region } from "../region.ts";
import { completeRegion, copiesAtOnce } from "../region-copy.ts";
import type { Trust } from "../trust.ts";
import { RegionTally } from "../region-tally.ts";
import { checkManifest } from "../targets.ts";
import { byObject, type ManifestCopy, type ObjectCopy, type PlannedCopy, type RepairPlan, type SmallCopy } from "./plan.ts";

const SMALL_AT_ONCE = 8;

/** `right`: by the time of the put somebody else had put it right. */
export type CopyOutcome = { state: "copied" | "right" | "failed"; error?: string };
export type Applied = {
  outcomes: Map<PlannedCopy, CopyOutcome>;
  /** Region → why nothing more was put there. */
  stopped: Map<string, string>;
};

export type Application = { reachable: readonly Region[]; trust: Trust; emit: Emit; signal: AbortSignal };

/** Copies that fail are told in the outcomes; the others go on. Throws E_INTERRUPTED. */
export async function applyRepair(plan: RepairPlan, application: Application): Promise<Applied> {
  const repair = new Repair(plan, application);
  await repair.run();
  return { outcomes: repair.outcomes, stopped: repair.stopped };
}

/** What was found bad is known by now; a second word on each of it would hide what is new. */
function quieter(emit: Emit): Emit {
  return (event: EngineEvent) => emit(event.kind === "warning" ? { kind: "detail", message: event.message } : event);
}

class Repair {
  readonly outcomes = new Map<PlannedCopy, CopyOutcome>();
  readonly stopped = new Map<string, string>();
  readonly #plan: RepairPlan;
  readonly #application: Application;
  readonly #regions: ReadonlyMap<string, Region>;
  readonly #sources = new Map<string, ObjectSource>();
  readonly #totalBytes: number;
  #doneBytes = 0;
  #copiedBytes = 0;

  constructor(plan: RepairPlan, application: Application) {
    this.#plan = plan;
    this.#application = application;
    this.#regions = new Map(application.reachable.map((region) => [region.name, region]));
    this.#totalBytes = plan.copies.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async run(): Promise<void> {
    const { copies } = this.#plan;
    const groups = byObject(copies);
    await eachOf(groups, copiesAtOnce(groups.flatMap(([first]) => (first === undefined ? [] : [first.object]))), (group) => this.#copyObject(group));
    await eachOf(copies.filter((copy) => "content" in copy), SMALL_AT_ONCE, (copy) => this.#settle(copy, (region) => this.#putSmall(copy, region)));
    // Oldest first, as the plan says: each region gets them in the order in which they were made.
    for (const copy of copies) if (copy.kind === "manifest" || copy.kind === "checkpoint") await this.#settle(copy, (region) => this.#putManifest(copy, region));
  }

  /** Does one copy, unless its region is given up, and notes how it ended. */
  async #settle(copy: PlannedCopy, put: (region: Region) => Promise<CopyOutcome["state"]>): Promise<void> {
    const { emit, signal } = this.#application;
    signal.throwIfAborted();
    let outcome: CopyOutcome;
    try {
      const region = this.#region(copy.region);
      outcome = { state: await put(region) };
    } catch (error) {
      if (signal.aborted) throw error;
      outcome = { state: "failed", error: messageOf(error) };
      this.#noteFailure(copy, error);
    }
    this.outcomes.set(copy, outcome);
    this.#doneBytes += copy.bytes;
    if (outcome.state === "copied") this.#copiedBytes += copy.bytes;
    const work = { done: this.#doneBytes, total: this.#totalBytes, bytes: this.#copiedBytes };
    emit({ kind: "progress", text: `${formatSize(this.#doneBytes)} of ${formatSize(this.#totalBytes)} repaired`, work, more: `${this.outcomes.size} of ${this.#plan.copies.length} objects` });
    emit({ kind: "detail", message: `region "${copy.region}": ${copy.key}: ${outcome.error ?? outcome.state}` });
  }

  #region(name: string): Region {
    const why = this.stopped.get(name);
    if (why !== undefined) throw new ColdkeepError("E_REGION", why);
    const region = this.#regions.get(name);
    if (region === undefined) throw new ColdkeepError("E_REGION", `region "${name}" does not answer`);
    return region;
  }

  /** A region that refuses or is away would refuse the rest too. What goes wrong in a source has another form by now. */
  #noteFailure(copy: PlannedCopy, error: unknown): void {
    if (!(error instanceof StoreError) || error.fault === "corrupt" || error.fault === "missing" || this.stopped.has(copy.region)) return;
    this.stopped.set(copy.region, messageOf(error));
    this.#application.emit({ kind: "warning", message: `${messageOf(error)}; nothing more is put there`, hint: error.hint });
  }

  /** The same bytes to every region that lacks them, read once, and only when one still does. */
  async #copyObject(copies: readonly ObjectCopy[]): Promise<void> {
    const [first] = copies;
    if (first === undefined) return;
    let reading: Promise<Buffer> | undefined;
    const { object } = first;
    const read = (): Promise<Buffer> => (reading ??= this.#source(first).whole(object));
    await Promise.all(copies.map((copy) => this.#settle(copy, (region) => this.#putWhereBad(copy, region, object.sha256, read))));
  }

  /** Regions that hold it right come first. */
  #source({ host, from }: ObjectCopy): ObjectSource {
    const { reachable, emit, signal } = this.#application;
    const name = [host, ...from].join(" ");
    const ordered = [...reachable.filter((region) => from.includes(region.name)), ...reachable.filter((region) => !from.includes(region.name))];
    const source = this.#sources.get(name) ?? new ObjectSource(host, ordered, quieter(emit), signal);
    this.#sources.set(name, source);
    return source;
  }

  /** Looks again right before the put: what is right is never replaced, what is missing is only created. */
  async #putWhereBad({ key, bytes: sizeBytes }: PlannedCopy, region: Region, sha256: string, read: () => Promise<Buffer>): Promise<"copied" | "right"> {
    const { signal } = this.#application;
    for (let tries = 0; tries < 2; tries++) {
      const state = await storedState(region, key, { sizeBytes, sha256 }, { signal });
      if (state === "right") return "right";
      const answer = await region.store.put(key, await read(), { sha256, overwrite: state === "bad", signal });
      if (answer === "created") return "copied";
      // Somebody put it at the same moment: what that is, the next look says.
    }
    throw new ColdkeepError("E_OBJECT", `region "${region.name}" says that ${key} is there, and does not give it`, { hint: "Run `coldkeep doctor` on the host." });
  }

  #putSmall(copy: SmallCopy, region: Region): Promise<"copied" | "right"> {
    return this.#putWhereBad(copy, region, sha256Hex(copy.content), () => Promise.resolve(copy.content));
  }

  /** A missing one needs all it lists in the region; one in place of a bad one makes what is intact there of use again. */
  async #putManifest(copy: ManifestCopy, region: Region): Promise<"copied" | "right"> {
    const { host, isMissing } = copy;
    const { reachable, emit, signal } = this.#application;
    const manifest = await this.#readManifest(copy);
    if (!isMissing) return this.#putWhereBad({ ...copy, bytes: manifest.bytes.length }, region, sha256Hex(manifest.bytes), () => Promise.resolve(manifest.bytes));
    await completeRegion(region, { host, manifest, sources: reachable, emit: quieter(emit), signal });
    return "copied";
  }

  /** From a region where it is right; never from another. Throws E_OBJECT. */
  async #readManifest({ host, from, seen, kind }: ManifestCopy): Promise<Manifest> {
    const { trust, signal } = this.#application;
    const { id } = seen.header;
    for (const region of from.flatMap((name) => this.#regions.get(name) ?? [])) {
      const manifest = await checkManifest(new RegionTally(region, host), { host, id, sha256: seen.sha256, type: kind }, trust, signal);
      if (manifest !== null) return manifest;
    }
    throw new ColdkeepError("E_OBJECT", `the ${kind} ${id} cannot be read whole any more from ${from.join(", ")}`, { hint: "Run `coldkeep repair` again." });
  }
}
