/**
 * The HTTP under the SDK. The SDK's own handler counts a reader that takes its time as a dead connection, and waits for
 * ever when a file that is being sent cannot be read; this one measures idle connections only while bytes are wanted.
 */
import { once } from "node:events";
import type { Agent, ClientRequest, IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { type Pacer, piecesOf } from "./pacer.ts";
import { sharedReading } from "./socket-reading.ts";

// An import of this module asks it for all it exports, WebSocket too, and so loads Node's other HTTP client: 30 ms.
const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule("node:http");

export type HttpSettings = {
  /** PEM text of the only authorities to trust. Default: those of Node. */
  ca?: string | undefined;
  /** A proxy for every request. Default: what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …). */
  proxy?: string | undefined;
  /** How long a connection may take to be made, ms. */
  connectMs: number;
  /** How long no byte may move while one is awaited, ms. There is no limit for a whole request. */
  inactivityMs: number;
  /** What all bodies that are sent share. Default: no limit. */
  up?: Pacer | undefined;
};

/** What the SDK hands to its request handler: the part of it that is used here. */
export type WireRequest = {
  protocol: string;
  hostname: string;
  port?: number | undefined;
  method: string;
  path: string;
  query?: Record<string, string | string[] | null> | undefined;
  headers: Record<string, string>;
  body?: unknown;
};

/** What the SDK expects back; it looks at the fields, not at the class. */
export type WireResponse = { statusCode: number; reason: string; headers: Record<string, string>; body: IncomingMessage };

export type HttpHandler = {
  metadata: { handlerProtocol: string };
  handle(request: WireRequest, options?: { abortSignal?: AbortSignal }): Promise<{ response: WireResponse }>;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
  destroy(): void;
};

/** The engine bounds what is in flight; this only keeps a defect from opening connections without end. */
const SOCKETS_MAX = 128;

/**
 * The kernel takes a body in gulps of some megabytes and sends them out of our sight, which on a slow line that many
 * requests share looks like silence. So a body larger than this may be silent for some periods, and its answer may take
 * as long again as the whole body took.
 */
const KERNEL_BYTES = 64 * 1024;
const GULP_PERIODS = 3;
/**
 * In one piece TLS would encrypt a whole body at once, into as much memory again, and nobody could see whether it moves.
 * Without TLS Node's timer looks at how much of a piece is left, and one system call less is time saved.
 */
const PIECE_BYTES = { "https:": 512 * 1024, "http:": 32 * 1024 * 1024 };

/** A connection that took too long or fell silent; `code` as the system would name it. */
export class TimeoutError extends Error {
  readonly code = "ETIMEDOUT";

  static {
    this.prototype.name = "TimeoutError";
  }
}

/** Makes the request handler of one S3 client, with connections of its own. */
export function openHttpHandler(settings: HttpSettings): HttpHandler {
  const proxyEnv = settings.proxy === undefined ? process.env : { HTTP_PROXY: settings.proxy, HTTPS_PROXY: settings.proxy };
  const shared = { keepAlive: true, maxSockets: SOCKETS_MAX, proxyEnv, onread: sharedReading() };
  const http = new HttpAgent(shared);
  const https = new HttpsAgent({ ...shared, ...(settings.ca !== undefined && { ca: settings.ca }) });
  return {
    metadata: { handlerProtocol: "http/1.1" },
    handle: (request, options) => send(request, request.protocol === "https:" ? https : http, settings, options?.abortSignal),
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
    destroy: () => {
      http.destroy();
      https.destroy();
    },
  };
}

function send(
  wire: WireRequest,
  agent: Agent | HttpsAgent,
  settings: HttpSettings,
  signal: AbortSignal | undefined,
): Promise<{ response: WireResponse }> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(abortError(signal));
      return;
    }
    const request = (wire.protocol === "https:" ? httpsRequest : httpRequest)({
      agent,
      host: wire.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: wire.port,
      method: wire.method,
      path: wire.path + formatQuery(wire.query),
      headers: wire.headers,
    });
    const silence: Silence = { isPaced: false };
    // A response that is being read must be told why it ends; destroying the request would only call it "aborted".
    const end = (error: Error): void => void (silence.response ?? request).destroy(error);
    const stop = (): void => end(abortError(signal));
    signal?.addEventListener("abort", stop, { once: true });
    const connecting = setTimeout(() => {
      end(new TimeoutError(`no connection was made within ${settings.connectMs} ms`));
    }, settings.connectMs);
    request.once("socket", (socket) => {
      const connected = (): void => clearTimeout(connecting);
      if (socket.connecting) socket.once(wire.protocol === "https:" ? "secureConnect" : "connect", connected);
      else connected();
    });
    watchSilence(request, silence, wire, settings, end);
    request.once("response", (message) => {
      clearTimeout(connecting);
      silence.response = message;
      resolve({ response: toWireResponse(message) });
    });
    request.on("error", reject);
    request.once("close", () => {
      clearTimeout(connecting);
      signal?.removeEventListener("abort", stop);
      reject(new Error("the connection was closed without an answer"));
    });
    sendBody(wire.body, request, settings.up, silence);
  });
}

