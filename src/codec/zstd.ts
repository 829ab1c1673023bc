/**
 * Single zstd frames (RFC 8878) with a stated content size, made and opened synchronously by Node's own zstd. Frames
 * carry no checksum: the age layer around them authenticates every byte.
 */
import { ColdkeepError } from "../errors.ts";
import { KIB } from "../units.ts";
import { compressBound, zstdEngine } from "./native.ts";

export const MIN_LEVEL = -7;
export const MAX_LEVEL = 19;

/** The greatest window the format allows, 8 MiB; levels up to 19 never use more. */
const WINDOW_LOG_MAX = 23;
const FRAME_MAGIC = 0xfd2fb528;
/** The first of the sixteen magic numbers of skippable frames. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_HEADER_BYTES = 8;
const BLOCK_HEADER_BYTES = 3;
const BLOCK_BYTES_MAX = 128 * KIB;
const CONTENT_CHECKSUM_BYTES = 4;

/** What the header of a frame says; lengths in bytes. */
export type FrameHead = { headLength: number; contentSize: number; windowSize: number; hasChecksum: boolean };

function malformed(what: string): ColdkeepError {
  return new ColdkeepError("E_FORMAT", `malformed zstd frame: ${what}`);
}

function checkLevel(level: number): void {
  if (Number.isInteger(level) && level >= MIN_LEVEL && level <= MAX_LEVEL) return;
  throw new ColdkeepError("E_CONFIG", `compression level ${level} is out of range`, {
    hint: `Choose a whole number from ${MIN_LEVEL} to ${MAX_LEVEL}; 3 is the default.`,
  });
}

/** Makes many frames at one level, -7 to 19, in one buffer of its own. */
export class FrameCompressor {
  readonly #level: number;
  #target = Buffer.alloc(0);

  /** Throws E_CONFIG for a level out of range. */
  constructor(level: number) {
    checkLevel(level);
    this.#level = level;
  }

  /** One frame that states its content size, as a view that is valid until the next call. */
  compress(bytes: Uint8Array): Buffer {
    const bound = compressBound(bytes.length);
    // With room to grow: each buffer that was too small is kept until the next collection.
    if (this.#target.length < bound) this.#target = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bound)));
    const length = zstdEngine.compress(bytes, this.#level, this.#target);
    if (length < 0) throw new ColdkeepError("E_INTERNAL", `zstd did not compress ${bytes.length} bytes`);
    return this.#target.subarray(0, length);
  }
}

/** Compresses `bytes` into one frame that states its content size. Level -7 to 19. Throws E_CONFIG for any other. */
export function compressFrame(bytes: Uint8Array, level: number): Buffer {
  return Buffer.from(new FrameCompressor(level).compress(bytes));
}

/** Reads the header of a frame (RFC 8878 §3.1.1.1). Throws E_FORMAT, also where no content size is stated. */
export function parseFrameHead(frame: Uint8Array): FrameHead {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  if (view.length < 5 || view.readUInt32LE(0) !== FRAME_MAGIC) throw malformed("wrong magic number");
  const descriptor = view.readUInt8(4);
  if ((descriptor & 0x08) !== 0) throw malformed("reserved bit is set");
  if ((descriptor & 0x03) !== 0) throw malformed("it needs a dictionary");
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >>> 6;
  if (sizeFlag === 0 && !isSingleSegment) throw malformed("content size is not stated");
  const sizeAt = isSingleSegment ? 5 : 6;
  const sizeBytes = 1 << sizeFlag;
  const headLength = sizeAt + sizeBytes;
  if (view.length < headLength) throw malformed("header is cut short");
  const contentSize = readContentSize(view, sizeAt, sizeBytes);
  if (!Number.isSafeInteger(contentSize)) throw malformed("content size is out of range");
  const windowSize = isSingleSegment ? contentSize : windowOf(view.readUInt8(5));
  return { headLength, contentSize, windowSize, hasChecksum: (descriptor & 0x04) !== 0 };
}

/** The content size field (RFC 8878 §3.1.1.1.4): one of two bytes counts from 256. */
function readContentSize(view: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(view.readBigUInt64LE(at));
  return view.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}

/** Bytes of window a window descriptor stands for (RFC 8878 §3.1.1.1.2). */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** The content size in bytes that the header of a frame states. Throws E_FORMAT where it states none. */
export function frameContentSize(frameHead: Uint8Array): number {
  return parseFrameHead(frameHead).contentSize;
}

/**
 * Length in bytes of the frame that `bytes` begins with, found by its block headers without decompressing it.
 * Throws E_FORMAT when it is malformed or does not end within `bytes`.
 */
export function frameLength(bytes: Uint8Array): number {
  const head = parseFrameHead(bytes);
  let at = head.headLength;
  for (;;) {
    if (at + BLOCK_HEADER_BYTES > bytes.length) throw malformed("it is cut short");
    const block = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    const type = (block >>> 1) & 3;
    const size = block >>> 3;
    if (type === 3) throw malformed("reserved block type");
    if (size > BLOCK_BYTES_MAX) throw malformed("a block is too long");
    at += BLOCK_HEADER_BYTES + (type === 1 ? 1 : size);
    if ((block & 1) === 1) break;
  }
  at += head.hasChecksum ? CONTENT_CHECKSUM_BYTES : 0;
  if (at > bytes.length) throw malformed("it is cut short");
  return at;
}

/**
 * Decompresses `bytes`, which must be exactly one frame with a stated content size of at most `maxBytes`, into a new buffer.
 * Nothing is allocated for the content before its stated size was checked. Throws E_FORMAT.
 */
export function decompressFrame(bytes: Uint8Array, maxBytes: number): Buffer {
  const size = checkedContentSize(bytes, maxBytes);
  return inflate(bytes, Buffer.allocUnsafeSlow(size));
}

/** The same into a buffer of the caller's, as long as the largest content it allows; returns a view of it. Throws E_FORMAT. */
export function decompressFrameInto(bytes: Uint8Array, target: Buffer): Buffer {
  return inflate(bytes, target.subarray(0, checkedContentSize(bytes, target.length)));
}

function checkedContentSize(bytes: Uint8Array, maxBytes: number): number {
  const { contentSize, windowSize } = parseFrameHead(bytes);
  if (contentSize > maxBytes) throw malformed(`it states ${contentSize} bytes of content, ${maxBytes} are allowed`);
  if (windowSize > 2 ** WINDOW_LOG_MAX) throw malformed("its window is over 8 MiB");
  if (frameLength(bytes) !== bytes.length) throw malformed("bytes follow it");
  return contentSize;
}

function inflate(bytes: Uint8Array, target: Buffer): Buffer {
  const length = zstdEngine.decompress(bytes, target);
  if (length !== target.length) throw malformed(`it does not decompress to the ${target.length} bytes it states`);
  return target;
}

/** A skippable frame (RFC 8878 §3.1.2) of `totalLength` bytes, header included, zero filled. At least 8 bytes. */
export function skippableFrame(totalLength: number): Buffer {
  if (!Number.isInteger(totalLength) || totalLength < SKIPPABLE_HEADER_BYTES || totalLength > 2 ** 31) {
    throw new ColdkeepError("E_INTERNAL", `no skippable frame has ${totalLength} bytes`);
  }
  const frame = Buffer.alloc(totalLength);
  frame.writeUInt32LE(SKIPPABLE_MAGIC, 0);
  frame.writeUInt32LE(totalLength - SKIPPABLE_HEADER_BYTES, 4);
  return frame;
}
