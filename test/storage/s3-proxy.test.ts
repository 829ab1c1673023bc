import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { openS3Store } from "../../src/storage/s3-store.ts";
import { parseRegionUrl } from "../../src/storage/region-url.ts";
import { makeCertificate } from "../support/fake-s3-certificate.ts";
import { type FakeS3, fakeS3Url, startFakeS3 } from "../support/fake-s3.ts";
import { digestOf, readAll } from "./store-calls.ts";

const folder = mkdtempSync(join(tmpdir(), "coldkeep-proxy-"));
const certificate = makeCertificate(folder);
const body = Buffer.from("through the proxy");
const open = new Set<Socket>();
let plain: FakeS3;
let secure: FakeS3;
let proxy: Server;
let proxyUrl: string;
let passed: string[];

beforeAll(async () => {
  plain = await startFakeS3({ buckets: ["vault"] });
  secure = await startFakeS3({ buckets: ["vault"], tls: certificate });
  proxy = createServer((message, response) => {
    passed.push(`${message.method} ${message.url}`);
    const onward = httpRequest(message.url ?? "", { method: message.method, headers: message.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    message.pipe(onward);
  });
  proxy.on("connect", (message, client: Socket) => {
    passed.push(`CONNECT ${message.url}`);
    const [host = "", port = ""] = (message.url ?? "").split(":");
    const server = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(server).pipe(client);
    });
    for (const socket of [client, server]) socket.on("error", () => client.destroy());
    open.add(client);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  proxyUrl = `http://127.0.0.1:${address.port}`;
});
afterAll(async () => {
  for (const socket of open) socket.destroy();
  proxy.closeAllConnections();
  proxy.close();
  await plain.stop();
  await secure.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  passed = [];
});

async function roundTrip(fake: FakeS3, parameters: string): Promise<void> {
  const url = parseRegionUrl(fakeS3Url(fake, "vault", "p", parameters));
  if (url.kind !== "s3") throw new Error("not S3");
  const store = await openS3Store(url, { kind: "keys", keys: fake.keys });
  await store.put("key", body, { sha256: digestOf(body), overwrite: true });
  expect(await readAll(store, "key")).toEqual(body);
  store.close();
}

test("the URL's proxy carries http and https", async () => {
  await roundTrip(plain, `&proxy=${proxyUrl}`);
  expect(passed.length).toBeGreaterThan(0);
  expect(passed.every((line) => line.includes(`${plain.endpoint}/vault/p/key`))).toBe(true);
  passed = [];
  await roundTrip(secure, `&proxy=${proxyUrl}&ca=${certificate.certPath}`);
  expect(passed).toEqual([`CONNECT ${secure.endpoint.slice("https://".length)}`]);
});

test("the environment's proxy is used, and NO_PROXY obeyed", async () => {
  try {
    vi.stubEnv("HTTP_PROXY", proxyUrl);
    vi.stubEnv("NO_PROXY", "");
    await roundTrip(plain, "");
    expect(passed.length).toBeGreaterThan(0);
    passed = [];
    vi.stubEnv("NO_PROXY", "127.0.0.1");
    await roundTrip(plain, "");
    expect(passed).toEqual([]);
  } finally {
    vi.unstubAllEnvs();
  }
});
