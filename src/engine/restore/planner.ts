/** Sorts the lines of a catalog into work lists. The catalog's own digest is right by now, but its writer may be hostile. */
import { Losses } from "../../disk/losses.ts";
import { looksTemporary } from "../../disk/restore-target.ts";
import { ColdkeepError } from "../../errors.ts";
import { encodeEntry, isContinuation, type CatalogLine, type Continuation, type Entry, type Extent } from "../../format/entry.ts";
import { isWithin } from "../../format/entry-path.ts";
import { comparePaths } from "../../format/path-order.ts";
import { MIB } from "../../units.ts";
import { encodeFile } from "./file-line.ts";
import { JOURNAL_PATH } from "./journal.ts";
import { leftOut } from "./leave-out.ts";
import { LISTS, type PlanSetup, type RestorePlan, type WorkList } from "./messages.ts";
import { encodePiece } from "./piece-line.ts";
import { WorkLists } from "./work-list.ts";

/** Text of a list that one worker holds at once, as objects several times that. */
const LIST_TEXT_MAX = MIB;

function fail(path: string, what: string): never {
  throw new ColdkeepError("E_FORMAT", `the catalog's entry ${path.toWellFormed()} ${what}`);
}

export class Planner {
  readonly #lists: WorkLists;
  readonly #paths: readonly string[];
  readonly #isLeftOut: (path: string) => boolean;
  readonly #missing: Set<string>;
  /** First name → the wanted link that is made a file of its own. */
  readonly #adoptions: Map<string, string>;
  readonly #adopted = new Set<string>();
  readonly #orphans = new Map<string, string>();
  readonly #losses = new Losses();
  readonly #parts = new Map<string, { list: string; number: number; length: number }>();
  readonly #work: WorkList[] = [];
  readonly #volumes = new Set<string>();
  readonly #counts = { entries: 0, files: 0, bytes: 0 };
  /** The chunked file whose continuation lines follow, under the name it gets, and how far they have come. */
  #large: { entry: Entry; end: number } | null = null;

  constructor(setup: Omit<PlanSetup, "catalogDir" | "segments">) {
    this.#lists = new WorkLists(setup.planDir);
    this.#paths = setup.paths;
    this.#isLeftOut = setup.leaveOut === undefined ? () => false : leftOut(setup.leaveOut);
    this.#missing = new Set(setup.paths);
    this.#adoptions = new Map(setup.adoptions.map(({ first, link }) => [first, link]));
  }

