/** Which package a file came with, of dpkg's own lists. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { readFully } from "../../disk/read-file.ts";
import { MIB } from "../../units.ts";
import type { Look } from "./look.ts";

const DPKG_INFO = "/var/lib/dpkg/info";
const LIST_BYTES_MAX = 64 * MIB;

/** Whose files are kept: where somebody may have put some of their own, and where programs lie. */
const PLACES = String.raw`/(?:etc|opt|srv|var|s?bin|usr/(?:local|s?bin|share/keyrings))/[^\n]*`;

/** Where /bin, /sbin and /lib are links into /usr, packages may name a file either way. */
function plainPath(path: string): string {
  return path.replace(/^\/usr\/(bin|sbin|lib(?:32|64|x32)?)\//, "/$1/");
}

/** Finds the lines of a list that name a file in the usual places, or one that is `wanted` wherever that is, under either name. */
function linesThatCount(wanted: Iterable<string>): RegExp {
  // Lists are read as Latin-1, a character a byte.
  const also = [...wanted].map((path) => `(?:/usr)?${RegExp.escape(Buffer.from(plainPath(path)).toString("latin1"))}`);
  return new RegExp(`^(?:${[PLACES, ...also].join("|")})$`, "gm");
}

export class Ownership {
  readonly #owners = new Map<string, string>();
  /** The lists are some 10 MB in a thousand files: one piece of memory for all, and only the lines that count become paths. */
  #buffer = Buffer.allocUnsafe(256 * 1024);

  /** Keeps what lies in the usual places, and `wanted` wherever that is. */
  constructor(look: Look, wanted: Iterable<string>) {
    const lines = linesThatCount(wanted);
    let unread = 0;
    for (const name of look.names(DPKG_INFO)) {
      if (!name.endsWith(".list")) continue;
      const owner = name.slice(0, -".list".length).replace(/:.*$/, "");
      try {
        const length = this.#read(look.at(`${DPKG_INFO}/${name}`));
        for (const line of this.#buffer.toString("latin1", 0, length).match(lines) ?? []) this.#owners.set(plainPath(Buffer.from(line, "latin1").toString()), owner);
      } catch {
        unread++;
      }
    }
    if (unread > 0) look.gap("owners of files", `${unread} of dpkg's lists could not be read`);
  }

  #read(path: string): number {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      if (size > LIST_BYTES_MAX) throw new Error(`${path} is no list of dpkg's`);
      if (size > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(size * 2);
      return readFully(fd, this.#buffer, 0, Math.min(size, this.#buffer.length), 0);
    } finally {
      closeSync(fd);
    }
  }

  of(path: string): string | undefined {
    return this.#owners.get(plainPath(path));
  }
}
