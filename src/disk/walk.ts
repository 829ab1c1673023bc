/**
 * The walk over the sources: depth first, names sorted by bytes, so that paths come in the order of a catalog. It is
 * synchronous, for a worker, and keeps its own stack, so that neither depth nor width costs call frames.
 */
import { ColdkeepError, messageOf, systemCode } from "../errors.ts";
import { sortNames } from "../format/path-order.ts";
import { readLink, readNames } from "./long-path.ts";
import { fileSystemClass, MountChooser, type MountTable } from "./mounts.ts";
import { lstatText, type Stat } from "./stat.ts";
import { planSources, type SourceTree } from "./source-tree.ts";

export type WalkItem =
  /** Something to keep. `target` is a symbolic link's, byte text. `bare` is a directory whose own names were not all walked. */
  | { kind: "entry"; path: string; stat: Stat; target?: string; bare?: true }
  /** Something that could not be read; `source` when it is a source itself, which is then missing as a whole. */
  | { kind: "problem"; path: string; code: string; message: string; source: boolean }
  /** A mount below a source that is not entered. Its directory is an entry, unless its file system may hang. */
  | { kind: "skipped-mount"; path: string; fsType: string; reason: string }
  /** Was listed, but gone when looked at. */
  | { kind: "vanished"; path: string }
  /** Sockets are not kept. */
  | { kind: "socket"; path: string }
  /** Worth telling, nothing is missing. */
  | { kind: "note"; path: string; message: string };

export type WalkOptions = {
  /** Absolute paths, byte text. */
  sources: string[];
  /** Whether to leave out a path with all below it. Never asked for a source itself nor for the way to one. */
  skip: (path: string, isDirectory: boolean) => boolean;
  mounts: MountTable;
  /** Directories never kept and never named: the vault's own, the state. Absolute paths, byte text. */
  excludedDirs: string[];
};

/**
 * A directory in progress. `within`: it is kept with all it holds; else its names are only those that lead to a source.
 * `plain`: none of its names is a source, a mount or left out by its path, which spares most paths most questions.
 */
type Frame = { path: string; names: string[]; next: number; within: boolean; plain: boolean };

/** Codes that say: what was listed a moment ago is gone or another thing now. */
const GONE = new Set(["ENOENT", "ENOTDIR", "EINVAL", "ELOOP"]);

/** Deeper than any use; without an end, a user could make a tree whose walk takes all night. */
const PATH_LENGTH_MAX = 32 * 1024;