  /** Throws E_FORMAT for a catalog that contradicts itself, system errors. */
  run(lines: Iterable<CatalogLine>): RestorePlan {
    for (const line of lines) {
      if (isContinuation(line)) this.#continuation(line);
      else this.#entry(line);
    }
    this.#endLarge();
    this.#lists.flush();
    return {
      ...this.#counts,
      lists: this.#work,
      volumes: [...this.#volumes],
      missing: [...this.#missing],
      orphans: [...this.#orphans].map(([first, link]) => ({ first, link })),
      losses: this.#losses.list(),
    };
  }

  /** Wanted paths with all below them. */
  #isWanted(path: string): boolean {
    if (this.#paths.length === 0) return !this.#isLeftOut(path);
    const wanted = this.#paths.find((ancestor) => isWithin(path, ancestor));
    if (wanted !== undefined && this.#missing.size > 0) for (const missing of this.#missing) if (isWithin(path, missing)) this.#missing.delete(missing);
    return wanted !== undefined && !this.#isLeftOut(path);
  }

  /** The lines of a chunked file cover it whole; fewer would come back as a hole nobody stored. */
  #endLarge(): void {
    const large = this.#large;
    this.#large = null;
    if (large !== null && large.end !== large.entry.size) fail(large.entry.path, `has ${large.entry.size} bytes, of which ${large.end} have extents`);
  }

  #entry(entry: Entry): void {
    this.#endLarge();
    const { path, hardlink } = entry;
    if (hardlink !== undefined && comparePaths(hardlink, path) >= 0) fail(path, "is a hard link to a later one");
    if (isWithin(path, JOURNAL_PATH)) return this.#leaveOut(entry);
    const link = this.#adoptions.get(path);
    if (this.#isWanted(path)) this.#wanted(entry);
    else if (link !== undefined && hardlink === undefined && entry.type !== "dir") {
      this.#adopted.add(path);
      this.#place({ ...entry, path: link });
    } else if (entry.type === "dir" && this.#paths.some((wanted) => isWithin(wanted, path))) this.#place(entry);
  }

  #leaveOut({ path, extents }: Entry): void {
    this.#losses.add(path, "what lies where the restore keeps its own journal");
    this.#name(extents);
  }

  #name(extents: readonly Extent[] = []): void {
    for (const extent of extents) if ("volume" in extent) this.#volumes.add(extent.volume);
  }

  #wanted(entry: Entry): void {
    const { path, hardlink } = entry;
    if (hardlink === undefined || this.#isWanted(hardlink)) return this.#place(entry);
    const adopter = this.#adoptions.get(hardlink);
    if (adopter === undefined) {
      if (!this.#orphans.has(hardlink)) this.#orphans.set(hardlink, path);
      this.#place(entry);
    } else if (!this.#adopted.has(hardlink)) this.#place(entry);
    else if (adopter !== path) this.#place({ ...entry, hardlink: adopter });
  }

  #place(entry: Entry): void {
    this.#counts.entries++;
    if (looksTemporary(entry.path)) this.#lists.add(LISTS.lookalikes, encodeEntry(entry));
    if (entry.hardlink !== undefined) this.#lists.add(entry.type === "symlink" ? LISTS.symlinkLinks : LISTS.links, encodeEntry(entry));
    else if (entry.type === "dir") this.#lists.add(LISTS.directories, encodeEntry(entry));
    else if (entry.type === "symlink") this.#lists.add(LISTS.symlinks, encodeEntry(entry));
    else if (entry.type !== "file") this.#addTo(null, encodeEntry(entry));
    else this.#file(entry);
  }

  #file(entry: Entry): void {
    this.#counts.files++;
    this.#counts.bytes += entry.size;
    const [extent] = entry.extents ?? [];
    if (entry.chunking !== undefined) {
      this.#large = { entry, end: 0 };
      this.#lists.add(LISTS.large, encodeEntry(entry));
    } else this.#addTo(extent !== undefined && "volume" in extent ? extent.volume : null, encodeFile(entry));
  }

  #continuation({ path, at, extents }: Continuation): void {
    const large = this.#large;
    if (large === null) {
      // The first segment at hand may begin amid a file that is not wanted.
      if (isWithin(path, JOURNAL_PATH)) return this.#name(extents);
      if (this.#isWanted(path)) fail(path, "has extents and is no file in chunks");
      return;
    }
    const { entry } = large;
    if (path !== entry.path && this.#adoptions.get(path) !== entry.path) fail(path, "has extents and no entry");
    if (at !== large.end) fail(path, `has extents that ${at < large.end ? "overlap" : "leave a gap"} at ${at}`);
    let offset = at;
    for (const extent of extents) {
      const from = offset;
      if ("length" in extent) fail(path, `has an extent at ${from} that is not in chunks`);
      if ("zero" in extent) offset += extent.zero;
      else for (const [length] of extent.chunks) offset += length;
      if (offset > entry.size) fail(path, `has extents up to ${offset}, and ${entry.size} bytes`);
      if ("chunks" in extent) this.#addTo(extent.volume, encodePiece({ path: entry.path, size: entry.size, at: from, run: extent }));
    }
    large.end = offset;
  }

  /** Lists of one volume are cut before they fill the memory. */
  #addTo(volume: string | null, line: string): void {
    const name = volume ?? LISTS.local;
    if (volume !== null) this.#volumes.add(volume);
    let part = this.#parts.get(name);
    if (part === undefined || part.length > LIST_TEXT_MAX) {
      const number = part === undefined ? 0 : part.number + 1;
      part = { list: number === 0 ? name : `${name}.${number}`, number, length: 0 };
      this.#parts.set(name, part);
      this.#work.push({ volume, list: part.list });
    }
    part.length += line.length;
    this.#lists.add(part.list, line);
  }
}
