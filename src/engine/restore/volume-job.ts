/**
 * The bytes of one volume, from asking for them to writing what they hold. Fetched by range, and opened with the key in its
 * head (format §9); what no region has right is asked for again frame by frame, because two damaged copies are seldom damaged
 * at the same place.
 */
import { openChunks } from "../../codec/age-payload.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { decompressFrameInto } from "../../codec/zstd.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import type { ListedObject } from "../../format/manifest.ts";
import type { ByteRange } from "./messages.ts";
import { planFetch, rangeOf, type FetchPlan, type FrameRange, type WantedFrame, type WantedPiece } from "./unpack-job.ts";
import type { UnpackRoom } from "./unpack-room.ts";

/** One range that was asked for. */
type Part = { kind: "head" } | { kind: "frames"; range: FrameRange };

type Early = { number: number; bytes: Buffer; region: string };

export type JobPort = {
  need(ranges: ByteRange[]): void;
  taken(range: number): void;
  bad(range: number, region: string, message: string): void;
  /** The payload key of a head. Throws E_FORMAT, E_IDENTITY. */
  openHead(head: Buffer): Promise<Buffer>;
  /** Shared by all jobs of a thread. */
  room: UnpackRoom;
};

function isOneOf(error: unknown, ...codes: string[]): boolean {
  return error instanceof ColdkeepError && codes.includes(error.code);
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
    this.#ask([{ kind: "head" }, ...this.#plan.ranges.map((range) => ({ kind: "frames" as const, range }))]);
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
    const { lengthBytes } = this.#object.head;
    this.#port.need(parts.map((part) => (part.kind === "head" ? { offset: 0, length: lengthBytes } : part.range.bytes)));
  }

  /** Takes the bytes of a range: writes what they hold, or says that they are bad. */
  async take(number: number, bytes: Buffer, region: string): Promise<void> {
    const part = this.#parts[number];
    if (part === undefined || !this.#open.has(number)) return;
    if (part.kind === "frames" && this.#payloadKey === null) {
      this.#early.push({ number, bytes, region });
      return;
    }
    const fault = part.kind === "frames" ? this.#takeRange(part.range, bytes) : await this.#takeHead(bytes);
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

  /** Its digest is signed. Returns what is wrong with it. */
  async #takeHead(bytes: Buffer): Promise<string | undefined> {
    const { id, head } = this.#object;
    if (sha256Hex(bytes) !== head.sha256) return `the head of volume ${id} does not match its digest`;
    try {
      this.#payloadKey = await this.#port.openHead(Buffer.from(bytes));
    } catch (error) {
      // The bytes are those the writer signed: no other region can have better ones.
      if (!isOneOf(error, "E_FORMAT")) throw error;
      this.#loseAll();
    }
    return undefined;
  }

  /** Returns what is wrong with the bytes. */
  #takeRange(range: FrameRange, bytes: Buffer): string | undefined {
    const { plan, key } = { plan: this.#plan, key: this.#payloadKey };
    if (plan === null || key === null) throw new ColdkeepError("E_INTERNAL", "bytes came before the head they need");
    let plain: Buffer;
    try {
      plain = openChunks(bytes, key, range.firstChunk, plan.plainTotal, this.#port.room.plain(bytes.length));
    } catch (error) {
      if (!isOneOf(error, "E_OBJECT")) throw error;
      return `volume ${this.#object.id}: ${messageOf(error)}`;
    }
    for (const frame of range.frames) {
      const start = frame.position - range.plainOffset + range.skip;
      this.#takeFrame(frame, plain.subarray(start, start + frame.length));
    }
    return undefined;
  }

  /** Its bytes are authentic: what does not fit the catalog is the writer's fault, and lost in all regions. */
  #takeFrame({ pieces }: WantedFrame, compressed: Buffer): void {
    let frame: Buffer;
    try {
      frame = decompressFrameInto(compressed, this.#port.room.frame());
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
  }

  /** No region has a range right: smaller ones may be, and what lies in the smallest is lost. */
  unavailable(number: number): void {
    const part = this.#parts[number];
    const plan = this.#plan;
    if (part === undefined || plan === null || !this.#open.delete(number)) return;
    const one = (frame: WantedFrame): Part => ({ kind: "frames", range: rangeOf([frame], this.#object, plan.plainTotal) });
    if (part.kind === "head") this.#loseAll();
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
