/**
 * Turns tasks into volumes, in a worker: read, digest, leave out what is known, tar, compress, encrypt. One volume at a time;
 * results go out frame by frame, because only a compressed frame has a place.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { FrameCompressor } from "../../codec/zstd.ts";
import { ID_RANDOM_BYTES, makeId } from "../../format/id.ts";
import { ContentFilter } from "../../state/content-filter.ts";
import { PIECE_BYTES, writePiece } from "../../state/piece-records.ts";
import { FrameBuilder, type Piece } from "./frame-builder.ts";
import type { FinishedVolume, KnownChunk, MainToPacker, PackerSetup, PackResult, PackTask } from "./messages.ts";
import { readFiles } from "./read-files.ts";
import { ReadingTurns } from "./reading-turns.ts";
import { packBytes, readSpan } from "./read-span.ts";
import { noTimes, timed } from "./stage-times.ts";
import { SealedObjectWriter, spoolWindow, VolumeWriter } from "./volume-writer.ts";

/** Content that wants a place: known already, or to be packed. */
export type Candidate = {
  sha256: string;
  bytes: Uint8Array;
  previous?: KnownChunk | undefined;
  pack(frame: FrameBuilder): Piece;
};

/** What the packer's surroundings do for it. */
export type PackerPort = {
  results(results: PackResult[]): void;
  /** Tells where the pieces of a frame lie. */
  pieces(volume: string, records: Uint8Array): void;
  /** Asks the scan worker for the places of digests; null for what is not known. */
  ask(digests: string[]): Promise<(KnownChunk | null)[]>;
  /** A buffer for the next volume, or leave to spool it; waits while too many bytes are in flight. */
  nextVolume(): Promise<MainToPacker>;
  volume(volume: FinishedVolume): void;
  /** Gives back the buffer of a dump's span. */
  spent(buffer: SharedArrayBuffer): void;
};

export type Placed = { piece: Piece; bytesPacked: number };

type OpenVolume = { writer: VolumeWriter; buffer: SharedArrayBuffer | null; path: string; pieces: number };

type Waiting = { pieces: Piece[]; result: () => PackResult };

/**
 * A volume of tiny files would hold hundreds of thousands: what is known of each until a region has confirmed it must not fill
 * the memory, so that such a volume is closed early.
 */
const PIECES_PER_VOLUME_MAX = 32_768;

export class Packer {
  readonly times = noTimes();
  readonly #setup: PackerSetup;
  readonly #port: PackerPort;
  readonly #filter: ContentFilter;
  readonly #compressor: FrameCompressor;
  readonly #turns: ReadingTurns | null;
  readonly #frame = new FrameBuilder();
  /** Pieces of the open volume by digest: nobody else can know them yet. */
  readonly #recent = new Map<string, Piece>();
  #waiting: Waiting[] = [];
  #volume: OpenVolume | null = null;
  #window: Buffer | null = null;

  constructor(setup: PackerSetup, port: PackerPort) {
    this.#setup = setup;
    this.#port = port;
    this.#filter = new ContentFilter(setup.filter);
    this.#compressor = new FrameCompressor(setup.compressionLevel);
    this.#turns = setup.readingTurns && new ReadingTurns(setup.readingTurns);
  }

  /** Works off tasks: neighbouring files together, spans one by one. */
  async run(tasks: readonly PackTask[]): Promise<void> {
    const files = tasks.filter((task) => task.kind === "file");
    if (files.length > 0) await readFiles(files, this);
    for (const task of tasks) {
      if (task.kind === "span") await readSpan(task, this);
      if (task.kind !== "bytes") continue;
      await packBytes(task, this);
      this.#port.spent(task.buffer);
    }
    this.#sendResolved();
  }

  /** Does `work`, which reads sources, when it is this packer's turn. */
  reading<T>(work: () => T): T {
    const turns = this.#turns;
    return timed(this.times, "read", turns === null ? work : () => turns.take(work));
  }

