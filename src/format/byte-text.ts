/**
 * One string type for every name, path and target. UTF-8 decodes as usual; a byte that is part of no valid UTF-8
 * sequence becomes the lone low surrogate U+DC00 + byte (the scheme of PEP 383), so that any bytes survive a round trip.
 * In stored JSON such a text is written as octal escapes that `printf %b` turns back.
 */
import { isUtf8 } from "node:buffer";
import { ColdkeepError } from "../errors.ts";

const RAW_BASE = 0xdc00;
const ESCAPE = /\\0([0-3][0-7]{2})/g;

/** Length of the valid UTF-8 sequence at `at` (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF), else 0. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  const second = bytes[at + 1] ?? 0;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i++) {
    if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/** The text of any bytes; never throws, and `bytesFromText` gives the same bytes back. */
export function textFromBytes(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString("utf8");
  let text = "";
  let start = 0;
  let at = 0;
  while (at < buffer.length) {
    const length = sequenceLength(buffer, at);
    if (length === 0) {
      text += buffer.toString("utf8", start, at) + String.fromCharCode(RAW_BASE + (buffer[at] ?? 0));
      start = at + 1;
    }
    at += Math.max(length, 1);
  }
  return text + buffer.toString("utf8", start);
}

/** Whether a text holds bytes that are not UTF-8. */
export function hasRawBytes(text: string): boolean {
  return !text.isWellFormed();
}

/** The bytes a text stands for. Throws E_FORMAT where a lone surrogate stands for no byte. */
export function bytesFromText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, "utf8");
  const parts: Buffer[] = [];
  let start = 0;
  for (const match of text.matchAll(/\p{Surrogate}/gu)) {
    const raw = match[0].charCodeAt(0) - RAW_BASE;
    if (raw < 0x80 || raw > 0xff) throw new ColdkeepError("E_FORMAT", `text holds the lone surrogate U+${match[0].charCodeAt(0).toString(16)}`);
    parts.push(Buffer.from(text.slice(start, match.index), "utf8"), Buffer.of(raw));
    start = match.index + 1;
  }
  parts.push(Buffer.from(text.slice(start), "utf8"));
  return Buffer.concat(parts);
}

/** Printable ASCII except the backslash as it is, every other byte as `\0` and three octal digits. */
export function escapeRaw(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\0${byte.toString(8).padStart(3, "0")}`;
  }
  return text;
}

/** The bytes `escapeRaw` wrote. Throws E_FORMAT on anything else than its two forms. */
export function unescapeRaw(text: string): Buffer {
  // Two flat patterns: one that repeats a group would exhaust the regular expression stack on a long value.
  if (/[^\x20-\x7e]/.test(text) || text.replaceAll(ESCAPE, "").includes("\\")) {
    throw new ColdkeepError("E_FORMAT", "octal escapes are malformed");
  }
  return Buffer.from(text.replaceAll(ESCAPE, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))), "latin1");
}
