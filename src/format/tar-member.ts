/**
 * Headers of tar members, POSIX.1-2001 pax: a small file gets an extended header (exact mtime, and whatever ustar
 * cannot say) and a ustar block, a chunk of a large file one plain ustar block.
 *
 * Blocks are written here and not by the `tar` package: its `Header.encode` takes 5.2 µs a block on the machine where
 * a whole member takes 1.4 µs below, and it knows neither byte paths nor nanoseconds. Tests use its parser.
 */
import { ColdkeepError } from "../errors.ts";
import { bytesFromText, hasRawBytes } from "./byte-text.ts";

export const BLOCK_BYTES = 512;
const END_BLOCKS = 2;

const NAME_BYTES = 100;
const MODE_AT = 100;
const UID_AT = 108;
const GID_AT = 116;
const SIZE_AT = 124;
const MTIME_AT = 136;
const CHECKSUM_AT = 148;
const TYPE_AT = 156;
const MAGIC_AT = 257;
const UNAME_AT = 265;
const GNAME_AT = 297;
const DEVICES_AT = 329;

/** Digits before the NUL that ends each field. */
const SHORT_DIGITS = 7;
const LONG_DIGITS = 11;
const CHECKSUM_DIGITS = 6;
/** Characters of an owner's name; a NUL must fit behind them. */
const OWNER_CHARACTERS = 31;
const MAX_SHORT = 8 ** SHORT_DIGITS - 1;
const MAX_LONG = 8 ** LONG_DIGITS - 1;

const ZERO = 0x30;
const PERMISSION_BITS = 0o7777;
const CHUNK_MODE = 0o644;
/** `sec.nsec`, and the length of its point and nanoseconds. */
const TIME = /^-?\d{1,15}\.\d{9}$/;
const NANOSECOND_CHARACTERS = 10;
const LOW_BITS = 24;

/** What the tar says of a small file. Texts are byte text; mtime is `sec.nsec`, nanoseconds counted forward. */
export type TarMember = {
  /** Absolute; written without its leading slash. */
  path: string;
  mode: number;
  uid: number;
  gid: number;
  user?: string | undefined;
  group?: string | undefined;
  mtime: string;
  /** Bytes. */
  size: number;
};

/** A block with everything that never changes, and the sum of its bytes with the checksum field taken as spaces. */
type Template = { block: Buffer; sum: number };

function template(type: "0" | "x", name: string): Template {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0, "latin1");
  block.write("0000000\x000000000\x000000000\x0000000000000\x0000000000000\x00        ", MODE_AT, "latin1");
  block.write(type, TYPE_AT, "latin1");
  block.write("ustar\x0000", MAGIC_AT, "latin1");
  block.write("0000000\x000000000\x00", DEVICES_AT, "latin1");
  return { block, sum: block.reduce((sum, byte) => sum + byte, 0) };
}

const FILE_BLOCK = template("0", "");
/** The name shows only in programs that know no pax; then it is at least the same harmless file each time. */
const PAX_BLOCK = template("x", "pax-header");

/** `length` rounded up to whole blocks: the room the bytes of a member take. */
export function paddedSize(length: number): number {
  return Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES;
}

/** The two zero blocks that end a tar stream. */
export function endOfArchive(): Buffer {
  return Buffer.alloc(END_BLOCKS * BLOCK_BYTES);
}

/** At most this many bytes of header `encodeMember` writes; cheap, and exact for plain names. */
export function memberHeaderBound(member: TarMember): number {
  const texts = member.path.length + (member.user?.length ?? 0) + (member.group?.length ?? 0);
  const isShort = texts <= NAME_BYTES;
  // A UTF-16 unit takes three bytes at the most; 256 hold all keys and numbers.
  return (isShort ? 2 : 1) * BLOCK_BYTES + paddedSize(texts * 3 + 256);
}

/** Writes ASCII at `at` and returns the sum of its bytes. */
function putAscii(target: Buffer, at: number, text: string): number {
  let sum = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    target[at + i] = code;
    sum += code;
  }
  return sum;
}

/** Writes `value` over the zeros of an octal field and returns what it adds to their sum. */
function putOctal(target: Buffer, at: number, digits: number, value: number): number {
  let sum = 0;
  let low = value % 2 ** LOW_BITS;
  let i = at + digits - 1;
  for (; low > 0; i--, low >>>= 3) {
    const digit = low & 7;
    target[i] = ZERO + digit;
    sum += digit;
  }
  const high = Math.floor(value / 2 ** LOW_BITS);
  return high === 0 ? sum : sum + putOctal(target, at, digits - LOW_BITS / 3, high);
}

/** Writes the checksum: six digits, NUL, and the space the template already has there. */
function putChecksum(target: Buffer, at: number, sum: number): void {
  let rest = sum;
  for (let i = at + CHECKSUM_AT + CHECKSUM_DIGITS - 1; i >= at + CHECKSUM_AT; i--, rest >>>= 3) target[i] = ZERO + (rest & 7);
  target[at + CHECKSUM_AT + CHECKSUM_DIGITS] = 0;
}

/** Whether a ustar field of `room` bytes can hold the text: ASCII without NUL. */
function fits(text: string, room: number): boolean {
  if (text.length > room) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0 || code > 0x7f) return false;
  }
  return true;
}

/** The pax record of a key (POSIX pax, "Extended Header"): its own length in decimal, counted in, comes first. */
function record(key: string, value: string | Buffer): string {
  const text = typeof value === "string" ? value : value.toString("latin1");
  const rest = key.length + text.length + 3;
  let digits = String(rest).length;
  if (String(rest + digits).length > digits) digits++;
  return `${rest + digits} ${key}=${text}\n`;
}