class Walker {
  readonly #options: WalkOptions;
  readonly #tree: SourceTree;
  readonly #chooser: MountChooser;
  readonly #stack: Frame[] = [];
  /** Found and not yet handed out: a plain list, because generators inside a generator cost a third of the speed. */
  readonly #found: WalkItem[] = [];

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#tree = planSources(options.sources, options.excludedDirs);
    this.#chooser = new MountChooser(options.mounts);
  }

  *run(): Generator<WalkItem> {
    this.#begin();
    for (;;) {
      for (const item of this.#found) yield item;
      this.#found.length = 0;
      const frame = this.#stack.at(-1);
      if (!frame) return;
      const name = frame.names[frame.next++];
      if (name === undefined) this.#stack.pop();
      else {
        const path = frame.path === "/" ? `/${name}` : `${frame.path}/${name}`;
        if (frame.plain) this.#visitPlain(path);
        else this.#visit(path, frame.within);
      }
    }
  }

  #begin(): void {
    this.#found.push(...this.#tree.items);
    for (const source of this.#tree.sources) {
      const fault = this.#chooser.enterSource(source);
      if (fault === undefined) continue;
      this.#tree.drop(source);
      this.#found.push({ kind: "problem", path: source, code: "E_REFUSED", message: fault, source: true });
    }
    if (this.#tree.isSource("/")) this.#visit("/", false);
    else this.#stack.push({ path: "/", names: this.#tree.namesBelow("/"), next: 0, within: false, plain: false });
  }

  /** Looks at one path; `within` says that its directory is kept with all it holds. */
  #visit(path: string, within: boolean): void {
    if (this.#tree.isExcluded(path)) return;
    if (this.#isTooLong(path)) return;
    const isSource = this.#tree.isSource(path);
    const leads = this.#tree.leadsToSource(path);
    // Mounts before lstat, which would hang on one whose server is gone.
    const mount = within && !isSource ? this.#options.mounts.at(path) : undefined;
    if (mount && this.#options.skip(path, true)) {
      if (leads) this.#keep(path, false);
      return;
    }
    if (mount && !this.#entersMount(path)) {
      if (leads || fileSystemClass(mount.fsType) !== "network") this.#keep(path, false);
      return;
    }
    this.#keep(path, within || isSource);
  }

  /** A path in a plain directory. */
  #visitPlain(path: string): void {
    if (this.#isTooLong(path)) return;
    const stat = this.#lstat(path);
    if (stat === null || this.#options.skip(path, stat.type === "dir")) return;
    if (stat.type === "dir") this.#enter(path, stat, true);
    else this.#leaf(path, stat);
  }

  #isTooLong(path: string): boolean {
    if (path.length <= PATH_LENGTH_MAX) return false;
    this.#found.push({ kind: "problem", path, code: "ENAMETOOLONG", message: `its path is longer than ${PATH_LENGTH_MAX} characters`, source: false });
    return true;
  }

  /** Whether the walk goes on in the file system mounted at a path; names it when not. */
  #entersMount(path: string): boolean {
    const skipped = this.#chooser.skipped(path);
    if (skipped) this.#found.push({ kind: "skipped-mount", path, fsType: skipped.mount.fsType, reason: skipped.reason });
    return !skipped;
  }

  /** Keeps a path; `whole` with all it holds, else as a bare directory, from which only sources are followed. */
  #keep(path: string, whole: boolean): void {
    const stat = this.#lstat(path);
    if (!stat) return;
    const isDirectory = stat.type === "dir";
    if (whole && !this.#tree.isSource(path) && this.#options.skip(path, isDirectory)) {
      if (!this.#tree.leadsToSource(path)) return;
      whole = false;
    }
    if (isDirectory) this.#enter(path, stat, whole);
    else if (whole) this.#leaf(path, stat);
    if (!isDirectory) this.#blocked(path, "ENOTDIR", "is not a directory");
  }

  #lstat(path: string): Stat | null {
    try {
      const stat = lstatText(path);
      if (stat) return stat;
      if (this.#tree.isSource(path)) this.#found.push({ kind: "problem", path, code: "ENOENT", message: "does not exist", source: true });
      else if (!this.#tree.leadsToSource(path)) this.#found.push({ kind: "vanished", path });
      this.#blocked(path, "ENOENT", "does not exist");
    } catch (error) {
      this.#failed(path, error);
      this.#blocked(path, "EACCES", "cannot be looked at");
    }
    return null;
  }

  #enter(path: string, stat: Stat, whole: boolean): void {
    const leading = this.#tree.namesBelow(path);
    let names = leading;
    let fault: unknown;
    try {
      if (whole) names = withLeading(sortNames(readNames(path)), leading);
    } catch (error) {
      if (isGone(error) && !this.#tree.isSource(path) && leading.length === 0) {
        this.#found.push({ kind: "vanished", path });
        return;
      }
      fault = error;
    }
    const bare = !whole || fault !== undefined;
    this.#found.push(bare ? { kind: "entry", path, stat, bare } : { kind: "entry", path, stat });
    if (fault !== undefined) this.#failed(path, fault);
    const plain = !bare && !this.#tree.concerns(path) && !this.#options.mounts.isParent(path);
    if (names.length > 0) this.#stack.push({ path, names, next: 0, within: !bare, plain });
  }

  #leaf(path: string, stat: Stat): void {
    if (stat.type === "socket") {
      this.#found.push({ kind: "socket", path });
    } else if (stat.type === "symlink") {
      this.#link(path, stat);
    } else {
      this.#found.push({ kind: "entry", path, stat });
    }
  }

  #link(path: string, stat: Stat): void {
    try {
      this.#found.push({ kind: "entry", path, stat, target: readLink(path) });
    } catch (error) {
      if (isGone(error)) this.#found.push({ kind: "vanished", path });
      else this.#failed(path, error);
      return;
    }
    if (this.#tree.isSource(path)) {
      this.#found.push({ kind: "note", path, message: "is a symbolic link: the link is kept, not what it points at" });
    }
  }

  #failed(path: string, error: unknown): void {
    const code = error instanceof ColdkeepError ? error.code : (systemCode(error) ?? "E_INTERNAL");
    this.#found.push({ kind: "problem", path, code, message: messageOf(error), source: this.#tree.isSource(path) });
  }

  /** Names the sources that a path should lead to and does not. */
  #blocked(path: string, code: string, what: string): void {
    for (const source of this.#tree.sourcesBelow(path)) {
      this.#found.push({ kind: "problem", path: source, code, message: `${path} ${what}`, source: true });
    }
  }
}

function isGone(error: unknown): boolean {
  return GONE.has(systemCode(error) ?? "");
}

/** Adds the names that lead to sources where a directory does not hold them, so that a missing source is noticed. */
function withLeading(names: string[], leading: string[]): string[] {
  if (leading.length === 0) return names;
  return sortNames([...new Set([...names, ...leading])]);
}

/**
 * Walks the sources in `comparePaths` order. Symbolic links are never followed. A source inside another is walked once;
 * one inside something left out is walked all the same, its parents being kept as bare directories, as are those above
 * every source (but `/`). Throws E_CONFIG for a source that is no absolute path; all else becomes an item.
 */
export function walk(options: WalkOptions): Generator<WalkItem> {
  return new Walker(options).run();
}
