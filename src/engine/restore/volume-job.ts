/**
 * The bytes of one volume, from asking for them to writing what they hold. Fetched whole or by range; what no region has
 * right is asked for again in smaller ranges, because two damaged copies are seldom damaged at the same place.
 */
import type { HeaderOpener } from "../../codec/age-header.ts";
import { openChunks } from "../../codec/age-payload.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { decompressFrame } from "../../codec/zstd.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { FRAME_BYTES_MAX } from "../../format/entry-parse.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { ByteRange } from "./messages.ts";
import { planFetch, rangeOf, type FetchPlan, type FrameRange, type WantedFrame, type WantedPiece } from "./unpack-job.ts";

/** One range that was asked for. */
type Part = { kind: "whole" } | { kind: "head" } | { kind: "frames"; range: FrameRange };

type Early = { number: number; bytes: Buffer; region: string };

export type JobPort = {
  need(ranges: ByteRange[]): void;
  taken(range: number): void;
  bad(range: number, region: string, message: string): void;
  opener(): Promise<HeaderOpener>;
};

function isOneOf(error: unknown, ...codes: string[]): boolean {
  return error instanceof ColdkeepError && codes.includes(error.code);
}

/** Backing stores up to this size may be shared with other buffers (Node's pool). */
const SHARED_BYTES_MAX = 128 * 1024;

/** Gives memory back at once: a worker makes garbage faster than it is collected. Nothing may refer to `bytes` any more. */
function release(bytes: Buffer): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength > SHARED_BYTES_MAX && buffer.byteLength <= bytes.length + 64) buffer.transfer(0);
}

export class VolumeJob {
  readonly written: { bytes: number; files: number };
  readonly lost = new Set<string>();
  readonly #object: ListedObject;
  readonly #pieces: readonly WantedPiece[];
  readonly #plan: FetchPlan | null;
  readonly #port: JobPort;
  readonly #parts: Part[] = [];
  readonly #open = new Set<number>();
  /** Ranges that came before the head, which alone can open them. */
  #early: Early[] = [];
  #payloadKey: Buffer | null = null;

  constructor(object: ListedObject, pieces: readonly WantedPiece[], written: { bytes: number; files: number }, port: JobPort) {
    this.#object = object;
    this.#pieces = pieces;
    this.#port = port;
    this.written = written;
    this.#plan = this.#planOrLose();
    if (this.#plan === null) return;
    this.#lose(this.#plan.impossible);
    if (this.#plan.ranges.length === 0) return;
    if (this.#plan.whole) this.#ask([{ kind: "whole" }]);
    else this.#ask([{ kind: "head" }, ...this.#plan.ranges.map((range) => ({ kind: "frames" as const, range }))]);
  }

  get isOver(): boolean {
    return this.#open.size === 0;
  }

  #planOrLose(): FetchPlan | null {
    try {
      return planFetch(this.#object, this.#pieces);
    } catch (error) {
      if (!isOneOf(error, "E_OBJECT")) throw error;
      this.#lose(this.#pieces);
      return null;
    }
  }

  #lose(pieces: Iterable<WantedPiece>): void {
    for (const { path } of pieces) this.lost.add(path);
  }

  #ask(parts: Part[]): void {
    for (const part of parts) {
      this.#open.add(this.#parts.length);
      this.#parts.push(part);
    }
    const { sizeBytes, head } = this.#object;
    this.#port.need(
      parts.map((part) => (part.kind === "whole" ? { offset: 0, length: sizeBytes } : part.kind === "head" ? { offset: 0, length: head.lengthBytes } : part.range.bytes)),
    );
  }

  /** Takes the bytes of a range: writes what they hold, or says that they are bad. */
  async take(number: number, bytes: Buffer, region: string): Promise<void> {
    const part = this.#parts[number];
    if (part === undefined || !this.#open.has(number)) return;
    if (part.kind === "frames" && this.#payloadKey === null) {
      this.#early.push({ number, bytes, region });
      return;
    }
    const fault = part.kind === "frames" ? this.#takeRange(part.range, bytes) : await this.#takeAuthentic(part.kind, bytes);
    release(bytes);
    if (fault !== undefined) return this.#port.bad(number, region, fault);
    this.#close(number);
    if (part.kind !== "head") return;
    const early = this.#early;
    this.#early = [];
    for (const waiting of early) await this.take(waiting.number, waiting.bytes, waiting.region);
  }

  #close(number: number): void {
    this.#open.delete(number);
    this.#port.taken(number);
  }

