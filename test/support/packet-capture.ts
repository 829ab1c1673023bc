/** Every packet of every interface of this network namespace, by tcpdump. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

/** Whole packets. */
const ARGUMENTS = ["--interface=any", "--snapshot-length=0", "--immediate-mode", "-U", "-Z", "root", "-w", "-"];

export class PacketCapture {
  readonly #tcpdump: ChildProcessByStdio<null, Readable, Readable>;
  readonly #parts: Buffer[] = [];

  private constructor(tcpdump: ChildProcessByStdio<null, Readable, Readable>) {
    this.#tcpdump = tcpdump;
    tcpdump.stdout.on("data", (bytes: Buffer) => this.#parts.push(bytes));
  }

  /** Resolves when it captures. Throws with what tcpdump said when it cannot. */
  static async start(): Promise<PacketCapture> {
    const tcpdump = spawn("tcpdump", ARGUMENTS, { stdio: ["ignore", "pipe", "pipe"] });
    const capture = new PacketCapture(tcpdump);
    let said = "";
    for await (const text of tcpdump.stderr.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
      said += String(text);
      if (said.includes("listening on")) {
        tcpdump.stderr.resume();
        return capture;
      }
    }
    throw new Error(`tcpdump: ${said}`);
  }

  /** What was captured, in the format of pcap. */
  async stop(): Promise<Buffer> {
    const ended = once(this.#tcpdump, "close");
    this.#tcpdump.kill("SIGINT");
    await ended;
    return Buffer.concat(this.#parts);
  }
}
