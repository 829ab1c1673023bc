/** Which file systems are mounted where (proc(5), /proc/self/mountinfo), and which of them a walk may enter. */
import { readFileSync } from "node:fs";
import { ColdkeepError } from "../errors.ts";
import { textFromBytes } from "../format/byte-text.ts";
import { isWithin, parentPath } from "../format/entry-path.ts";

export type Mount = {
  id: number;
  parentId: number;
  /** `major:minor` */
  dev: string;
  /** The directory of the file system that is mounted, byte text. */
  root: string;
  /** Where, byte text. */
  path: string;
  fsType: string;
  source: string;
};

/** `layered` shows other directories once more (overlay); `image` is read-only and made by others (squashfs). */
export type FileSystemClass = "local" | "pseudo" | "network" | "temporary" | "layered" | "image" | "unknown";

const CLASSES: [FileSystemClass, string][] = [
  ["local", "ext2 ext3 ext4 xfs btrfs zfs f2fs bcachefs vfat msdos exfat ntfs ntfs3 fuseblk jfs reiserfs nilfs2 ufs hfs hfsplus minix ecryptfs"],
  [
    "pseudo",
    "proc sysfs cgroup cgroup2 cpuset devpts devtmpfs debugfs tracefs securityfs pstore bpf mqueue hugetlbfs autofs binfmt_misc configfs fusectl efivarfs nsfs rpc_pipefs selinuxfs smackfs nfsd resctrl sockfs pipefs",
  ],
  ["network", "nfs nfs4 cifs smb3 smbfs ceph glusterfs afs 9p virtiofs lustre gfs2 ocfs2 gpfs beegfs orangefs coda ncpfs davfs fuse"],
  ["temporary", "tmpfs ramfs"],
  ["layered", "overlay aufs"],
  ["image", "squashfs erofs cramfs romfs iso9660 udf"],
];
const CLASS_OF = new Map(CLASSES.flatMap(([kind, types]) => types.split(" ").map((type) => [type, kind] as const)));

/** What kind of file system a type is; every FUSE type but `fuseblk` counts as network, since it may hang like one. */
export function fileSystemClass(fsType: string): FileSystemClass {
  return CLASS_OF.get(fsType) ?? (fsType.startsWith("fuse.") ? "network" : "unknown");
}

/** Undoes the octal escapes of blanks, tabs, newlines, `#` and backslashes. */
function unescapeField(field: string): string {
  const bytes = field.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return textFromBytes(Buffer.from(bytes, "latin1"));
}

/** The mounts of a mountinfo file, in its order. Throws E_DISK on a line of another form. */
export function parseMountInfo(content: Uint8Array): Mount[] {
  const lines = Buffer.from(content).toString("latin1").split("\n");
  return lines.filter((line) => line !== "").map((line) => {
    const [before = "", after = ""] = line.split(" - ", 2);
    const [id, parentId, dev, root, path] = before.split(" ");
    const [fsType, source] = after.split(" ");
    if (root === undefined || path === undefined || dev === undefined || !fsType) {
      throw new ColdkeepError("E_DISK", `mountinfo holds a line of unknown form: ${line.slice(0, 200)}`);
    }
    return {
      id: Number(id),
      parentId: Number(parentId),
      dev,
      root: unescapeField(root),
      path: unescapeField(path),
      fsType: unescapeField(fsType),
      source: unescapeField(source ?? ""),
    };
  });
}

/** The mounts a path look-up can reach; one that another was mounted over is not among them. */
export class MountTable {
  readonly #byPath = new Map<string, Mount>();
  /** Directories that hold a mount point. */
  readonly #parents: Set<string>;

  constructor(mounts: Mount[]) {
    const known = new Set(mounts.map((mount) => mount.id));
    const children = new Map<number, Mount[]>();
    for (const mount of mounts) {
      const parent = known.has(mount.parentId) && mount.parentId !== mount.id ? mount.parentId : -1;
      children.set(parent, [...(children.get(parent) ?? []), mount]);
    }
    this.#show(children.get(-1) ?? [], children);
    this.#parents = new Set([...this.#byPath.keys()].map(parentPath));
  }

