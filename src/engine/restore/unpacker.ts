/**
 * Writes what volumes hold, in a worker. Each job is one volume: its work list says which pieces belong where; what is proven
 * on disk is left out; the rest is asked for, checked, decrypted and written. Nothing is written before its digest is right.
 */
import { closeSync } from "node:fs";
import { HeaderOpener } from "../../codec/age-header.ts";
import { openChunks } from "../../codec/age-payload.ts";
import { sha256Hex } from "../../codec/digest.ts";
import { decompressFrame } from "../../codec/zstd.ts";
import { readFully } from "../../disk/read-file.ts";
import { Losses } from "../../disk/losses.ts";
import { openTarget } from "../../disk/open-target.ts";
import { Owners } from "../../disk/owners.ts";
import type { RestoreTarget } from "../../disk/restore-target.ts";
import { ColdkeepError, messageOf } from "../../errors.ts";
import { FRAME_BYTES_MAX, parseCatalogLine } from "../../format/entry-parse.ts";
import { isContinuation, nextChunkOffset, type Entry } from "../../format/entry.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { metaOf } from "./entry-meta-of.ts";
import type { UnpackSetup, UnpackToMain } from "./messages.ts";
import { PartialFiles } from "./partial-files.ts";
import { decodePiece, type PieceLine } from "./piece-line.ts";
import { planFetch, type FetchPlan, type FrameRange, type WantedPiece } from "./unpack-job.ts";
import { readList } from "./work-list.ts";

type Job = { number: number; object: ListedObject; pieces: WantedPiece[]; plan: FetchPlan; payloadKey: Buffer | null; missing: Set<number>; written: { bytes: number; files: number }; lost: Set<string> };

/** An entry of a work list. Throws E_FORMAT for anything else. */
export function parseEntryLine(line: string): Entry {
  const parsed = parseCatalogLine(line);
  if (isContinuation(parsed)) throw new ColdkeepError("E_INTERNAL", "a work list holds a continuation line");
  return parsed;
}

export class Unpacker {
  readonly target: RestoreTarget;
  readonly losses = new Losses();
  readonly owners: Owners | null;
  readonly partials: PartialFiles;
  readonly #setup: UnpackSetup;
  readonly #tell: (message: UnpackToMain) => void;
  readonly #jobs = new Map<number, Job>();
  #opener: Promise<HeaderOpener> | null = null;

  constructor(setup: UnpackSetup, tell: (message: UnpackToMain) => void) {
    this.#setup = setup;
    this.#tell = tell;
    this.target = openTarget(setup.target, { merge: setup.merge, losses: this.losses });
    this.owners = setup.numericOwner ? null : new Owners();
    this.partials = new PartialFiles(this.target, setup.archiveId, setup.merge);
  }

  /** Reads a job's list and says which bytes are needed. */
  begin(number: number, object: ListedObject | null, list: string): void {
    const written = { bytes: 0, files: 0 };
    const pieces = readList(this.#setup.planDir, list).flatMap((line) => this.#wanted(line, written));
    if (object === null || pieces.length === 0) {
      this.#closeIdle();
      this.#tell({ kind: "done", job: number, ...written, lost: [] });
      return;
    }
    const plan = planFetch(object, pieces);
    const ranges = plan.whole ? [{ offset: 0, length: object.sizeBytes }] : [{ offset: 0, length: object.head.lengthBytes }, ...plan.ranges.map(({ bytes }) => bytes)];
    const missing = new Set(ranges.keys());
    this.#jobs.set(number, { number, object, pieces, plan, payloadKey: null, missing, written, lost: new Set() });
    this.#tell({ kind: "need", job: number, ranges, whole: plan.whole });
  }

  /** Takes bytes of a range. In a job with a head, the head comes first. */
  async take(number: number, range: number, bytes: Buffer, region: string): Promise<void> {
    const job = this.#jobs.get(number);
    if (job === undefined) return;
    try {
      if (job.plan.whole) await this.#takeWhole(job, bytes);
      else if (range === 0) job.payloadKey = await this.#openHead(job, bytes);
      else this.#takeRange(job, job.plan.ranges[range - 1], bytes);
    } catch (error) {
      if (!(error instanceof ColdkeepError) || !["E_OBJECT", "E_FORMAT"].includes(error.code)) throw error;
      this.#tell({ kind: "bad", job: number, range, region, message: messageOf(error) });
      return;
    }
    job.missing.delete(range);
    this.#tell({ kind: "taken", job: number, range });
    if (job.missing.size === 0) this.#end(job);
  }

  /** What no region has right is lost; what was written stays. */
  unavailable(number: number): void {
    const job = this.#jobs.get(number);
    if (job === undefined) return;
    for (const piece of job.pieces) job.lost.add(piece.path);
    this.#end(job);
  }

  #end(job: Job): void {
    this.#jobs.delete(job.number);
    this.#closeIdle();
    this.#tell({ kind: "done", job: job.number, ...job.written, lost: [...job.lost] });
  }