/** `sec.nsec` as pax writes it: a decimal number, so that -2 s and 0.5 s forward become -1.5. */
function paxTime(time: string): string {
  if (time.charCodeAt(0) !== 0x2d || time.endsWith(".000000000")) return time;
  const point = time.indexOf(".");
  const seconds = Number(time.slice(1, point)) - 1;
  const nanoseconds = 1_000_000_000 - Number(time.slice(point + 1));
  return `-${seconds}.${String(nanoseconds).padStart(9, "0")}`;
}

/** The extended header's records, keys in order, one character a byte. */
function paxRecords(member: TarMember, name: string): string {
  const user = member.user ?? "";
  const group = member.group ?? "";
  const isRaw = hasRawBytes(name) || hasRawBytes(user) || hasRawBytes(group);
  let records = "";
  if (member.gid > MAX_SHORT) records += record("gid", String(member.gid));
  if (!fits(group, OWNER_CHARACTERS)) records += record("gname", bytesFromText(group));
  if (isRaw) records += record("hdrcharset", "BINARY");
  records += record("mtime", paxTime(member.mtime));
  if (!fits(name, NAME_BYTES)) records += record("path", bytesFromText(name));
  if (member.size > MAX_LONG) records += record("size", String(member.size));
  if (member.uid > MAX_SHORT) records += record("uid", String(member.uid));
  if (!fits(user, OWNER_CHARACTERS)) records += record("uname", bytesFromText(user));
  return records;
}

/** Writes the extended header with its records, and returns where it ends. */
function putPax(target: Buffer, at: number, records: string): number {
  target.set(PAX_BLOCK.block, at);
  putChecksum(target, at, PAX_BLOCK.sum + putOctal(target, at + SIZE_AT, LONG_DIGITS, records.length));
  const start = at + BLOCK_BYTES;
  const end = start + paddedSize(records.length);
  target.fill(0, start + records.length, end);
  target.write(records, start, "latin1");
  return end;
}

/** Writes a number where its field has room for it; otherwise its pax record says it. */
function putNumber(target: Buffer, at: number, digits: number, value: number): number {
  return value >= 0 && value < 8 ** digits ? putOctal(target, at, digits, value) : 0;
}

/** Writes a text where its field has room for it; otherwise its pax record says it. */
function putText(target: Buffer, at: number, room: number, text: string | undefined): number {
  return text !== undefined && fits(text, room) ? putAscii(target, at, text) : 0;
}

function putFile(target: Buffer, at: number, member: TarMember, name: string): number {
  target.set(FILE_BLOCK.block, at);
  // Where a pax record overrides the name, its first bytes still tell a person what the block is about.
  const shown = fits(name, NAME_BYTES) ? name : bytesFromText(name).toString("latin1", 0, NAME_BYTES);
  const sum =
    FILE_BLOCK.sum +
    putAscii(target, at, shown) +
    putOctal(target, at + MODE_AT, SHORT_DIGITS, member.mode & PERMISSION_BITS) +
    putNumber(target, at + UID_AT, SHORT_DIGITS, member.uid) +
    putNumber(target, at + GID_AT, SHORT_DIGITS, member.gid) +
    putNumber(target, at + SIZE_AT, LONG_DIGITS, member.size) +
    putNumber(target, at + MTIME_AT, LONG_DIGITS, Number(member.mtime.slice(0, -NANOSECOND_CHARACTERS))) +
    putText(target, at + UNAME_AT, OWNER_CHARACTERS, member.user) +
    putText(target, at + GNAME_AT, OWNER_CHARACTERS, member.group);
  putChecksum(target, at, sum);
  return at + BLOCK_BYTES;
}

function requireMember(member: TarMember, name: string): void {
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  const isSound = isCount(member.size) && isCount(member.uid) && isCount(member.gid) && TIME.test(member.mtime);
  // A name that ends in a slash is a directory to every tar program.
  if (!isSound || name === "" || name.endsWith("/") || name.includes("\0")) {
    throw new ColdkeepError("E_INTERNAL", `no tar member can be written for ${JSON.stringify(member.path)}`);
  }
}

/**
 * Writes the header of a regular file (pax header, then ustar block) at `offset`, and returns the offset behind it,
 * where the member's bytes go. Throws E_INTERNAL for what no header can say, RangeError when `target` has no room.
 */
export function encodeMember(member: TarMember, target: Buffer, offset: number): number {
  const name = member.path.startsWith("/") ? member.path.slice(1) : member.path;
  requireMember(member, name);
  return putFile(target, putPax(target, offset, paxRecords(member, name)), member, name);
}

/**
 * Writes the header of a chunk at `offset`, a single ustar block, and returns the offset behind it. `name` is ASCII of
 * at most 100 characters, `size` is in bytes. Throws E_INTERNAL otherwise, RangeError when `target` has no room.
 */
export function encodeChunkMember(name: string, size: number, target: Buffer, offset: number): number {
  if (name === "" || !fits(name, NAME_BYTES) || !Number.isInteger(size) || size < 0 || size >= 8 ** LONG_DIGITS) {
    throw new ColdkeepError("E_INTERNAL", `no tar member can be written for the chunk ${JSON.stringify(name)}`);
  }
  target.set(FILE_BLOCK.block, offset);
  const sum =
    FILE_BLOCK.sum +
    putAscii(target, offset, name) +
    putOctal(target, offset + MODE_AT, SHORT_DIGITS, CHUNK_MODE) +
    putOctal(target, offset + SIZE_AT, LONG_DIGITS, size);
  putChecksum(target, offset, sum);
  return offset + BLOCK_BYTES;
}
