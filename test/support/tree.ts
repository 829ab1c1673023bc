/** Builds small trees of files and describes any tree so exactly that two equal descriptions mean equal trees. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  linkSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";

type Attributes = {
  /** Default: what the umask leaves. */
  mode?: number;
  uid?: number;
  gid?: number;
  /** `seconds.nanoseconds`, set exactly. */
  mtime?: string;
  /** Full name (`user.note`) to value. */
  xattrs?: Record<string, string>;
};

/** A file's content, or any kind of member with its attributes. A hard link's target is a path of the same tree. */
export type TreeMember =
  | string
  | Uint8Array
  | (Attributes & { type: "file"; content?: string | Uint8Array; /** Cut or extended (as a hole) to this many bytes. */ sizeBytes?: number })
  | (Attributes & { type: "directory" })
  | (Attributes & { type: "symlink"; target: string | Uint8Array })
  | { type: "hardlink"; target: string | Uint8Array }
  | (Attributes & { type: "fifo" })
  | (Attributes & { type: "device"; kind: "b" | "c"; major: number; minor: number });

/** Paths below the root to members; pairs where a path is not UTF-8. */
export type TreeSpec = Record<string, TreeMember> | [path: string | Uint8Array, member: TreeMember][];

const SLASH = Buffer.from("/");

function below(dir: Buffer, path: string | Uint8Array): Buffer {
  return Buffer.concat([dir, SLASH, typeof path === "string" ? Buffer.from(path) : path]);
}

/** Runs a line of shell on `$path`: arguments are strings, so a name that is not UTF-8 travels as octal escapes. */
function shell(path: Buffer, line: string, ...args: string[]): void {
  const octal = [...path].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
  const script = `path=$(printf %b '${octal}.'); path=\${path%.}; ${line}`;
  const done = spawnSync("sh", ["-c", script, "sh", ...args], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  if (done.status !== 0) throw new Error(`${line}: ${done.stderr}`);
}

function createMember(root: Buffer, path: Buffer, member: Exclude<TreeMember, string | Uint8Array>): void {
  switch (member.type) {
    case "file":
      writeFileSync(path, member.content ?? "");
      if (member.sizeBytes !== undefined) truncateSync(path, member.sizeBytes);
      return;
    case "directory":
      mkdirSync(path, { recursive: true });
      return;
    case "symlink":
      symlinkSync(Buffer.from(member.target), path);
      return;
    case "hardlink":
      linkSync(below(root, member.target), path);
      return;
    case "fifo":
      shell(path, 'mkfifo "$path"');
      return;
    case "device":
      shell(path, `mknod "$path" ${member.kind} ${member.major} ${member.minor}`);
  }
}

function setAttributes(path: Buffer, attributes: Attributes, isLink: boolean): void {
  if (attributes.uid !== undefined || attributes.gid !== undefined) lchownSync(path, attributes.uid ?? -1, attributes.gid ?? -1);
  if (attributes.mode !== undefined && !isLink) chmodSync(path, attributes.mode);
  for (const [name, value] of Object.entries(attributes.xattrs ?? {})) shell(path, 'setfattr -h -n "$1" -v "$2" "$path"', name, value);
}

/** Writes the members in the order given, making parent directories; times last, so that they hold. Throws on any failure. */
export function makeTree(dir: string, spec: TreeSpec): void {
  const root = Buffer.from(dir);
  const members = (Array.isArray(spec) ? spec : Object.entries(spec)).map(([path, member]) => ({
    path: below(root, path),
    member: typeof member === "string" || member instanceof Uint8Array ? { type: "file" as const, content: member } : member,
  }));
  for (const { path, member } of members) {
    mkdirSync(path.subarray(0, path.lastIndexOf(SLASH)), { recursive: true });
    createMember(root, path, member);
    if (member.type !== "hardlink") setAttributes(path, member, member.type === "symlink");
  }
  for (const { path, member } of members.toReversed()) {
    if (member.type !== "hardlink" && member.mtime !== undefined) shell(path, 'touch -h -m -d "$1" "$path"', `@${member.mtime}`);
  }
}

export type DigestOptions = {
  /** What is left out of every line; `root` is the directory's own line. */
  omit?: ("root" | "mode" | "owner" | "mtime" | "xattrs")[];
};

const TYPES: Record<number, string> = {
  [constants.S_IFREG]: "file",
  [constants.S_IFDIR]: "directory",
  [constants.S_IFLNK]: "symlink",
  [constants.S_IFIFO]: "fifo",
  [constants.S_IFBLK]: "block",
  [constants.S_IFCHR]: "character",
  [constants.S_IFSOCK]: "socket",
};

/** Printable ASCII as it is, every other byte and the backslash as `\ooo`: a name with a newline stays one line. */
function escapeBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte > 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
  return text;
}

