/** What a scan counts and what it has to tell: problems, skipped mounts, losses, empty sources. */
import type { Stat } from "../../disk/stat.ts";
import type { Problem } from "../../format/catalog-root.ts";
import { PROBLEMS_LISTED_MAX } from "../../format/catalog-root.ts";
import { isWithin } from "../../format/entry-path.ts";
import type { SourceEntries } from "../../format/usual.ts";
import type { ScanCounts, ScanReport } from "./messages.ts";

/** `usual`: entries of the last archive in which the source held any. */
type Source = { path: string; now: number; before: number; usual: number };
type SkippedMount = { path: string; fsType: string; reason: string };

export class ScanLog {
  readonly counts: ScanCounts = {
    entries: 0,
    filesNew: 0,
    filesChanged: 0,
    filesRewritten: 0,
    filesUnchanged: 0,
    vanished: 0,
    sockets: 0,
    changedWhileRead: 0,
    sourceBytes: 0,
    bytesRead: 0,
    bytesPacked: 0,
  };
  lastPath = "";
  readonly #tell: (problem: Problem) => void;
  readonly #sources: Source[];
  readonly #problems: Problem[] = [];
  #problemsTotal = 0;
  readonly #skippedMounts: SkippedMount[] = [];
  readonly #notKept: { path: string; what: string }[] = [];
  #notKeptTotal = 0;
  readonly #notes: { path: string; message: string }[] = [];

  constructor(sources: readonly string[], usual: readonly SourceEntries[], tell: (problem: Problem) => void) {
    const known = new Map(usual.map(({ path, entries }) => [path, entries]));
    this.#sources = sources.map((path) => ({ path, now: 0, before: 0, usual: known.get(path) ?? 0 }));
    this.#tell = tell;
  }

  problem(path: string, code: string, message: string): void {
    const problem = { path: path.toWellFormed(), code, message };
    this.#problemsTotal++;
    if (this.#problems.length < PROBLEMS_LISTED_MAX) this.#problems.push(problem);
    this.#tell(problem);
  }

  note(path: string, message: string): void {
    if (this.#notes.length < PROBLEMS_LISTED_MAX) this.#notes.push({ path: path.toWellFormed(), message });
  }

  notKept(path: string, what: string): void {
    this.#notKeptTotal++;
    if (this.#notKept.length < PROBLEMS_LISTED_MAX) this.#notKept.push({ path: path.toWellFormed(), what });
  }

  skippedMount({ path, fsType, reason }: SkippedMount): void {
    this.#skippedMounts.push({ path: path.toWellFormed(), fsType, reason });
  }

  entry(path: string, stat: Stat): void {
    this.counts.entries++;
    if (stat.type === "file") this.counts.sourceBytes += stat.size;
    this.lastPath = path;
    for (const source of this.#sources) if (path !== source.path && isWithin(path, source.path)) source.now++;
  }

  /** A dump that is kept. */
  dump(path: string, bytes: number, isNew: boolean, isRewritten: boolean): void {
    this.folder(path);
    this.counts.sourceBytes += bytes;
    this.fileToRead(isNew);
    if (!isNew && isRewritten) this.rewritten();
  }

  /** A directory of the program's own. */
  folder(path: string): void {
    this.counts.entries++;
    this.lastPath = path;
  }

  /** An entry that the archive before holds just so. */
  keptEntry(path: string, stat: Stat): void {
    this.entry(path, stat);
    this.sawPrevious(path);
    if (stat.type === "file") this.counts.filesUnchanged++;
  }

  sawPrevious(path: string): void {
    for (const source of this.#sources) if (path !== source.path && isWithin(path, source.path)) source.before++;
  }

  /** At the end of the walk: a source that held something in earlier archives and holds nothing now is most likely not mounted. */
  checkSource(path: string): void {
    const source = this.#sources.find((known) => known.path === path);
    const before = source === undefined ? 0 : Math.max(source.before, source.usual);
    if (source === undefined || source.now > 0 || before === 0) return;
    this.problem(path, "E_EMPTY", `is empty, and held ${before} entries in an archive before; is its disk mounted? If it is to be empty, run once with --accept-changes`);
  }

  unchanged(): void {
    this.counts.filesUnchanged++;
  }

  fileToRead(isNew: boolean): void {
    if (isNew) this.counts.filesNew++;
    else this.counts.filesChanged++;
  }

  /** A changed file turned out to hold content that no archive held. */
  rewritten(): void {
    this.counts.filesRewritten++;
  }

  read(bytesRead: number, bytesPacked: number): void {
    this.counts.bytesRead += bytesRead;
    this.counts.bytesPacked += bytesPacked;
  }

  resized(bytes: number): void {
    this.counts.sourceBytes += bytes;
  }

  changedWhileRead(path: string): void {
    this.counts.changedWhileRead++;
    this.note(path, "changed while it was read");
  }

  /** A file that was counted and could not be kept after all. */
  dropped(walkedBytes: number, isNew: boolean): void {
    this.counts.entries--;
    this.counts.sourceBytes -= walkedBytes;
    if (isNew) this.counts.filesNew--;
    else this.counts.filesChanged--;
  }

  vanished(): void {
    this.counts.vanished++;
  }

  socket(): void {
    this.counts.sockets++;
  }

  get problems(): { total: number; items: Problem[] } {
    return { total: this.#problemsTotal, items: this.#problems };
  }

  report(): ScanReport {
    return {
      counts: this.counts,
      problems: this.#problems,
      problemsTotal: this.#problemsTotal,
      skippedMounts: this.#skippedMounts,
      notKept: this.#notKept,
      notKeptTotal: this.#notKeptTotal,
      notes: this.#notes,
      sources: this.#sources.map(({ path, now }) => ({ path, entries: now })),
    };
  }
}
