/** Where things go that a restore puts something else in the place of: moved, never deleted, on the file system they are on. */
import { appendFileSync, existsSync, lstatSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fsPath } from "./long-path.ts";

export type AsideOrder = {
  /** The restore's target, an absolute path. */
  root: string;
  /** Name of the folder that is made at the root of each file system, mode 0700. */
  folder: string;
  /** File that gets a line of JSON for each thing: where it was, where it is. */
  log: string;
};

export class Aside {
  readonly #order: AsideOrder;

  constructor(order: AsideOrder) {
    this.#order = order;
  }

  /** Moves what lies at `from` (as this process reaches it), which is `path` below the target. Throws system errors. */
  move(from: string | Buffer, path: string): void {
    const to = this.#placeFor(path);
    mkdirSync(fsPath(to.slice(0, to.lastIndexOf("/"))), { recursive: true, mode: 0o700 });
    appendFileSync(this.#order.log, `${JSON.stringify({ path: path.toWellFormed(), movedTo: to.toWellFormed() })}\n`, { mode: 0o600 });
    renameSync(from, fsPath(to));
  }

  /** A free name in the folder at the root of the file system that `path` is on: a thing is moved within its own only. */
  #placeFor(path: string): string {
    const { root, folder } = this.#order;
    const parents = path.split("/").slice(1, -1);
    const { dev } = lstatSync(fsPath(join(root, ...parents)));
    let depth = parents.length;
    while (depth > 0 && lstatSync(fsPath(join(root, ...parents.slice(0, depth - 1)))).dev === dev) depth--;
    const mountPoint = join(root, ...parents.slice(0, depth));
    const place = join(mountPoint, folder, ...path.split("/").slice(1 + depth));
    let free = place;
    for (let number = 1; existsSync(fsPath(free)); number++) free = `${place}.${number}`;
    return free;
  }
}
