/** One small HTTP POST to a service that watches, with little patience: an alarm must not hold up a run. */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, systemCode } from "../../errors.ts";
import { connectionReason } from "../../policy/connection-reason.ts";

export type Post = { url: string; headers: Readonly<Record<string, string>>; body: string };

/** How long one try may take, and how long to wait after each that failed; there is one try more than there are waits. */
export type Patience = { tryMs: number; waitsMs: readonly number[] };

export const PATIENCE: Patience = { tryMs: 10_000, waitsMs: [500, 3000] };

/** Why a post failed, in words that do not repeat its address. */
class PostFault extends Error {
  readonly isFinal: boolean;

  static {
    this.prototype.name = "PostFault";
  }

  constructor(message: string, isFinal: boolean) {
    super(message);
    this.isFinal = isFinal;
  }
}

/**
 * Sends it until it is answered with 2xx. Resolves to null then, else to the reason why it was given up; `signal` ends it at
 * once. Never throws, and never names the address, which may be a secret.
 */
export async function post(message: Post, patience: Patience, signal: AbortSignal): Promise<string | null> {
  let reason = "it does not answer";
  for (let tries = 0; ; tries++) {
    if (signal.aborted) return reason;
    try {
      await tryPost(message, AbortSignal.any([signal, AbortSignal.timeout(patience.tryMs)]));
      return null;
    } catch (error) {
      if (!(error instanceof PostFault)) return messageOf(error);
      reason = error.message;
      const waitMs = patience.waitsMs[tries];
      if (error.isFinal || waitMs === undefined) return reason;
      // A wait that is cut short ends above.
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function tryPost({ url, headers, body }: Post, signal: AbortSignal): Promise<void> {
  const target = new URL(url);
  const isSecure = target.protocol === "https:";
  const proxied = { proxyEnv: process.env };
  return new Promise((resolve, reject) => {
    const request = (isSecure ? httpsRequest : httpRequest)(target, {
      method: "POST",
      agent: isSecure ? new HttpsAgent(proxied) : new HttpAgent(proxied),
      headers: { "content-length": Buffer.byteLength(body), ...headers },
      signal,
    });
    request.once("response", (response) => {
      response.on("error", () => undefined);
      response.destroy();
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) resolve();
      else reject(answerFault(status));
    });
    request.once("error", (error) => reject(new PostFault(reasonOf(error, signal), false)));
    request.end(body);
  });
}

function answerFault(status: number): PostFault {
  // A redirect is not followed: it would take headers that are secret to where somebody else says.
  const isTemporary = status >= 500 || status === 408 || status === 429;
  return new PostFault(`it answered ${status}${status >= 300 && status < 400 ? ", which points to another address" : ""}`, !isTemporary);
}

function reasonOf(error: Error, signal: AbortSignal): string {
  if (signal.aborted) return "it does not answer";
  const code = systemCode(error) ?? "";
  return connectionReason(code) ?? (code === "" ? "the request failed" : `the request failed (${code})`);
}
