/**
 * How sockets hand over what they receive. Left to itself Node makes 64 KiB of new memory for each read, and its HTTP parser
 * copies that into as much again. V8 counts those bytes as a heap that grows, and answers with collections of the whole heap,
 * one for some 10 MB received: over a restore they took a sixth of the processor time.
 */
import { type OnReadOpts, Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { KIB, MIB } from "../units.ts";
import { acknowledge } from "./quick-ack.ts";

const READ_BYTES = 64 * KIB;
/** After so many received bytes the copies made of them are collected. */
const GARBAGE_BYTES_MAX = 16 * MIB;

let receivedBytes = 0;
let collectYoung: (() => void) | undefined;

/** Collects what was made lately, which takes less than a millisecond. V8 gives no other way to ask for just that. */
function youngCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as NodeJS.GCFunction;
  setFlagsFromString("--no-expose-gc");
  return () => collect({ type: "minor" });
}

function countGarbage(bytes: number): void {
  receivedBytes += bytes;
  if (receivedBytes < GARBAGE_BYTES_MAX) return;
  receivedBytes = 0;
  collectYoung ??= youngCollector();
  collectYoung();
}

/** Whoever listens (the HTTP parser) has taken or copied the bytes before this returns; all others get bytes of their own. */
function deliver(socket: Socket, bytes: Buffer): boolean {
  countGarbage(bytes.length);
  // Where a read fills the buffer more is there already, and the kernel acknowledges of its own accord.
  if (bytes.length < READ_BYTES) acknowledge(socket);
  if (socket.readableFlowing !== true || socket.readableLength > 0) return socket.push(Buffer.from(bytes));
  socket.emit("data", bytes);
  return true;
}

/** Options of a connection that only HTTP reads from: every read of every such socket of this thread goes through one buffer. */
export function sharedReading(): OnReadOpts {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  return {
    buffer,
    callback(this: unknown, length) {
      return this instanceof Socket && deliver(this, buffer.subarray(0, length));
    },
  };
}
