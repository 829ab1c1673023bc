/**
 * Linux calls that Node lacks, through `node:ffi` and the C library. The only module that knows of either.
 * Where they are missing (another C library, a Node without FFI, a 32-bit processor) `libc` is null and `LIBC_LOSSES`
 * says what is then not kept, so that the caller can name it.
 */
import { getSystemErrorName } from "node:util";
import { bytesFromText, textFromBytes } from "../format/byte-text.ts";
import type { FileTime } from "./file-time.ts";

/** A path (text or bytes; the last component is never followed) or an open descriptor. */
export type FileRef = string | Buffer | number;

/** Every call throws an Error with the system's `code` and the positive `errno` when it fails. */
export type Libc = {
  /** Names of the extended attributes, ACLs included, as byte text. */
  listXattrs(file: FileRef): string[];
  getXattr(file: FileRef, name: string): Buffer;
  setXattr(file: FileRef, name: string, value: Uint8Array): void;
  removeXattr(file: FileRef, name: string): void;
  /** First data at or after `offset`, in bytes. Throws ENXIO when there is none. */
  seekData(fd: number, offset: number): number;
  /** First hole at or after `offset`; the end of the file counts as one. */
  seekHole(fd: number, offset: number): number;
  /** mknod(2); `mode` holds the type bits, the umask applies. */
  makeNode(path: string | Buffer, mode: number, dev: bigint): void;
  /** Sets access and modification time alike, to the nanosecond. A link itself is changed, never what it points at. */
  setTimes(file: FileRef, time: FileTime): void;
  /** statx(2) without following a link: the kernel's `struct statx` in a buffer that the next call overwrites; null when it fails. */
  statx(file: FileRef): Buffer | null;
  /**
   * Reads at `position` what lies in the page cache, without waiting for a disk (preadv2 with RWF_NOWAIT); returns the bytes
   * read, 0 where nothing is cached or the file system cannot tell.
   */
  readCached(fd: number, target: Buffer, length: number, position: number): number;
  /**
   * Which pages of a range the page cache holds (mincore(2)): one byte a page from the one that `offset` lies in, its lowest bit
   * set. Null where the kernel does not tell; of a file that is neither one's own nor writable it says that all are.
   */
  cachedPages(fd: number, offset: number, length: number): Buffer | null;
  /** Bytes of a page. */
  readonly pageBytes: number;
  /** Puts this thread, and those it starts later, last in the line for disks of the best-effort class (ioprio_set(2)). False where that failed. */
  lowerIoPriority(): boolean;
  /** Has the kernel begin to read the range; where it cannot, it will be read when it is. */
  adviseWillNeed(fd: number, offset: number, length: number): void;
  /** Tells the kernel that cached pages of the range will not be needed again. */
  adviseDontNeed(fd: number, offset: number, length: number): void;
};

/** What is not kept where `libc` is null. */
export const LIBC_LOSSES = ["extended attributes, ACLs and file capabilities", "holes", "device nodes and FIFOs", "times below a microsecond and before 1970"];

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const PATH_BYTES_MAX = 4096;
const RWF_NOWAIT = 0x8;
const PROT_NONE = 0;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const IOPRIO_WHO_PROCESS = 1n;
/** Class 2, best effort, and its lowest level. */
const IOPRIO_LAST = (2n << 13n) | 7n;
/** Number of ioprio_set, which the C library has no function for. */
const IOPRIO_SET: Record<string, bigint> = { x64: 251n, arm64: 30n, riscv64: 30n, loong64: 30n, ppc64: 273n, s390x: 282n };
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const POSIX_FADV_WILLNEED = 3;
const POSIX_FADV_DONTNEED = 4;
/** The kernel's ceiling of both one attribute's value and one file's list of names (limits.h: XATTR_SIZE_MAX, XATTR_LIST_MAX). */
const XATTR_BYTES_MAX = 65_536;
/** struct timespec and off_t are taken as 64 bits. */
const ARCHITECTURES = ["x64", "arm64", "ppc64", "s390x", "riscv64", "loong64"];

