/**
 * Reads catalog lines. Their digest was signed by the host, but a host may be hostile: every field is checked before it is
 * used. Written by hand because a million lines pass through here; `test/format/entry.test.ts` feeds it hostile ones.
 */
import { ColdkeepError } from "../errors.ts";
import { bytesFromText, textFromBytes, unescapeRaw } from "./byte-text.ts";
import { ENTRY_TYPES, type CatalogLine, type Chunking, type Continuation, type Entry, type Extent, type FramePosition, type Xattr } from "./entry.ts";
import { pathFault } from "./entry-path.ts";
import { isId } from "./id.ts";

/** No frame may be larger, decompressed or not (format §7). */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

type Fields = Record<string, unknown>;

/** To chown(2) the number above means "leave as it is". */
const ID_MAX = 0xfffffffe;
const SHA256 = /^[0-9a-f]{64}$/;
const TIME = /^-?\d{1,15}\.\d{9}$/;
const DECIMAL = /^\d{1,20}$/;
const RDEV = /^\d{1,10}:\d{1,10}$/;
const MODE = /^[0-7]{4}$/;

function fail(what: string): never {
  throw new ColdkeepError("E_FORMAT", `a catalog line is malformed: ${what}`);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function asFields(value: unknown, what: string): Fields {
  return isFields(value) ? value : fail(what);
}

function count(value: unknown, what: string, max = Number.MAX_SAFE_INTEGER): number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max ? value : fail(what);
}

function matching(value: unknown, pattern: RegExp, what: string): string {
  return typeof value === "string" && pattern.test(value) ? value : fail(what);
}

/** A text field, or its `…Raw` twin turned back; a clean text holding surrogates would mean bytes it does not have. */
function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value !== undefined) return typeof value === "string" && value.isWellFormed() ? value : fail(name);
  const raw = fields[`${name}Raw`];
  if (raw === undefined) return undefined;
  return typeof raw === "string" ? textFromBytes(unescapeRaw(raw)) : fail(`${name}Raw`);
}

function pathText(fields: Fields, name: string): string {
  const path = optionalText(fields, name) ?? fail(name);
  const fault = pathFault(path);
  return fault === undefined ? path : fail(`${name} ${fault}`);
}

function parseFrame(value: unknown): FramePosition {
  if (!Array.isArray(value) || value.length !== 2) fail("frame");
  return [count(value[0], "frame"), count(value[1], "frame", FRAME_BYTES_MAX)];
}

function parseChunk(value: unknown): readonly [number, string] {
  if (!Array.isArray(value) || value.length !== 2) fail("chunk");
  return [count(value[0], "chunk", FRAME_BYTES_MAX), matching(value[1], SHA256, "chunk digest")];
}

function parseExtent(value: unknown): Extent {
  const fields = asFields(value, "extent");
  if (fields["zero"] !== undefined) return { zero: count(fields["zero"], "zero") };
  const volume = fields["volume"];
  if (typeof volume !== "string" || !isId(volume)) fail("volume");
  const frame = parseFrame(fields["frame"]);
  const offset = count(fields["offset"], "offset", FRAME_BYTES_MAX);
  const chunks = fields["chunks"];
  if (chunks === undefined) return { volume, frame, offset, length: count(fields["length"], "length", FRAME_BYTES_MAX) };
  if (!Array.isArray(chunks) || chunks.length === 0) fail("chunks");
  return { volume, frame, offset, chunks: chunks.map(parseChunk) };
}

function parseExtents(value: unknown): Extent[] {
  return Array.isArray(value) ? value.map(parseExtent) : fail("extents");
}

function parseXattr(value: unknown): Xattr {
  const fields = asFields(value, "xattr");
  const name = optionalText(fields, "name") ?? fail("xattr name");
  if (name === "" || name.length > 255 || name.includes("\0")) fail("xattr name");
  return { name, value: bytesFromText(optionalText(fields, "value") ?? fail("xattr value")) };
}

function parseChunking(value: unknown): Chunking {
  const fields = asFields(value, "chunking");
  return { average: count(fields["average"], "average"), span: count(fields["span"], "span") };
}

function parseContent(fields: Fields, entry: Entry): void {
  if (entry.hardlink !== undefined) return;
  if (entry.type === "file") entry.size = count(fields["size"], "size");
  if (entry.type === "symlink") {
    entry.target = optionalText(fields, "target") ?? fail("target");
    if (entry.target === "" || entry.target.includes("\0")) fail("target");
  }
  if (entry.type === "char" || entry.type === "block") entry.rdev = matching(fields["rdev"], RDEV, "rdev");
  if (entry.type !== "file") return;
  if (fields["chunking"] !== undefined) entry.chunking = parseChunking(fields["chunking"]);
  else if (entry.size > 0) parsePiece(fields, entry);
  if (fields["changed"] === true) entry.changed = true;
}

function parsePiece(fields: Fields, entry: Entry): void {
  entry.sha256 = matching(fields["sha256"], SHA256, "sha256");
  entry.extents = parseExtents(fields["extents"]);
  const [extent] = entry.extents;
  if (entry.extents.length !== 1 || extent === undefined || !("length" in extent) || extent.length !== entry.size) fail("extents");
}

function parseEntry(fields: Fields): Entry {
  const type = ENTRY_TYPES.find((known) => known === fields["type"]) ?? fail("type");
  const entry: Entry = {
    path: pathText(fields, "path"),
    type,
    mode: Number.parseInt(matching(fields["mode"], MODE, "mode"), 8),
    uid: count(fields["uid"], "uid", ID_MAX),
    gid: count(fields["gid"], "gid", ID_MAX),
    user: optionalText(fields, "user"),
    group: optionalText(fields, "group"),
    mtime: matching(fields["mtime"], TIME, "mtime"),
    ctime: matching(fields["ctime"], TIME, "ctime"),
    ino: matching(fields["ino"], DECIMAL, "ino"),
    dev: matching(fields["dev"], DECIMAL, "dev"),
    size: 0,
  };
  if (fields["hardlink"] !== undefined || fields["hardlinkRaw"] !== undefined) {
    if (type === "dir") fail("hardlink");
    entry.hardlink = pathText(fields, "hardlink");
    if (fields["size"] !== undefined) entry.size = count(fields["size"], "size");
  }
  const xattrs = fields["xattrs"];
  if (xattrs !== undefined) entry.xattrs = Array.isArray(xattrs) ? xattrs.map(parseXattr) : fail("xattrs");
  parseContent(fields, entry);
  return entry;
}

function parseContinuation(fields: Fields): Continuation {
  return { path: pathText(fields, "path"), at: count(fields["at"], "at"), extents: parseExtents(fields["extents"]) };
}

/** Extents as `encodeExtents` writes them. Throws E_FORMAT. */
export function parseExtentsText(text: string): Extent[] {
  return parseExtents(parseJson(text));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    fail("not JSON");
  }
}

/** One line of a segment. Throws E_FORMAT. */
export function parseCatalogLine(line: string): CatalogLine {
  const fields = asFields(parseJson(line), "not an object");
  return fields["at"] === undefined ? parseEntry(fields) : parseContinuation(fields);
}
