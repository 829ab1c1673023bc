/** Thread that sorts the catalog into work lists; it touches nothing but the journal folder. */
import { parentPort, workerData } from "node:worker_threads";
import { encodeEntry, isContinuation, type CatalogLine, type Continuation, type Entry } from "../../format/entry.ts";
import { isWithin } from "../../format/entry-path.ts";
import { CatalogCache } from "../../state/catalog-cache.ts";
import { catalogLines } from "../catalog-reader.ts";
import { toPortableError } from "../portable-error.ts";
import { encodePiece } from "./piece-line.ts";
import { LISTS, type PlanSetup, type PlanToMain, type RestorePlan } from "./messages.ts";
import { WorkLists } from "./work-list.ts";

class Planner {
  readonly #lists: WorkLists;
  readonly #paths: readonly string[];
  readonly #volumes = new Set<string>();
  readonly #plan = { entries: 0, files: 0, bytes: 0 };
  /** The chunked file whose continuation lines follow. */
  #large: Entry | null = null;

  constructor(setup: PlanSetup) {
    this.#lists = new WorkLists(setup.planDir);
    this.#paths = setup.paths;
  }

  run(lines: Iterable<CatalogLine>): RestorePlan {
    for (const line of lines) {
      if (isContinuation(line)) this.#continuation(line);
      else if (this.#isWanted(line)) this.#entry(line);
      else this.#large = null;
    }
    this.#lists.flush();
    return { ...this.#plan, volumes: [...this.#volumes] };
  }

  /** Wanted paths with all below them, and the directories that lead there. */
  #isWanted({ path, type }: Entry): boolean {
    if (this.#paths.length === 0) return true;
    return this.#paths.some((wanted) => isWithin(path, wanted) || (type === "dir" && isWithin(wanted, path)));
  }

  #entry(entry: Entry): void {
    this.#plan.entries++;
    this.#large = null;
    if (entry.hardlink !== undefined) this.#lists.add(LISTS.links, encodeEntry(entry));
    else if (entry.type === "dir") this.#lists.add(LISTS.directories, encodeEntry(entry));
    else if (entry.type === "symlink") this.#lists.add(LISTS.symlinks, encodeEntry(entry));
    else if (entry.type !== "file") this.#lists.add(LISTS.local, encodeEntry(entry));
    else this.#file(entry);
  }

  #file(entry: Entry): void {
    this.#plan.files++;
    this.#plan.bytes += entry.size;
    const [extent] = entry.extents ?? [];
    if (entry.chunking !== undefined) {
      this.#large = entry;
      this.#lists.add(LISTS.large, encodeEntry(entry));
    } else if (extent !== undefined && "volume" in extent) this.#addTo(extent.volume, encodeEntry(entry));
    else this.#lists.add(LISTS.local, encodeEntry(entry));
  }

  #continuation({ path, at, extents }: Continuation): void {
    const file = this.#large;
    if (file === null || file.path !== path) return;
    let offset = at;
    for (const extent of extents) {
      if ("zero" in extent) {
        offset += extent.zero;
        continue;
      }
      const chunks = "chunks" in extent ? extent.chunks : [];
      this.#addTo(extent.volume, encodePiece({ path, size: file.size, at: offset, run: { ...extent, chunks } }));
      for (const [length] of chunks) offset += length;
    }
  }

  #addTo(volume: string, line: string): void {
    this.#volumes.add(volume);
    this.#lists.add(volume, line);
  }
}

function tell(message: PlanToMain): void {
  parentPort?.postMessage(message);
}

// The thread's data comes from `planRestore` alone.
const setup = workerData as PlanSetup;
try {
  const lines = catalogLines(setup.segments, new CatalogCache(setup.catalogDir));
  tell({ kind: "planned", plan: new Planner(setup).run(lines) });
} catch (error) {
  tell({ kind: "error", error: toPortableError(error) });
}