  /** Adds siblings and what is mounted below them; a sibling below another's mount point was hidden by it. */
  #show(siblings: Mount[], children: Map<number, Mount[]>): void {
    for (const mount of siblings) {
      const hidden = siblings.some((other) => other.path !== mount.path && other.path !== "/" && isWithin(mount.path, other.path));
      if (hidden) continue;
      const above = children.get(mount.id) ?? [];
      const cover = above.filter((child) => child.path === mount.path);
      this.#byPath.set(mount.path, mount);
      this.#show(cover.length > 0 ? cover : above, children);
    }
  }

  /** The file system mounted exactly at a path. */
  at(path: string): Mount | undefined {
    return this.#byPath.get(path);
  }

  /** All of them, outer ones first. */
  shown(): Mount[] {
    return [...this.#byPath.values()];
  }

  /** Whether something is mounted at a name in this directory. */
  isParent(directory: string): boolean {
    return this.#parents.has(directory);
  }

  /** The file system a path lies on. */
  containing(path: string): Mount | undefined {
    let found: Mount | undefined;
    for (const mount of this.#byPath.values()) {
      if (isWithin(path, mount.path) && (!found || mount.path.length > found.path.length)) found = mount;
    }
    return found;
  }
}

/** The mounts of this process. Throws E_DISK where /proc is not mounted. */
export function readMounts(): MountTable {
  try {
    return new MountTable(parseMountInfo(readFileSync("/proc/self/mountinfo")));
  } catch (cause) {
    if (cause instanceof ColdkeepError) throw cause;
    throw new ColdkeepError("E_DISK", "cannot read /proc/self/mountinfo, so mounts below a source cannot be told apart", {
      hint: "Mount it with: mount -t proc proc /proc",
      cause,
    });
  }
}

/** A directory inside a file system whose content a walk keeps, and the path it is kept under. */
type Kept = { dev: string; root: string; path: string };

/** Decides, in the order of one walk, which mounts are entered. */
export class MountChooser {
  readonly #table: MountTable;
  readonly #kept: Kept[] = [];

  constructor(table: MountTable) {
    this.#table = table;
  }

  /** The path as seen inside the file system it lies on. */
  #inside(path: string): Kept | undefined {
    const mount = this.#table.containing(path);
    if (!mount) return undefined;
    const rest = path.slice(mount.path === "/" ? 0 : mount.path.length);
    return { dev: mount.dev, root: joinRoot(mount.root, rest), path };
  }

  /** Notes that a source is kept; returns why it cannot be, if so. */
  enterSource(path: string): string | undefined {
    const mount = this.#table.containing(path);
    if (mount && fileSystemClass(mount.fsType) === "pseudo") return `lies on the pseudo file system ${mount.fsType}`;
    const kept = this.#inside(path);
    if (kept) this.#kept.push(kept);
    return undefined;
  }

  /** The mount at a path below a source and why it is not entered; undefined when the walk goes on there. */
  skipped(path: string): { mount: Mount; kind: FileSystemClass; reason: string } | undefined {
    const mount = this.#table.at(path);
    if (!mount || this.#showsItself(mount, path)) return undefined;
    const kind = fileSystemClass(mount.fsType);
    const reason = kind === "local" ? this.#whyRepeated(mount, path) : REASONS[kind];
    if (reason !== undefined) return { mount, kind, reason };
    this.#kept.push({ dev: mount.dev, root: mount.root, path });
    return undefined;
  }

  /** Whether a directory inside a kept one can really be reached there: something else may be mounted over it. */
  #isVisible(kept: Kept, root: string): boolean {
    const rest = root.slice(kept.root === "/" ? 0 : kept.root.length);
    const inside = this.#inside(joinRoot(kept.path, rest));
    return inside?.dev === kept.dev && inside.root === root;
  }

  /** A directory mounted onto itself, as a service manager does for what stays writable: the same lies there as without it. */
  #showsItself(mount: Mount, path: string): boolean {
    const name = path.slice(path.lastIndexOf("/"));
    const around = this.#inside(parentPath(path));
    return around?.dev === mount.dev && mount.root === joinRoot(around.root, name);
  }

  #whyRepeated(mount: Mount, path: string): string | undefined {
    const same = this.#kept.find((kept) => kept.dev === mount.dev && isWithin(mount.root, kept.root) && this.#isVisible(kept, mount.root));
    if (same) return `shows again what is kept below ${same.path}`;
    const parent = path.slice(0, path.lastIndexOf("/")) || "/";
    const around = this.#inside(parent);
    const loops = around?.dev === mount.dev && isWithin(around.root, mount.root);
    return loops ? "shows again a directory that it is mounted below" : undefined;
  }
}

const REASONS: Record<FileSystemClass, string | undefined> = {
  local: undefined,
  pseudo: "holds no files, only the kernel's state",
  network: "is a network file system",
  temporary: "is kept in memory only",
  layered: "shows files of other directories",
  image: "is a read-only image",
  unknown: "is a file system of unknown kind",
};

/** `rest` is empty or begins with a slash. */
function joinRoot(root: string, rest: string): string {
  if (rest === "" || rest === "/") return root;
  return root === "/" ? rest : root + rest;
}
