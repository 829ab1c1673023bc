/** Names of users and groups, from /etc/passwd and /etc/group; a directory service's users are known by number only. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { textFromBytes } from "../format/byte-text.ts";

const ID_MAX = 0xffff_ffff;

type Table = { nameOf: Map<number, string>; idOf: Map<string, number> };

/** `name:password:id:…` lines; the first line of a name or number counts, as in the C library. A missing file is empty. */
function readTable(path: string): Table {
  const table: Table = { nameOf: new Map(), idOf: new Map() };
  let content = "";
  try {
    content = readFileSync(path, "latin1");
  } catch {
    // Without the file there are numbers only, which is all that is then known on this machine.
  }
  for (const line of content.split("\n")) {
    const [rawName = "", , digits = ""] = line.split(":");
    if (rawName === "" || !/^\d{1,10}$/.test(digits) || Number(digits) > ID_MAX) continue;
    const [name, id] = [textFromBytes(Buffer.from(rawName, "latin1")), Number(digits)];
    if (!table.nameOf.has(id)) table.nameOf.set(id, name);
    if (!table.idOf.has(name)) table.idOf.set(name, id);
  }
  return table;
}

/** The users and groups of one system, read once. Names are byte text. */
export class Owners {
  readonly #root: string;
  #users: Table;
  #groups: Table;

  /** `root` is the system's root directory. */
  constructor(root = "/") {
    this.#root = root;
    this.#users = readTable(join(root, "etc/passwd"));
    this.#groups = readTable(join(root, "etc/group"));
  }

  /** Reads both files again. */
  reload(): void {
    this.#users = readTable(join(this.#root, "etc/passwd"));
    this.#groups = readTable(join(this.#root, "etc/group"));
  }

  userName(uid: number): string | undefined {
    return this.#users.nameOf.get(uid);
  }

  groupName(gid: number): string | undefined {
    return this.#groups.nameOf.get(gid);
  }

  uidOf(user: string): number | undefined {
    return this.#users.idOf.get(user);
  }

  gidOf(group: string): number | undefined {
    return this.#groups.idOf.get(group);
  }
}
