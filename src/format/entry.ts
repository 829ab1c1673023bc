/** Entries and extents: what a catalog says of each file, directory, link and device (format §8.3, §8.4). */
import { bytesFromText, escapeRaw, hasRawBytes, textFromBytes } from "./byte-text.ts";

export const ENTRY_TYPES = ["file", "dir", "symlink", "fifo", "char", "block"] as const;
export type EntryType = (typeof ENTRY_TYPES)[number];

/** A frame of a volume: position and length in the decrypted stream, in bytes. */
export type FramePosition = readonly [position: number, length: number];

/** A file stored in one piece. */
export type PieceExtent = { volume: string; frame: FramePosition; offset: number; length: number };
/** Neighbouring chunks of one frame: length and digest of each. */
export type ChunkRun = { volume: string; frame: FramePosition; offset: number; chunks: (readonly [length: number, sha256: string])[] };
/** A hole. */
export type ZeroExtent = { zero: number };
export type Extent = PieceExtent | ChunkRun | ZeroExtent;

/** An xattr; the name is byte text, the value bytes. */
export type Xattr = { name: string; value: Buffer };

export type Chunking = { average: number; span: number };

/** All texts are byte text: lone surrogates U+DC80–U+DCFF stand for bytes that are not UTF-8. */
export type Entry = {
  path: string;
  type: EntryType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  user?: string | undefined;
  group?: string | undefined;
  /** `sec.nsec` */
  mtime: string;
  ctime: string;
  ino: string;
  dev: string;
  /** Bytes; 0 for anything but a file. */
  size: number;
  target?: string | undefined;
  hardlink?: string | undefined;
  rdev?: string | undefined;
  xattrs?: Xattr[] | undefined;
  sha256?: string | undefined;
  extents?: Extent[] | undefined;
  chunking?: Chunking | undefined;
  changed?: true | undefined;
};

/** The extents of one span of a chunked file. */
export type Continuation = { path: string; at: number; extents: Extent[] };
export type CatalogLine = Entry | Continuation;

export function isContinuation(line: CatalogLine): line is Continuation {
  return "at" in line;
}

/** Bytes of the file an extent stands for. */
export function extentLength(extent: Extent): number {
  if ("zero" in extent) return extent.zero;
  if ("length" in extent) return extent.length;
  let length = 0;
  for (const [bytes] of extent.chunks) length += bytes;
  return length;
}

/** Where the chunk after one at `offset` of `length` bytes begins: the next block, behind a tar header. */
export function nextChunkOffset(offset: number, length: number): number {
  return offset + Math.ceil(length / 512) * 512 + 512;
}

function text(name: string, value: string): string {
  return hasRawBytes(value) ? `"${name}Raw":${JSON.stringify(escapeRaw(bytesFromText(value)))}` : `"${name}":${JSON.stringify(value)}`;
}

function encodeXattr(xattr: Xattr): string {
  return `{${text("name", xattr.name)},${text("value", textFromBytes(xattr.value))}}`;
}

function encodeExtent(extent: Extent): string {
  if ("zero" in extent) return `{"zero":${extent.zero}}`;
  const start = `{"volume":"${extent.volume}","frame":[${extent.frame[0]},${extent.frame[1]}],"offset":${extent.offset},`;
  if ("length" in extent) return `${start}"length":${extent.length}}`;
  return `${start}"chunks":[${extent.chunks.map(([length, sha256]) => `[${length},"${sha256}"]`).join(",")}]}`;
}

/** Extents as a catalog line has them. */
export function encodeExtents(extents: readonly Extent[]): string {
  return `[${extents.map(encodeExtent).join(",")}]`;
}

/** Four octal digits, as `chmod` takes them. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** What a walk knows of an entry. */
export type EntryHead = Pick<Entry, "type" | "mode" | "uid" | "gid" | "mtime" | "ctime" | "ino">;
export type OwnerNames = Pick<Entry, "user" | "group">;

/** How the line of an entry begins, up to the value of `dev`. */
export function encodeHead(path: string, e: EntryHead, { user, group }: OwnerNames): string {
  let line = `{${text("path", path)},"type":"${e.type}","mode":"${formatMode(e.mode)}","uid":${e.uid},"gid":${e.gid}`;
  if (user !== undefined) line += `,${text("user", user)}`;
  if (group !== undefined) line += `,${text("group", group)}`;
  return `${line},"mtime":"${e.mtime}","ctime":"${e.ctime}","ino":"${e.ino}","dev":"`;
}

/** What follows the value of `dev`: the last a walk knows. `size` in bytes. */
export function encodeTail(type: EntryType, size: number): string {
  return type === "file" ? `","size":${size}` : `"`;
}

/** One catalog line without its line feed. */
export function encodeEntry(e: Entry): string {
  let line = `${encodeHead(e.path, e, e)}${e.dev}${encodeTail(e.type, e.size)}`;
  if (e.target !== undefined) line += `,${text("target", e.target)}`;
  if (e.hardlink !== undefined) line += `,${text("hardlink", e.hardlink)}`;
  if (e.rdev !== undefined) line += `,"rdev":"${e.rdev}"`;
  if (e.xattrs !== undefined && e.xattrs.length > 0) line += `,"xattrs":[${e.xattrs.map(encodeXattr).join(",")}]`;
  if (e.sha256 !== undefined) line += `,"sha256":"${e.sha256}"`;
  if (e.extents !== undefined) line += `,"extents":${encodeExtents(e.extents)}`;
  if (e.chunking !== undefined) line += `,"chunking":{"average":${e.chunking.average},"span":${e.chunking.span}}`;
  if (e.changed) line += `,"changed":true`;
  return `${line}}`;
}

/** One continuation line without its line feed, of extents that `encodeExtents` wrote. */
export function continuationLine(path: string, at: number, extents: string): string {
  return `{${text("path", path)},"at":${at},"extents":${extents}}`;
}

/** One continuation line without its line feed. */
export function encodeContinuation({ path, at, extents }: Continuation): string {
  return continuationLine(path, at, encodeExtents(extents));
}
