/**
 * Acknowledging at once what a server has sent. A server that leaves Nagle's algorithm on (Ceph RGW as it comes) keeps the body of
 * a short answer back until its head is acknowledged, and Linux lets an acknowledgement on a connection that was used before wait
 * for 40 ms: a run's start, a dozen questions each of which waits for the last, took half a second longer. Node has no call for it;
 * where `node:ffi` or the descriptor is missing, acknowledgements take their time.
 */
import type { Socket } from "node:net";

const IPPROTO_TCP = 6;
const TCP_QUICKACK = 12;
const ONE = Buffer.from(Uint32Array.of(1).buffer);

type SetOption = (fd: number, level: number, option: number, value: Buffer, length: number) => number;

function openSetOption(): SetOption | null {
  if (process.platform !== "linux") return null;
  try {
    const { functions } = process.getBuiltinModule("node:ffi").dlopen("libc.so.6", {
      setsockopt: { return: "i32", arguments: ["i32", "i32", "i32", "pointer", "u32"] },
    });
    return functions.setsockopt;
  } catch {
    return null;
  }
}

let setOption: SetOption | null | undefined;

/** The descriptor of a connection without TLS, which Node does not document. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  return typeof fd === "number" ? fd : -1;
}

/** Acknowledges what `socket` has received. It lasts for this once. */
export function acknowledge(socket: Socket): void {
  if (setOption === undefined) setOption = openSetOption();
  const fd = setOption === null ? -1 : descriptorOf(socket);
  if (fd >= 0) setOption?.(fd, IPPROTO_TCP, TCP_QUICKACK, ONE, ONE.length);
}
