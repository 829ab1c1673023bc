/**
 * Writes what volumes hold, in a worker. Each job is one volume: its work list says which pieces belong where; what is proven
 * on disk is left out; the rest is asked for, checked, decrypted and written. Nothing is written before its digest is right.
 */
import { closeSync } from "node:fs";
import { sha256Hex } from "../../codec/digest.ts";
import { readFully } from "../../disk/read-file.ts";
import { Losses } from "../../disk/losses.ts";
import { openTarget } from "../../disk/open-target.ts";
import { Owners } from "../../disk/owners.ts";
import type { RestoreTarget } from "../../disk/restore-target.ts";
import { ColdkeepError } from "../../errors.ts";
import { parseCatalogLine } from "../../format/entry-parse.ts";
import { isContinuation, nextChunkOffset, type Entry } from "../../format/entry.ts";
import type { ListedObject } from "../../format/manifest.ts";
import { fromPortableError } from "../portable-error.ts";
import { metaOf, type Ownership } from "./entry-meta-of.ts";
import { decodeFile, type FileLine } from "./file-line.ts";
import type { MainToUnpack, UnpackSetup, UnpackToMain } from "./messages.ts";
import { PartialFiles } from "./partial-files.ts";
import { decodePiece, type PieceLine } from "./piece-line.ts";
import type { WantedPiece } from "./unpack-job.ts";
import { UnpackRoom } from "./unpack-room.ts";
import { VolumeJob } from "./volume-job.ts";
import { readList } from "./work-list.ts";

const NO_BYTES = Buffer.alloc(0);

/** An entry of a work list. Throws E_FORMAT for anything else. */
export function parseEntryLine(line: string): Entry {
  const parsed = parseCatalogLine(line);
  if (isContinuation(parsed)) throw new ColdkeepError("E_INTERNAL", "a work list holds a continuation line");
  return parsed;
}

export class Unpacker {
  readonly target: RestoreTarget;
  readonly losses = new Losses();
  readonly ownership: Ownership;
  readonly partials: PartialFiles;
  readonly #setup: UnpackSetup;
  readonly #tell: (message: UnpackToMain) => void;
  readonly #jobs = new Map<number, VolumeJob>();
  readonly #room = new UnpackRoom();
  /** Jobs whose head the main thread is opening. */
  readonly #opening = new Map<number, PromiseWithResolvers<Buffer>>();

  constructor(setup: UnpackSetup, tell: (message: UnpackToMain) => void) {
    this.#setup = setup;
    this.#tell = tell;
    this.target = openTarget(setup.target, { merge: setup.merge, losses: this.losses, aside: setup.aside });
    this.ownership = { names: setup.numericOwner ? null : new Owners(), aclIds: setup.aclIds ?? null };
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
    const job = new VolumeJob(object, pieces, written, {
      need: (ranges) => this.#tell({ kind: "need", job: number, ranges }),
      taken: (range) => this.#tell({ kind: "taken", job: number, range }),
      bad: (range, region, message) => this.#tell({ kind: "bad", job: number, range, region, message }),
      room: this.#room,
      openHead: (head) => this.#openHead(number, head),
    });
    this.#jobs.set(number, job);
    this.#endIfOver(number, job);
  }

  #openHead(number: number, head: Buffer): Promise<Buffer> {
    const opening = Promise.withResolvers<Buffer>();
    this.#opening.set(number, opening);
    this.#tell({ kind: "head", job: number, head });
    return opening.promise;
  }

  /** The key of the head that a job has sent. */
  takeKey({ job, key, error }: Extract<MainToUnpack, { kind: "key" }>): void {
    const opening = this.#opening.get(job);
    this.#opening.delete(job);
    if (key === null) opening?.reject(fromPortableError(error));
    else opening?.resolve(Buffer.from(key));
  }

  /** Takes bytes of a range. */
  async take(number: number, range: number, bytes: Buffer, region: string): Promise<void> {
    const job = this.#jobs.get(number);
    if (job === undefined) return;
    await job.take(range, bytes, region);
    this.#endIfOver(number, job);
  }

  /** No region has a range right. */
  unavailable(number: number, range: number): void {
    const job = this.#jobs.get(number);
    if (job === undefined) return;
    job.unavailable(range);
    this.#endIfOver(number, job);
  }

  #endIfOver(number: number, job: VolumeJob): void {
    if (!job.isOver) return;
    this.#jobs.delete(number);
    this.#closeIdle();
    this.#tell({ kind: "done", job: number, ...job.written, lost: [...job.lost] });
  }

  /** A file still open elsewhere would not keep the time it is given at the end. */
  #closeIdle(): void {
    if (this.#jobs.size === 0) this.partials.closeAll();
  }

  /** The pieces a line wants, without those that are proven on disk. */
  #wanted(line: string, written: { bytes: number; files: number }): WantedPiece[] {
    const piece = decodePiece(line);
    if (piece !== null) return this.#wantedChunks(piece);
    const file = decodeFile(line);
    if (file !== null) return this.#wantedFile(file, written);
    const entry = parseEntryLine(line);
    const { path, type, rdev = "0:0" } = entry;
    if (type === "fifo" || type === "char" || type === "block") this.target.makeNode(path, type, rdev, metaOf(entry, this.ownership));
    return [];
  }

  #wantedFile(file: FileLine, written: { files: number }): WantedPiece[] {
    const { path, size, piece } = file;
    written.files++;
    if (piece !== null && this.#setup.merge && this.#isThere(file, piece.sha256)) return [];
    const write = (bytes: Buffer): void => this.target.writeFile(path, bytes, metaOf(file, this.ownership));
    if (piece !== null) return [{ path, ...piece, length: size, write }];
    write(NO_BYTES);
    return [];
  }

  /** Whether a file already has the right bytes; then only its metadata is set. A further name of another file is made anew. */
  #isThere(file: FileLine, sha256: string): boolean {
    const { path, size } = file;
    const stat = this.target.lookup(path);
    if (stat?.type !== "file" || stat.size !== size) return false;
    const fd = this.target.readBack(path);
    if (fd === null) return false;
    const bytes = this.#room.plain(size);
    try {
      if (readFully(fd, bytes, 0, size, 0) !== size || sha256Hex(bytes) !== sha256) return false;
    } finally {
      closeSync(fd);
    }
    const meta = metaOf(file, this.ownership);
    if (stat.nlink === 1 && this.target.applyFileMeta(path, meta)) return true;
    // Metadata set through one name would change the others too, which may lie outside the target.
    this.target.writeFile(path, bytes, meta);
    return true;
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
