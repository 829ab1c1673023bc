/** The order of entries in a catalog: path bytes with `/` below every other byte, which is a sorted depth-first walk. */
import { bytesFromText } from "./byte-text.ts";

const SLASH = 0x2f;
/** Below this, UTF-16 code units order as the UTF-8 bytes do; from here on surrogates and raw bytes may differ. */
const FIRST_SURROGATE = 0xd800;

function compareBytes(a: Buffer, b: Buffer, slashFirst: boolean): number {
  if (!slashFirst) return Buffer.compare(a, b);
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const left = a[i];
    const right = b[i];
    if (left === undefined || right === undefined || left === right) continue;
    if (left === SLASH) return -1;
    if (right === SLASH) return 1;
    return left - right;
  }
  return a.length - b.length;
}

function compareTexts(a: string, b: string, slashFirst: boolean): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left === right) continue;
    if (left >= FIRST_SURROGATE || right >= FIRST_SURROGATE) return compareBytes(bytesFromText(a), bytesFromText(b), slashFirst);
    if (slashFirst && left === SLASH) return -1;
    if (slashFirst && right === SLASH) return 1;
    return left - right;
  }
  return a.length - b.length;
}

/** Orders two paths (byte text) by bytes with `/` lowest: negative, 0 or positive. Throws E_FORMAT on malformed byte text. */
export function comparePaths(a: string, b: string): number {
  return a === b ? 0 : compareTexts(a, b, true);
}

/** Orders two names (byte text) by bytes. Throws E_FORMAT on malformed byte text. */
export function compareNames(a: string, b: string): number {
  return a === b ? 0 : compareTexts(a, b, false);
}

/** Sorts names (byte text) by bytes, in place, and returns them. */
export function sortNames(names: string[]): string[] {
  // The default sort is by code units: faster, and the same order while none reaches the surrogates.
  for (const name of names) {
    if (/[\ud800-\uffff]/.test(name)) return names.sort(compareNames);
  }
  return names.sort();
}