type Silence = {
  response?: IncomingMessage;
  /** The body waits for its turn on the region's bandwidth: our silence, not the network's. */
  isPaced: boolean;
};

/**
 * Ends a request on which no byte moves although one is awaited. Node's timer starts anew with each piece of a body, and
 * when less of one is left than before, so that slow is not silent.
 */
function watchSilence(request: ClientRequest, silence: Silence, wire: WireRequest, { inactivityMs }: HttpSettings, end: (error: Error) => void): void {
  const isLarge = Number(wire.headers["content-length"] ?? 0) > KERNEL_BYTES;
  const startMs = performance.now();
  let answerByMs = 0;
  let silentSinceMs = startMs;
  let lastMs = startMs;
  request.once("finish", () => {
    const sentMs = performance.now();
    if (isLarge) answerByMs = sentMs + Math.max(GULP_PERIODS * inactivityMs, sentMs - startMs);
  });
  const check = (socket: Socket): void => {
    const { response } = silence;
    const nowMs = performance.now();
    // Node's timer starts anew when something moved, and tells of periods without a byte only.
    if (nowMs - lastMs > 1.5 * inactivityMs) silentSinceMs = nowMs - inactivityMs;
    lastMs = nowMs;
    const isGulp = isLarge && !request.writableFinished && nowMs - silentSinceMs < (GULP_PERIODS - 0.5) * inactivityMs;
    // Bytes lie ready and nobody takes them: the reader is slow, not the network.
    const slowReader = response !== undefined && response.readableLength > 0;
    const onItsWay = response === undefined && (isGulp || nowMs < answerByMs);
    if (slowReader || onItsWay || silence.isPaced) socket.setTimeout(inactivityMs);
    else end(new TimeoutError(`no byte moved for ${inactivityMs} ms`));
  };
  // A request passes only the first timeout of its socket on.
  request.once("socket", (socket) => {
    const onTimeout = (): void => check(socket);
    socket.setTimeout(inactivityMs).on("timeout", onTimeout);
    request.once("close", () => socket.off("timeout", onTimeout));
  });
}

function sendBody(body: unknown, request: ClientRequest, pacer: Pacer | undefined, silence: Silence): void {
  if (body === undefined || body === null) {
    request.end();
  } else if (typeof body === "string") {
    request.end(body);
  } else if (body instanceof Readable) {
    body.once("error", (error) => request.destroy(error));
    request.once("close", () => body.destroy());
    sendPieces(body, request, pacer, silence).catch((error: unknown) => request.destroy(asError(error)));
  } else if (body instanceof Uint8Array) {
    sendPieces([body], request, pacer, silence).catch((error: unknown) => request.destroy(asError(error)));
  } else {
    request.destroy(new TypeError("a request's body is neither bytes nor a stream"));
  }
}

/** Writes a body piece by piece, each when the connection has taken the one before and it is its turn. */
async function sendPieces(body: AsyncIterable<unknown> | Iterable<unknown>, request: ClientRequest, pacer: Pacer | undefined, silence: Silence): Promise<void> {
  const pieceBytes = pacer?.pieceBytes ?? PIECE_BYTES[request.protocol === "https:" ? "https:" : "http:"];
  const closed = new AbortController();
  request.once("close", () => closed.abort());
  for await (const part of body) {
    if (!(part instanceof Uint8Array)) throw new TypeError("a request's body is not bytes");
    for (const piece of piecesOf(part, pieceBytes)) {
      if (pacer !== undefined) {
        silence.isPaced = true;
        await pacer.take(piece.length, closed.signal);
        silence.isPaced = false;
      }
      if (request.destroyed) return;
      // What broke the connection is told by the request itself.
      if (!request.write(piece)) await once(request, "drain", { signal: closed.signal }).catch(() => undefined);
    }
  }
  request.end();
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function toWireResponse(message: IncomingMessage): WireResponse {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return { statusCode: message.statusCode ?? 0, reason: message.statusMessage ?? "", headers, body: message };
}

function formatQuery(query: WireRequest["query"]): string {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      pairs.push(one === null ? escapeUri(name) : `${escapeUri(name)}=${escapeUri(one)}`);
    }
  }
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** Percent-encoding as SigV4 signs it (RFC 3986: only letters, digits and `-._~` stay). */
function escapeUri(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

function abortError(signal: AbortSignal | undefined): Error {
  return Object.assign(new Error("the request was aborted", { cause: signal?.reason }), { name: "AbortError" });
}