const DEFINITIONS = {
  __errno_location: { return: "pointer", arguments: [] },
  lseek: { return: "i64", arguments: ["i32", "i64", "i32"] },
  llistxattr: { return: "i64", arguments: ["pointer", "pointer", "u64"] },
  flistxattr: { return: "i64", arguments: ["i32", "pointer", "u64"] },
  lgetxattr: { return: "i64", arguments: ["pointer", "pointer", "pointer", "u64"] },
  fgetxattr: { return: "i64", arguments: ["i32", "pointer", "pointer", "u64"] },
  lsetxattr: { return: "i32", arguments: ["pointer", "pointer", "pointer", "u64", "i32"] },
  fsetxattr: { return: "i32", arguments: ["i32", "pointer", "pointer", "u64", "i32"] },
  lremovexattr: { return: "i32", arguments: ["pointer", "pointer"] },
  fremovexattr: { return: "i32", arguments: ["i32", "pointer"] },
  utimensat: { return: "i32", arguments: ["i32", "pointer", "pointer", "i32"] },
  futimens: { return: "i32", arguments: ["i32", "pointer"] },
  mmap: { return: "u64", arguments: ["u64", "u64", "i32", "i32", "i32", "i64"] },
  mincore: { return: "i32", arguments: ["u64", "u64", "pointer"] },
  munmap: { return: "i32", arguments: ["u64", "u64"] },
  getpagesize: { return: "i32", arguments: [] },
  preadv2: { return: "i64", arguments: ["i32", "pointer", "i32", "i64", "i32"] },
  syscall: { return: "i64", arguments: ["i64", "i64", "i64", "i64"] },
  statx: { return: "i32", arguments: ["i32", "pointer", "i32", "u32", "pointer"] },
  posix_fadvise: { return: "i32", arguments: ["i32", "i64", "i64", "i32"] },
} as const;

/** A NUL-terminated copy, as C wants it. */
function cString(text: string | Buffer): Buffer {
  const bytes = typeof text === "string" ? bytesFromText(text) : text;
  if (bytes.includes(0)) throw systemError(22, "path", text);
  return Buffer.concat([bytes, Buffer.of(0)]);
}

/** An Error as Node's own file calls throw it. */
function systemError(errno: number, call: string, file: FileRef): Error {
  const code = getSystemErrorName(-errno);
  const object = typeof file === "number" ? `descriptor ${file}` : `'${typeof file === "string" ? file : textFromBytes(file)}'`;
  return Object.assign(new Error(`${code}: ${call} ${object}`), { code, errno, syscall: call });
}

function openLibrary() {
  if (process.platform !== "linux" || !ARCHITECTURES.includes(process.arch)) return null;
  try {
    const ffi = process.getBuiltinModule("node:ffi");
    const { lib, functions } = ffi.dlopen("libc.so.6", DEFINITIONS);
    const errnoAt = functions.__errno_location();
    return { lib, functions, errno: (): number => ffi.getInt32(errnoAt), pointerTo: (buffer: Buffer): bigint => ffi.getRawPointer(buffer) };
  } catch {
    return null;
  }
}

type Library = NonNullable<ReturnType<typeof openLibrary>>;

/** `mknod`, which C libraries before 2.33 export only as `__xmknod` with a version (0 on the 64-bit processors above). */
function findMakeNode(lib: Library["lib"]): (path: Buffer, mode: number, dev: bigint) => number {
  try {
    return lib.getFunction("mknod", { return: "i32", arguments: ["pointer", "u32", "u64"] });
  } catch {
    const call = lib.getFunction("__xmknod", { return: "i32", arguments: ["i32", "pointer", "u32", "pointer"] });
    return (path, mode, dev) => call(0, path, mode, Buffer.from(BigUint64Array.of(dev).buffer));
  }
}

/** One buffer for all answers of a thread: the calls are synchronous and their results are copied out. */
function xattrCalls({ functions, errno }: Library): Pick<Libc, "listXattrs" | "getXattr" | "setXattr" | "removeXattr"> {
  const answer = Buffer.allocUnsafeSlow(XATTR_BYTES_MAX);
  const room = BigInt(answer.length);
  const check = (result: number | bigint, call: string, file: FileRef): number => {
    if (result < 0) throw systemError(errno(), call, file);
    return Number(result);
  };
  return {
    listXattrs(file) {
      const result = typeof file === "number" ? functions.flistxattr(file, answer, room) : functions.llistxattr(cString(file), answer, room);
      const length = check(result, "listxattr", file);
      return length === 0 ? [] : answer.toString("latin1", 0, length - 1).split("\0").map((name) => textFromBytes(Buffer.from(name, "latin1")));
    },
    getXattr(file, name) {
      const cName = cString(name);
      const result = typeof file === "number" ? functions.fgetxattr(file, cName, answer, room) : functions.lgetxattr(cString(file), cName, answer, room);
      return Buffer.from(answer.subarray(0, check(result, "getxattr", file)));
    },
    setXattr(file, name, value) {
      const [cName, size] = [cString(name), BigInt(value.byteLength)];
      const bytes = value.byteLength === 0 ? Buffer.of(0) : value;
      const result = typeof file === "number" ? functions.fsetxattr(file, cName, bytes, size, 0) : functions.lsetxattr(cString(file), cName, bytes, size, 0);
      check(result, "setxattr", file);
    },
    removeXattr(file, name) {
      const cName = cString(name);
      check(typeof file === "number" ? functions.fremovexattr(file, cName) : functions.lremovexattr(cString(file), cName), "removexattr", file);
    },
  };
}

