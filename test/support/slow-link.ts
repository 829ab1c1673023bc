/**
 * A line between the program and a server: TCP on the loopback that is as narrow, late, silent or lossy as a test needs.
 * All connections share it. What it is like may be changed while it is in use.
 */
import { createServer, connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type LinkState = {
  /** Each way. Default: as fast as it goes. */
  bytesPerSecond?: number | undefined;
  /** Connections are accepted, and nothing passes any more. */
  isSilent?: boolean;
  /** Each connection is reset after so many bytes from the program. */
  resetAfterBytes?: number | undefined;
  /** No connection is accepted; running ones are reset. */
  isDown?: boolean;
};

export type SlowLink = {
  /** In place of the server's. */
  endpoint: string;
  state: LinkState;
  /** Bytes that passed so far. */
  passed: { up: number; down: number };
  stop(): Promise<void>;
};

/** Opens a link to the server at `endpoint` (`http://host:port`; also https, which passes as it is). */
export async function startSlowLink(endpoint: string, state: LinkState = {}): Promise<SlowLink> {
  const { protocol, hostname, port } = new URL(endpoint);
  const open = new Set<Socket>();
  const link: SlowLink = {
    endpoint: "",
    state,
    passed: { up: 0, down: 0 },
    stop: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  const lines = { up: new Line(link, "up"), down: new Line(link, "down") };
  const server = createServer((client) => {
    if (link.state.isDown === true) {
      client.resetAndDestroy();
      return;
    }
    const onward = connect(Number(port), hostname);
    for (const [socket, other] of [[client, onward], [onward, client]] as const) {
      open.add(socket);
      socket.on("error", () => undefined).on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    void pump(client, onward, lines.up, link);
    void pump(onward, client, lines.down, link);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the link has no port");
  link.endpoint = `${protocol}//127.0.0.1:${address.port}`;
  return link;
}

async function pump(from: Socket, to: Socket, line: Line, link: SlowLink): Promise<void> {
  let bytes = 0;
  try {
    for await (const piece of from as AsyncIterable<Buffer>) {
      await line.pass(piece, to);
      bytes += piece.length;
      const limit = link.state.resetAfterBytes;
      if (link.state.isDown === true || (line.way === "up" && limit !== undefined && bytes > limit)) {
        from.resetAndDestroy();
        to.destroy();
      }
    }
    to.end();
  } catch {
    // Either end may go away at any moment: that is what the test is about.
  }
}

const SLICES_PER_SECOND = 20;

/** One direction: pieces of all connections pass one after the other. */
class Line {
  readonly way: "up" | "down";
  readonly #link: SlowLink;
  #last: Promise<void> = Promise.resolve();

  constructor(link: SlowLink, way: "up" | "down") {
    this.#link = link;
    this.way = way;
  }

  async pass(piece: Buffer, to: Socket): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      const rate = this.#link.state.bytesPerSecond;
      const slice = piece.subarray(at, rate === undefined ? undefined : at + Math.ceil(rate / SLICES_PER_SECOND));
      at += slice.length;
      const turn = this.#last.then(async () => {
        if (rate !== undefined) await sleep((slice.length / rate) * 1000);
        while (this.#link.state.isSilent === true && !to.destroyed) await sleep(20);
      });
      this.#last = turn;
      await turn;
      this.#link.passed[this.way] += slice.length;
      if (to.destroyed) return;
      if (!to.write(slice)) await new Promise<void>((resolve) => to.once("drain", resolve).once("close", resolve));
    }
  }
}
