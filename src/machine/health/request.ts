/** Requests of health checks: straight to the machine that is checked, never through a proxy, redirects not followed. */
import { readFileSync } from "node:fs";
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { readHeaderFile } from "../../config/header-file.ts";
import type { HttpTarget } from "../../config/health-schema.ts";
import { ColdkeepError, messageOf, systemCode } from "../../errors.ts";
import { connectionReason } from "../../policy/connection-reason.ts";

/** Why a connection failed, for people. */
export function connectionFault(error: unknown): string {
  return connectionReason(systemCode(error) ?? "") ?? messageOf(error);
}

function readCa(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ColdkeepError("E_CONFIG", `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
}

/** Makes requests to one target, over connections that are kept; `close` ends those. */
export class Requester {
  readonly #url: URL;
  readonly #options: RequestOptions;
  readonly #agent: HttpAgent;

  /** Throws E_CONFIG, E_REFUSED for files that cannot be used. */
  constructor({ url, connect, headersFile, caFile }: HttpTarget) {
    this.#url = new URL(url);
    const isSecure = this.#url.protocol === "https:";
    const ca = caFile === null ? undefined : readCa(caFile);
    const name = this.#url.hostname.replace(/^\[|\]$/g, "");
    this.#agent = isSecure ? new HttpsAgent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, ca, servername: /^[\d.]+$|:/.test(name) ? "" : name }) : new HttpAgent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
    this.#options = { agent: this.#agent, headers: { host: this.#url.host, "user-agent": "coldkeep-health", ...(headersFile !== null && readHeaderFile(headersFile)) }, ...(connect !== null && { host: connect, hostname: connect }) };
  }

  /** One GET. Resolves when the answer begins; whoever gets it drains it. Rejects with the connection's error or the signal's. */
  get(signal: AbortSignal): Promise<IncomingMessage> {
    const make = this.#url.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const request = make(this.#url, { ...this.#options, signal });
      request.once("response", resolve);
      request.once("error", reject);
      request.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
