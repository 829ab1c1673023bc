/** Catalog lines of what has no content of its own: directories, symbolic links, devices, FIFOs and further names of files. */
import type { Owners } from "../../disk/owners.ts";
import { readXattrs } from "../../disk/read-file.ts";
import type { Stat } from "../../disk/stat.ts";
import { encodeEntry, type Entry, type OwnerNames } from "../../format/entry.ts";
import { pathFault } from "../../format/entry-path.ts";
import { entryBase, type CatalogLineText } from "./pending-file.ts";
import type { ScanLog } from "./scan-log.ts";

/** What chown(2) takes for "leave it as it is". */
const NOBODY_ID = 0xffffffff;

/** Why the catalog cannot say what was found, so that no reader refuses an archive for one odd file. */
export function keepingFault(path: string, stat: Stat): string | undefined {
  if (stat.uid === NOBODY_ID || stat.gid === NOBODY_ID) return "belongs to no user or group";
  const fault = pathFault(path);
  return fault === undefined ? undefined : `its path ${fault}`;
}

export class EntryLines {
  readonly #owners: Owners;
  readonly #log: ScanLog;

  constructor(owners: Owners, log: ScanLog) {
    this.#owners = owners;
    this.#log = log;
  }

  names(stat: Stat): OwnerNames {
    return { user: this.#owners.userName(stat.uid), group: this.#owners.groupName(stat.gid) };
  }

  /** `target` is a symbolic link's. */
  plain(path: string, stat: Stat, target: string | undefined): CatalogLineText {
    const entry = this.#base(path, stat);
    if (target !== undefined) entry.target = target;
    if (stat.type === "char" || stat.type === "block") entry.rdev = stat.rdev;
    return { text: encodeEntry(entry), path };
  }

  /** A further name of what lies at `first`. */
  hardLink(path: string, stat: Stat, first: string): CatalogLineText {
    return { text: encodeEntry({ ...this.#base(path, stat), hardlink: first }), path };
  }

  #base(path: string, stat: Stat): Entry {
    const { xattrs, problem } = readXattrs(path);
    if (problem !== undefined) this.#log.notKept(path, problem);
    return entryBase(path, stat, this.names(stat), xattrs);
  }
}