  /** Bytes with a signed digest. Returns what is wrong with them. */
  async #takeAuthentic(kind: "whole" | "head", bytes: Buffer): Promise<string | undefined> {
    const { id, sha256, head } = this.#object;
    const expected = kind === "whole" ? sha256 : head.sha256;
    if (sha256Hex(bytes) !== expected) return `${kind === "whole" ? "" : "the head of "}volume ${id} does not match its digest`;
    try {
      this.#payloadKey = await (await this.#port.opener()).open(bytes.subarray(0, head.lengthBytes));
    } catch (error) {
      // The bytes are those the writer signed: no other region can have better ones.
      if (!isOneOf(error, "E_FORMAT")) throw error;
      this.#loseAll();
      return undefined;
    }
    if (kind === "whole") for (const range of this.#plan?.ranges ?? []) if (this.#takeRange(range, this.#slice(bytes, range)) !== undefined) this.#loseRange(range);
    return undefined;
  }

  #slice(bytes: Buffer, range: FrameRange): Buffer {
    return bytes.subarray(range.bytes.offset, range.bytes.offset + range.bytes.length);
  }

  /** Returns what is wrong with the bytes. */
  #takeRange(range: FrameRange, bytes: Buffer): string | undefined {
    const { plan, key } = { plan: this.#plan, key: this.#payloadKey };
    if (plan === null || key === null) throw new ColdkeepError("E_INTERNAL", "bytes came before the head they need");
    let plain: Buffer;
    try {
      plain = openChunks(bytes, key, range.firstChunk, plan.plainTotal);
    } catch (error) {
      if (!isOneOf(error, "E_OBJECT")) throw error;
      return `volume ${this.#object.id}: ${messageOf(error)}`;
    }
    for (const frame of range.frames) {
      const start = frame.position - range.plainOffset + range.skip;
      this.#takeFrame(frame, plain.subarray(start, start + frame.length));
    }
    release(plain);
    return undefined;
  }

  /** Its bytes are authentic: what does not fit the catalog is the writer's fault, and lost in all regions. */
  #takeFrame({ pieces }: WantedFrame, compressed: Buffer): void {
    let frame: Buffer;
    try {
      frame = decompressFrame(compressed, FRAME_BYTES_MAX);
    } catch (error) {
      if (!isOneOf(error, "E_FORMAT")) throw error;
      this.#lose(pieces);
      return;
    }
    for (const piece of pieces) {
      const bytes = frame.subarray(piece.offset, piece.offset + piece.length);
      if (bytes.length !== piece.length || sha256Hex(bytes) !== piece.sha256) {
        this.lost.add(piece.path);
        continue;
      }
      piece.write(bytes);
      this.written.bytes += bytes.length;
    }
    release(frame);
  }

  /** No region has a range right: smaller ones may be, and what lies in the smallest is lost. */
  unavailable(number: number): void {
    const part = this.#parts[number];
    const plan = this.#plan;
    if (part === undefined || plan === null || !this.#open.delete(number)) return;
    const one = (frame: WantedFrame): Part => ({ kind: "frames", range: rangeOf([frame], this.#object, plan.plainTotal) });
    if (part.kind === "head") this.#loseAll();
    else if (part.kind === "whole") this.#ask([{ kind: "head" }, ...plan.ranges.flatMap(({ frames }) => frames.map(one))]);
    else if (part.range.frames.length > 1) this.#ask(part.range.frames.map(one));
    else this.#loseRange(part.range);
  }

  #loseRange({ frames }: FrameRange): void {
    for (const { pieces } of frames) this.#lose(pieces);
  }

  #loseAll(): void {
    this.#lose(this.#pieces);
    this.#open.clear();
    this.#early = [];
  }
}
