/** One volume being written: frames of compressed tar, encrypted as they come, padded at the end (format §7). */
import { closeSync, openSync } from "node:fs";
import { ciphertextLength, PayloadSealer } from "../../codec/age-payload.ts";
import type { SealedHead } from "../../codec/age-header.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { compressFrame, skippableFrame } from "../../codec/zstd.ts";
import { writeFully } from "../../disk/atomic-write.ts";
import { FRAME_BYTES_MAX } from "../../format/entry-parse.ts";
import type { FramePosition } from "../../format/entry.ts";
import type { ObjectKind } from "../../format/object-key.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { padmeLength, paddingFor } from "../../format/padme.ts";
import { endOfArchive } from "../../format/tar-member.ts";
import { stateFault } from "../../state/database.ts";
import { MIB } from "../../units.ts";

/** Room for the end-of-archive frame, the smallest padding frame and the last tag. */
const END_BYTES = 256;
const HEAD_BYTES_MAX = 64 * 1024;
const WINDOW_BYTES = FRAME_BYTES_MAX + 2 * MIB;

/** Bytes a buffer needs to hold a whole volume of `targetBytes`, or one oversized frame. */
export function volumeBufferBytes(targetBytes: number): number {
  const plain = Math.max(padmeLength(targetBytes), padmeLength(FRAME_BYTES_MAX + MIB));
  return ciphertextLength(plain) + HEAD_BYTES_MAX;
}

/** An encrypted object in the making: into a buffer that holds it whole, or through a window into a file. */
export class SealedObjectWriter {
  readonly id: string;
  readonly #kind: ObjectKind;
  readonly #sealer: PayloadSealer;
  readonly #head: Buffer;
  readonly #set: number;
  readonly #file: number | undefined;
  readonly #spoolPath: string;
  #plain = 0;

  constructor(id: string, kind: ObjectKind, sealed: SealedHead, set: number, target: Buffer, spoolPath?: string) {
    this.id = id;
    this.#kind = kind;
    this.#head = Buffer.from(sealed.head);
    this.#set = set;
    this.#sealer = new PayloadSealer(sealed.head, sealed.payloadKey, target);
    this.#file = spoolPath === undefined ? undefined : openSync(spoolPath, "wx", 0o600);
    this.#spoolPath = spoolPath ?? "";
  }

  /** Bytes of the zstd stream so far. */
  get plainBytes(): number {
    return this.#plain;
  }

  /** Appends one compressed frame and returns its place in the stream. */
  append(frame: Uint8Array): FramePosition {
    const position = this.#plain;
    this.#sealer.push(frame);
    this.#plain += frame.length;
    this.#drain();
    return [position, frame.length];
  }

  /** Pads and closes the object. */
  finish(): ListedObject {
    const padding = paddingFor(this.#plain);
    if (padding > 0) this.append(skippableFrame(padding));
    const { length, sha256 } = this.#sealer.finish();
    this.#drain();
    if (this.#file !== undefined) closeSync(this.#file);
    const head = { lengthBytes: this.#head.length, sha256: sha256Hex(this.#head) };
    return { id: this.id, kind: this.#kind, sizeBytes: length, sha256, head, set: this.#set };
  }

  #drain(): void {
    if (this.#file === undefined) return;
    try {
      writeFully(this.#file, this.#sealer.drain());
    } catch (error) {
      throw stateFault(this.#spoolPath, error);
    }
  }
}

/** A window for objects that go through a file. */
export function spoolWindow(): Buffer {
  return Buffer.allocUnsafeSlow(WINDOW_BYTES);
}

/** One volume: frames until the next would pass its target. */
export class VolumeWriter {
  readonly #object: SealedObjectWriter;
  readonly #targetBytes: number;

  constructor(object: SealedObjectWriter, targetBytes: number) {
    this.#object = object;
    this.#targetBytes = targetBytes;
  }

  get id(): string {
    return this.#object.id;
  }

  /** Whether a compressed frame still fits; an empty volume takes any. */
  hasRoomFor(frameBytes: number): boolean {
    return this.#object.plainBytes === 0 || this.#object.plainBytes + frameBytes + END_BYTES <= this.#targetBytes;
  }

  append(frame: Uint8Array): FramePosition {
    return this.#object.append(frame);
  }

  finish(compressionLevel: number): ListedObject {
    this.#object.append(compressFrame(endOfArchive(), compressionLevel));
    return this.#object.finish();
  }
}