  /** A file still open elsewhere would not keep the time it is given at the end. */
  #closeIdle(): void {
    if (this.#jobs.size === 0) this.partials.closeAll();
  }

  #openHead(job: Job, head: Buffer): Promise<Buffer> {
    if (sha256Hex(head) !== job.object.head.sha256) throw new ColdkeepError("E_OBJECT", `the head of volume ${job.object.id} does not match its digest`);
    this.#opener ??= HeaderOpener.create(this.#setup.identities);
    return this.#opener.then((opener) => opener.open(head));
  }

  async #takeWhole(job: Job, bytes: Buffer): Promise<void> {
    const { object, plan } = job;
    if (sha256Hex(bytes) !== object.sha256) throw new ColdkeepError("E_OBJECT", `volume ${object.id} does not match its digest`);
    job.payloadKey = await this.#openHead(job, bytes.subarray(0, object.head.lengthBytes));
    for (const range of plan.ranges) this.#takeRange(job, range, bytes.subarray(range.bytes.offset, range.bytes.offset + range.bytes.length));
  }

  #takeRange(job: Job, range: FrameRange | undefined, bytes: Buffer): void {
    if (range === undefined || job.payloadKey === null) throw new ColdkeepError("E_INTERNAL", "bytes came before the head they need");
    const plain = openChunks(bytes, job.payloadKey, range.firstChunk, job.plan.plainTotal);
    const byFrame = Map.groupBy(job.pieces, ({ frame }) => frame[0]);
    for (const [position, length] of range.frames) {
      const start = position - range.plainOffset + range.skip;
      const frame = decompressFrame(plain.subarray(start, start + length), FRAME_BYTES_MAX);
      for (const piece of byFrame.get(position) ?? []) this.#write(job, piece, frame);
    }
  }

  /** An archive whose own digests disagree is the writer's fault: the file is lost, other regions hold the same bytes. */
  #write(job: Job, piece: WantedPiece, frame: Buffer): void {
    const bytes = frame.subarray(piece.offset, piece.offset + piece.length);
    if (bytes.length !== piece.length || sha256Hex(bytes) !== piece.sha256) {
      job.lost.add(piece.path);
      return;
    }
    piece.write(bytes);
    job.written.bytes += bytes.length;
  }

  /** The pieces a line wants, without those that are proven on disk. */
  #wanted(line: string, written: { bytes: number; files: number }): WantedPiece[] {
    const piece = decodePiece(line);
    if (piece !== null) return this.#wantedChunks(piece);
    const entry = parseEntryLine(line);
    const { path, sha256 } = entry;
    if (entry.type !== "file") {
      const rdev = entry.rdev ?? "0:0";
      if (entry.type !== "dir" && entry.type !== "symlink") this.target.makeNode(path, entry.type, rdev, metaOf(entry, this.owners));
      return [];
    }
    written.files++;
    const [extent] = entry.extents ?? [];
    if (extent === undefined || sha256 === undefined || !("length" in extent)) {
      this.target.writeFile(path, Buffer.alloc(0), metaOf(entry, this.owners));
      return [];
    }
    if (this.#setup.merge && this.#isThere(entry, sha256)) return [];
    const write = (bytes: Buffer): void => this.target.writeFile(path, bytes, metaOf(entry, this.owners));
    return [{ path, frame: extent.frame, offset: extent.offset, length: extent.length, sha256, write }];
  }

  /** Whether a file already has the right bytes; then only its metadata is set. A further name of another file does not count. */
  #isThere(entry: Entry, sha256: string): boolean {
    const stat = this.target.lookup(entry.path);
    if (stat?.type !== "file" || stat.size !== entry.size || stat.nlink > 1) return false;
    const fd = this.target.readBack(entry.path);
    if (fd === null) return false;
    try {
      const bytes = Buffer.allocUnsafe(entry.size);
      if (readFully(fd, bytes, 0, entry.size, 0) !== entry.size || sha256Hex(bytes) !== sha256) return false;
    } finally {
      closeSync(fd);
    }
    return this.target.applyFileMeta(entry.path, metaOf(entry, this.owners));
  }

  #wantedChunks({ path, size, at, run }: PieceLine): WantedPiece[] {
    const wanted: WantedPiece[] = [];
    let position = at;
    let offset = run.offset;
    for (const [length, sha256] of run.chunks) {
      const place = position;
      if (!this.partials.hasChunk(path, size, place, length, sha256)) {
        const write = (bytes: Buffer): void => this.partials.write(path, size, place, bytes);
        wanted.push({ path, frame: run.frame, offset, length, sha256, write });
      }
      position += length;
      offset = nextChunkOffset(offset, length);
    }
    return wanted;
  }
}