  /** A place for each of some content, in order, packing what no volume holds yet. */
  async place(candidates: readonly Candidate[]): Promise<Placed[]> {
    const unsure = candidates.filter((c) => !this.#isAtHand(c) && this.#filter.mayHold(c.sha256));
    const answers = unsure.length > 0 ? await this.#port.ask(unsure.map((c) => c.sha256)) : [];
    const known = new Map(unsure.map((c, i) => [c.sha256, answers[i] ?? null]));
    const placed: Placed[] = [];
    for (const candidate of candidates) {
      const piece = this.#knownPiece(candidate, known);
      if (piece !== undefined) {
        placed.push({ piece, bytesPacked: 0 });
        continue;
      }
      if (this.#frame.isFullFor(candidate.bytes.length)) await this.flush();
      placed.push({ piece: this.#pack(candidate), bytesPacked: candidate.bytes.length });
    }
    return placed;
  }

  #knownPiece(candidate: Candidate, answers: ReadonlyMap<string, KnownChunk | null>): Piece | undefined {
    if (candidate.previous?.sha256 === candidate.sha256) return { ...candidate.previous };
    const answer = answers.get(candidate.sha256);
    return answer ? { ...answer } : this.#recent.get(candidate.sha256);
  }

  #pack(candidate: Candidate): Piece {
    const piece = candidate.pack(this.#frame);
    this.#recent.set(candidate.sha256, piece);
    this.#filter.add(candidate.sha256);
    return piece;
  }

  #isAtHand(candidate: Candidate): boolean {
    return candidate.previous?.sha256 === candidate.sha256 || this.#recent.has(candidate.sha256);
  }

  /** Has a result sent once all of its pieces have a place. */
  deliver(pieces: Piece[], result: () => PackResult): void {
    this.#waiting.push({ pieces, result });
  }

  /** Compresses the open frame into the volume and sends the results that waited for it. */
  async flush(): Promise<void> {
    if (!this.#frame.isEmpty) {
      const { bytes, pieces } = this.#frame.take();
      const frame = timed(this.times, "compressed", () => this.#compressor.compress(bytes));
      const volume = await this.#volumeFor(frame.length, pieces.length);
      const position = timed(this.times, "encrypted", () => volume.append(frame));
      const records = Buffer.allocUnsafeSlow(pieces.length * PIECE_BYTES);
      for (const [i, piece] of pieces.entries()) {
        piece.volume = volume.id;
        piece.frame = position;
        writePiece(records, i * PIECE_BYTES, piece.sha256, { frame: position, offset: piece.offset, length: piece.length });
      }
      this.#port.pieces(volume.id, records);
    }
    this.#sendResolved();
  }

  /** Closes the open frame and the open volume. */
  async finish(): Promise<void> {
    await this.flush();
    this.#closeVolume();
  }

  #sendResolved(): void {
    const ready: PackResult[] = [];
    let count = 0;
    for (const { pieces, result } of this.#waiting) {
      if (pieces.some((piece) => piece.frame === null)) break;
      ready.push(result());
      count++;
    }
    if (count === 0) return;
    this.#waiting = this.#waiting.slice(count);
    this.#port.results(ready);
  }

  async #volumeFor(frameBytes: number, pieces: number): Promise<VolumeWriter> {
    const open = this.#volume;
    if (open !== null && (!open.writer.hasRoomFor(frameBytes) || open.pieces + pieces > PIECES_PER_VOLUME_MAX)) this.#closeVolume();
    this.#volume ??= await this.#openVolume();
    this.#volume.pieces += pieces;
    return this.#volume.writer;
  }

  async #openVolume(): Promise<OpenVolume> {
    const startMs = performance.now();
    const { targetBytes, buffer, sealed } = await this.#port.nextVolume();
    this.times.waited += performance.now() - startMs;
    const id = makeId(Date.now(), randomBytes(ID_RANDOM_BYTES));
    const path = join(this.#setup.spoolDir, `${id}.volume`);
    if (buffer === null) this.#window ??= spoolWindow();
    const target = buffer === null ? (this.#window ?? spoolWindow()) : Buffer.from(buffer);
    const object = new SealedObjectWriter(id, "volume", sealed, this.#setup.recipientSet, target, buffer === null ? path : undefined);
    return { writer: new VolumeWriter(object, targetBytes), buffer, path, pieces: 0 };
  }

  #closeVolume(): void {
    if (this.#volume === null) return;
    const { writer, buffer, path } = this.#volume;
    const object = writer.finish(this.#setup.compressionLevel);
    this.#volume = null;
    this.#recent.clear();
    this.#port.volume({ object, body: buffer === null ? { path } : { buffer, length: object.sizeBytes } });
  }
}
