/** A service that is told of runs: keeps every request, and answers, hangs or closes as a test needs. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export type Told = { method: string; path: string; query: Record<string, string>; headers: IncomingHttpHeaders; body: string; atMs: number };

/** What becomes of the request that is the `number`th (from 1) for its path: a status, no answer ever, or a closed connection. */
export type Behaviour = (told: Told, number: number) => number | "hang" | "close";

export type WatchServer = {
  /** `http://127.0.0.1:port`. */
  origin: string;
  told: Told[];
  behaviour: Behaviour;
  stop(): Promise<void>;
};

export async function startWatchServer(behaviour: Behaviour = () => 200): Promise<WatchServer> {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("error", () => undefined);
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://127.0.0.1");
      const told: Told = { method: request.method ?? "", path: url.pathname, query: Object.fromEntries(url.searchParams), headers: request.headers, body: Buffer.concat(pieces).toString(), atMs: Date.now() };
      watch.told.push(told);
      const outcome = watch.behaviour(told, watch.told.filter(({ path }) => path === told.path).length);
      if (outcome === "close") request.socket.destroy();
      else if (outcome !== "hang") response.writeHead(outcome, outcome >= 300 && outcome < 400 ? { location: "/elsewhere" } : {}).end("OK");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const watch: WatchServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    told: [],
    behaviour,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return watch;
}
