/** The sources of a walk, cleaned, and which directories lead to them. */
import { realpathSync } from "node:fs";
import { posix } from "node:path";
import { ColdkeepError } from "../errors.ts";
import { textFromBytes } from "../format/byte-text.ts";
import { isWithin, parentPath } from "../format/entry-path.ts";
import { sortNames } from "../format/path-order.ts";
import { fsPath } from "./long-path.ts";

type SourceItem =
  | { kind: "problem"; path: string; code: string; message: string; source: true }
  | { kind: "note"; path: string; message: string };

/** `/a/b` of `/a//b/` and `/a/./b`. Throws E_CONFIG for anything not absolute. */
function cleanPath(path: string): string {
  if (!path.startsWith("/") || path.includes("\0")) {
    throw new ColdkeepError("E_CONFIG", `"${path}" is not an absolute path`, { hint: "Write paths from the root on, like /srv/data." });
  }
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

/** The path with the links among its parents resolved, or as it is when they cannot be; its last name is left alone. */
function resolveParents(path: string): string {
  if (path === "/") return path;
  const parent = parentPath(path);
  try {
    const real = textFromBytes(realpathSync.native(fsPath(parent), { encoding: "buffer" }));
    return `${real === "/" ? "" : real}/${path.slice(path.lastIndexOf("/") + 1)}`;
  } catch {
    // A parent that is missing, unreadable or too long: the walk meets it and names it.
    return path;
  }
}

export class SourceTree {
  readonly #sources = new Set<string>();
  /** Directory → names in it that lead to a source. */
  readonly #leads = new Map<string, Set<string>>();
  readonly #excluded: Set<string>;
  readonly #excludedParents: Set<string>;
  /** What is to be told before the walk. */
  readonly items: SourceItem[] = [];

  constructor(excludedDirs: string[]) {
    this.#excluded = new Set(excludedDirs.map(cleanPath).flatMap((path) => [path, resolveParents(path)]));
    this.#excludedParents = new Set([...this.#excluded].map(parentPath));
  }

  add(given: string): void {
    const clean = cleanPath(given);
    const path = resolveParents(clean);
    if (path !== clean) this.items.push({ kind: "note", path: clean, message: `is reached through a symbolic link and kept as ${path}` });
    const own = [...this.#excluded].find((dir) => isWithin(path, dir));
    if (own !== undefined) {
      this.items.push({ kind: "problem", path, code: "E_REFUSED", message: `lies in ${own}, which belongs to the vault or the state`, source: true });
      return;
    }
    this.#sources.add(path);
    for (let child = path; child !== "/"; child = parentPath(child)) {
      const parent = parentPath(child);
      const names = this.#leads.get(parent) ?? new Set();
      this.#leads.set(parent, names.add(child.slice(parent === "/" ? 1 : parent.length + 1)));
    }
  }

  get sources(): string[] {
    return [...this.#sources];
  }

  /** Forgets a source that cannot be walked, and the way to it where that leads to no other. */
  drop(path: string): void {
    this.#sources.delete(path);
    for (let child = path; child !== "/" && !this.#sources.has(child) && !this.#leads.has(child); child = parentPath(child)) {
      const parent = parentPath(child);
      const names = this.#leads.get(parent);
      names?.delete(child.slice(parent === "/" ? 1 : parent.length + 1));
      if (names?.size === 0) this.#leads.delete(parent);
    }
  }

  isSource(path: string): boolean {
    return this.#sources.has(path);
  }

  isExcluded(path: string): boolean {
    return this.#excluded.has(path);
  }

  /** Whether a name in this directory is a source, leads to one, or is left out. */
  concerns(directory: string): boolean {
    return this.#leads.has(directory) || this.#excludedParents.has(directory);
  }

  /** Whether a source lies below a path. */
  leadsToSource(path: string): boolean {
    return this.#leads.has(path);
  }

  /** The names in a directory on the way to a source, sorted. */
  namesBelow(path: string): string[] {
    return sortNames([...(this.#leads.get(path) ?? [])]);
  }

  sourcesBelow(path: string): string[] {
    return this.#leads.has(path) ? sortNames(this.sources.filter((source) => source !== path && isWithin(source, path))) : [];
  }
}

/** The tree of the given sources. Throws E_CONFIG for a path that is not absolute. */
export function planSources(sources: string[], excludedDirs: string[]): SourceTree {
  const tree = new SourceTree(excludedDirs);
  for (const source of sources) tree.add(source);
  return tree;
}