const readBuffer = Buffer.allocUnsafe(1024 * 1024);

function fileDigest(path: Buffer): string {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = createHash("sha256");
    for (let length; (length = readSync(descriptor, readBuffer)) > 0; ) hash.update(readBuffer.subarray(0, length));
    return hash.digest("hex");
  } finally {
    closeSync(descriptor);
  }
}

class Lister {
  readonly lines: string[] = [];
  readonly #omit: Set<string>;
  /** `device:inode` of files with several links to the first path met. */
  readonly #firstPaths = new Map<string, string>();

  constructor(options: DigestOptions) {
    this.#omit = new Set(options.omit);
  }

  /** Walks through descriptors, so that paths may be longer than the system takes. */
  walk(dir: Buffer, shown: string): void {
    const descriptor = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      const here = Buffer.from(`/proc/self/fd/${descriptor}`);
      const names = readdirSync(here, { encoding: "buffer" }).sort((a, b) => Buffer.compare(a, b));
      for (const name of names) {
        const path = below(here, name);
        const shownPath = `${shown}/${escapeBytes(name)}`;
        const stats = lstatSync(path, { bigint: true });
        this.add(path, shownPath, stats);
        if (stats.isDirectory()) this.walk(path, shownPath);
      }
    } finally {
      closeSync(descriptor);
    }
  }

  add(path: Buffer, shown: string, stats: BigIntStats): void {
    const fields = [shown, TYPES[Number(stats.mode) & constants.S_IFMT] ?? "unknown"];
    if (!this.#omit.has("mode")) fields.push(`mode=${(stats.mode & 0o7777n).toString(8)}`);
    if (!this.#omit.has("owner")) fields.push(`owner=${stats.uid}:${stats.gid}`);
    if (!this.#omit.has("mtime")) fields.push(`mtime=${stats.mtimeNs}`);
    if (stats.isFile()) fields.push(`size=${stats.size}`, `sha256=${fileDigest(path)}`);
    if (stats.isSymbolicLink()) fields.push(`target=${escapeBytes(readlinkSync(path, { encoding: "buffer" }))}`);
    if (stats.isBlockDevice() || stats.isCharacterDevice()) fields.push(`device=${stats.rdev}`);
    if (!stats.isDirectory() && stats.nlink > 1n) fields.push(`same-as=${this.#firstPath(stats, shown)}`);
    this.lines.push(fields.join(" "));
  }

  #firstPath(stats: BigIntStats, shown: string): string {
    const key = `${stats.dev}:${stats.ino}`;
    const first = this.#firstPaths.get(key) ?? shown;
    this.#firstPaths.set(key, first);
    return first;
  }
}

/** One line for every attribute, ACLs and capabilities included; empty where `getfattr` is not installed. */
function xattrLines(dir: string): string[] {
  const done = spawnSync("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."], { cwd: dir, encoding: "latin1", maxBuffer: 1 << 28 });
  if (done.error) return [];
  return done.stdout
    .split("\n\n")
    .flatMap((block) => {
      const [head, ...values] = block.split("\n").filter((line) => line !== "");
      return values.map((value) => `${head?.replace("# file: ", "")} ${value}`);
    })
    .sort();
}

/**
 * A canonical listing of a tree, one member a line in byte order: type, mode, owner, mtime (ns), size, SHA-256, link
 * target, hard-link group, device number, then all extended attributes. Equal text means an equal tree.
 */
export function treeDigest(dir: string, options: DigestOptions = {}): string {
  const lister = new Lister(options);
  const root = Buffer.from(dir);
  if (!options.omit?.includes("root")) lister.add(root, ".", lstatSync(root, { bigint: true }));
  lister.walk(root, ".");
  const xattrs = options.omit?.includes("xattrs") ? [] : xattrLines(dir);
  return [...lister.lines, ...xattrs, ""].join("\n");
}