/** One path and one answer a thread: no allocation for the call that a walk makes most. */
function statxCall({ functions }: Library): Libc["statx"] {
  const path = Buffer.alloc(PATH_BYTES_MAX);
  const answer = Buffer.alloc(STATX_BYTES);
  const nowhere = Buffer.of(0);
  return (file) => {
    if (typeof file === "number") return functions.statx(file, nowhere, AT_EMPTY_PATH, STATX_BASIC_STATS, answer) === 0 ? answer : null;
    const length = typeof file === "string" ? path.write(file) : file.copy(path);
    if (length >= PATH_BYTES_MAX - 4) return null;
    path[length] = 0;
    return functions.statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, answer) === 0 ? answer : null;
  };
}

function readCachedCall({ functions, pointerTo }: Library): Libc["readCached"] {
  /** struct iovec: where, and how much. */
  const vector = new BigUint64Array(2);
  return (fd, target, length, position) => {
    vector[0] = pointerTo(target);
    vector[1] = BigInt(length);
    const got = functions.preadv2(fd, vector, 1, BigInt(position), RWF_NOWAIT);
    return got < 0n ? 0 : Number(got);
  };
}

function cachedPagesCall({ functions }: Library): Libc["cachedPages"] {
  const pageBytes = functions.getpagesize();
  return (fd, offset, length) => {
    const start = offset - (offset % pageBytes);
    const pages = Buffer.allocUnsafe(Math.ceil((offset + length - start) / pageBytes));
    const bytes = BigInt(pages.length * pageBytes);
    // Nothing is read through the mapping: it only names the range.
    const address = functions.mmap(0n, bytes, PROT_NONE, MAP_SHARED, fd, BigInt(start));
    if (address === MAP_FAILED) return null;
    try {
      return functions.mincore(address, bytes, pages) === 0 ? pages : null;
    } finally {
      functions.munmap(address, bytes);
    }
  };
}

function bind(library: Library): Libc {
  const { functions, errno } = library;
  const mknod = findMakeNode(library.lib);
  const seek = (fd: number, offset: number, whence: number): number => {
    const found = functions.lseek(fd, BigInt(offset), whence);
    if (found < 0n) throw systemError(errno(), "lseek", fd);
    return Number(found);
  };
  /** struct timespec[2]: access, then modification. */
  const times = new BigInt64Array(4);
  return {
    ...xattrCalls(library),
    statx: statxCall(library),
    readCached: readCachedCall(library),
    cachedPages: cachedPagesCall(library),
    pageBytes: functions.getpagesize(),
    lowerIoPriority() {
      const number = IOPRIO_SET[process.arch];
      return number !== undefined && functions.syscall(number, IOPRIO_WHO_PROCESS, 0n, IOPRIO_LAST) === 0n;
    },
    seekData: (fd, offset) => seek(fd, offset, SEEK_DATA),
    seekHole: (fd, offset) => seek(fd, offset, SEEK_HOLE),
    makeNode(path, mode, dev) {
      if (mknod(cString(path), mode, dev) !== 0) throw systemError(errno(), "mknod", path);
    },
    setTimes(file, { sec, nsec }) {
      times[0] = times[2] = sec;
      times[1] = times[3] = BigInt(nsec);
      const result = typeof file === "number" ? functions.futimens(file, times) : functions.utimensat(AT_FDCWD, cString(file), times, AT_SYMLINK_NOFOLLOW);
      if (result !== 0) throw systemError(errno(), "utimensat", file);
    },
    adviseWillNeed(fd, offset, length) {
      functions.posix_fadvise(fd, BigInt(offset), BigInt(length), POSIX_FADV_WILLNEED);
    },
    adviseDontNeed(fd, offset, length) {
      const fault = functions.posix_fadvise(fd, BigInt(offset), BigInt(length), POSIX_FADV_DONTNEED);
      if (fault !== 0) throw systemError(fault, "posix_fadvise", fd);
    },
  };
}

function load(): Libc | null {
  const library = openLibrary();
  try {
    return library && bind(library);
  } catch {
    return null;
  }
}

/** The C library of this thread, or null where it cannot be called. */
export const libc: Libc | null = load();
