/** Ports that something listens on, with the process, its unit and its package (proc(5), /proc/net/tcp and its kin). */
import type { Profile } from "../../format/profile.ts";
import type { Look } from "./look.ts";
import type { Ownership } from "./ownership.ts";
import type { Process } from "./processes.ts";

type Port = Profile["ports"][number];

export type Socket = { protocol: "tcp" | "udp"; address: string; port: number; inode: string };

const FILES = [
  { path: "/proc/net/tcp", protocol: "tcp" },
  { path: "/proc/net/tcp6", protocol: "tcp" },
  { path: "/proc/net/udp", protocol: "udp" },
  { path: "/proc/net/udp6", protocol: "udp" },
] as const;

/** TCP_LISTEN; a UDP socket that is bound and has no peer is in TCP_CLOSE. */
const STATES = { tcp: "0A", udp: "07" } as const;

/** Words of 32 bits in the machine's own order, which is little-endian wherever this program runs. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  for (let i = 0; i + 4 <= bytes.length; i += 4) bytes.subarray(i, i + 4).reverse();
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.every((byte) => byte === 0)) return "::";
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff) return bytes.subarray(12).join(".");
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  // The longest run of zeros is written as `::` (RFC 5952).
  return words.join(":").replace(/(?:^|:)0(?::0)+(?::|$)/, "::");
}

/** Sockets of one file that wait for somebody. */
export function parseSockets(text: string, protocol: "tcp" | "udp"): Socket[] {
  return text.split("\n").slice(1).flatMap((line) => {
    const [, local = "", remote = "", state, , , , , , inode = ""] = line.trim().split(/\s+/);
    const [, address, port] = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(local) ?? [];
    if (address === undefined || port === undefined || state !== STATES[protocol] || !remote.endsWith(":0000")) return [];
    return [{ protocol, address: addressOf(address), port: Number.parseInt(port, 16), inode }];
  });
}

/** By port, each once. */
export function readPorts(look: Look, processes: readonly Process[], ownership: Ownership): Port[] {
  if (!look.isLive) return [];
  const owners = new Map(processes.flatMap((each) => each.sockets.map((inode) => [inode, each] as const)));
  const ports = new Map<string, Port>();
  for (const { path, protocol } of FILES) {
    for (const socket of parseSockets(look.text(path) ?? "", protocol)) {
      const owner = owners.get(socket.inode);
      const port: Port = { protocol, address: socket.address, port: socket.port, process: owner?.name ?? "", unit: owner?.unit ?? "", package: ownership.of(owner?.program ?? "") ?? "" };
      ports.set(`${protocol} ${socket.address} ${socket.port}`, port);
    }
  }
  return [...ports.values()].toSorted((a, b) => a.port - b.port || (a.protocol < b.protocol ? -1 : a.protocol > b.protocol ? 1 : a.address < b.address ? -1 : 1));
}
