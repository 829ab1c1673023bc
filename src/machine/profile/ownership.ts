/** Which package a file came with, of dpkg's own lists. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { readFully } from "../../disk/read-file.ts";
import { MIB } from "../../units.ts";
import type { Look } from "./look.ts";

const DPKG_INFO = "/var/lib/dpkg/info";
const LIST_BYTES_MAX = 64 * MIB;
const NEWLINE = 0x0a;

/** Whose files are kept: where somebody may have put some of their own, and where programs lie. */
const PLACES = ["/etc/", "/opt/", "/srv/", "/var/", "/usr/local/", "/usr/share/keyrings/", "/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"].map((place) => Buffer.from(place));

/** Where /bin, /sbin and /lib are links into /usr, packages may name a file either way. */
function plainPath(path: string): string {
  return path.replace(/^\/usr\/(bin|sbin|lib(?:32|64|x32)?)\//, "/$1/");
}

function startsWith(bytes: Buffer, start: number, prefix: Buffer): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

export class Ownership {
  readonly #owners = new Map<string, string>();
  /** The lists are some 10 MB in a thousand files: one piece of memory for all, and only the lines that count become texts. */
  #buffer = Buffer.allocUnsafe(256 * 1024);

  /** Keeps what lies in the usual places, and `wanted` wherever that is. */
  constructor(look: Look, wanted: Iterable<string>) {
    const also = new Set([...wanted].map(plainPath));
    const lengths = new Set([...also].flatMap((path) => [Buffer.byteLength(path), Buffer.byteLength(path) + "/usr".length]));
    let unread = 0;
    for (const name of look.names(DPKG_INFO)) {
      if (!name.endsWith(".list")) continue;
      const owner = name.slice(0, -".list".length).replace(/:.*$/, "");
      try {
        const length = this.#read(look.at(`${DPKG_INFO}/${name}`));
        this.#note(owner, length, also, lengths);
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

  #note(owner: string, length: number, also: ReadonlySet<string>, lengths: ReadonlySet<number>): void {
    const bytes = this.#buffer;
    for (let start = 0, end; start < length; start = end + 1) {
      const found = bytes.indexOf(NEWLINE, start);
      end = found < 0 || found > length ? length : found;
      const isKept = PLACES.some((place) => startsWith(bytes, start, place));
      if (!isKept && !lengths.has(end - start)) continue;
      const path = plainPath(bytes.toString("utf8", start, end));
      if (isKept || also.has(path)) this.#owners.set(path, owner);
    }
  }

  of(path: string): string | undefined {
    return this.#owners.get(plainPath(path));
  }
}
