/** Reading through one buffer: whoever does not take the bytes at once must not lose them to the next read. */
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sharedReading } from "../../src/storage/socket-reading.ts";
import { noise } from "../support/host.ts";

const content = noise(1_500_000, 7);
let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer((socket) => socket.on("error", () => undefined).end(content));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});

afterAll(() => {
  server.close();
});

test("a listener sees every byte, over sockets that share the buffer", async () => {
  const onread = sharedReading();
  const read = async (): Promise<Buffer> => {
    const parts: Buffer[] = [];
    const socket = connect({ port, host: "127.0.0.1", onread }).on("data", (bytes) => parts.push(Buffer.from(bytes)));
    await once(socket, "end");
    return Buffer.concat(parts);
  };
  for (const received of await Promise.all([read(), read(), read()])) expect(received.equals(content)).toBe(true);
});

test("a paused socket, and one that is read from now and then, keep what arrived", async () => {
  const onread = sharedReading();
  const [paused, other] = [connect({ port, host: "127.0.0.1", onread }), connect({ port, host: "127.0.0.1", onread })];
  paused.pause();
  await once(other.resume(), "end");
  const parts: Buffer[] = [];
  for await (const part of paused as AsyncIterable<Buffer>) {
    parts.push(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(Buffer.concat(parts).equals(content)).toBe(true);
});

test("a body that is kept back until its head is acknowledged does not wait for a delayed acknowledgement", async () => {
  const nagling = createServer((socket) => {
    socket.setNoDelay(false).on("error", () => undefined);
    socket.on("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
      socket.write("body");
    });
  });
  await once(nagling.listen(0, "127.0.0.1"), "listening");
  const address = nagling.address();
  // Options of the sockets pass through an agent, which its type does not say.
  const options = { keepAlive: true, maxSockets: 1, onread: sharedReading() };
  const agent = new Agent(options);
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const startMs = performance.now();
    const request = get({ agent, host: "127.0.0.1", port: typeof address === "object" ? address?.port : 0 });
    const [response] = (await once(request, "response")) as [IncomingMessage];
    await once(response.resume(), "end");
    times.push(performance.now() - startMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
  agent.destroy();
  nagling.close();
  // Connections answer quickly while they are new; Linux never delays for less than 40 ms after that.
  expect(Math.min(...times.slice(4))).toBeLessThan(30);
});
