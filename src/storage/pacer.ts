/** Spreads the bytes of one region evenly over time: all its requests take turns on one limit, small piece by small piece. */
import { setTimeout as sleep } from "node:timers/promises";
import { KIB } from "../units.ts";

/** Limits of a region, bytes per second; without one that direction goes as fast as it can. */
export type Bandwidth = { up?: number | undefined; down?: number | undefined };

/** Limits at work: what is sent, and what is read. */
export type Pacers = { up: Pacer | undefined; down: Pacer | undefined };

const PIECES_PER_SECOND = 20;
const PIECE_BYTES_MIN = KIB;
const PIECE_BYTES_MAX = 256 * KIB;
/** What timers that fire late may make up for; also what goes out at once after a pause. */
const BURST_MS = 50;

/** A token bucket kept as the time at which the line is free again: waiters are served in the order they came. */
export class Pacer {
  /** Work is cut into pieces of this size, so that requests side by side each get their share. */
  readonly pieceBytes: number;
  readonly #bytesPerMs: number;
  #freeAtMs = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.pieceBytes = Math.min(Math.max(Math.floor(bytesPerSecond / PIECES_PER_SECOND), PIECE_BYTES_MIN), PIECE_BYTES_MAX);
  }

  /** Resolves when `bytes` more may move, or when the signal is given; it never rejects. */
  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const nowMs = performance.now();
    const turnMs = Math.max(this.#freeAtMs, nowMs - BURST_MS);
    this.#freeAtMs = turnMs + bytes / this.#bytesPerMs;
    // Timers know whole milliseconds only, and shorter waits are within the burst.
    if (turnMs - nowMs >= 1) await sleep(turnMs - nowMs, undefined, { signal }).catch(() => undefined);
  }
}

/** The limits of one region, shared by all its requests. */
export function openPacers({ up, down }: Bandwidth): Pacers {
  return { up: up === undefined ? undefined : new Pacer(up), down: down === undefined ? undefined : new Pacer(down) };
}

/** Cuts bytes into a pacer's pieces, without copying. */
export function* piecesOf(bytes: Uint8Array, pieceBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** Hands a body on no faster than the pacer lets it; while it waits nothing is read, so that the sender has to wait too. */
export async function* pacedBody(body: AsyncIterable<Uint8Array>, pacer: Pacer, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const arrived of body) {
    for (const piece of piecesOf(arrived, pacer.pieceBytes)) {
      await pacer.take(piece.length, signal);
      yield piece;
    }
  }
}
