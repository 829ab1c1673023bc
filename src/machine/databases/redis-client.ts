/** How Redis and Valkey are asked. */
import { readSecretLine } from "../../config/private-file.ts";
import { ColdkeepError } from "../../errors.ts";
import { type AsUser, asUser, withUser } from "../as-user.ts";
import { lastLines, requireWell, runTool, type ToolOrder } from "../run-tool.ts";
import type { ServerAddress } from "./postgresql-client.ts";

const ASK_TIMEOUT_MS = 60_000;
const TOOLS = ["redis-cli", "valkey-cli"];

export class RedisClient {
  readonly #address: ServerAddress;
  readonly #user: AsUser;
  readonly #tool: string;

  private constructor(address: ServerAddress, user: AsUser, tool: string) {
    this.#address = address;
    this.#user = user;
    this.#tool = tool;
  }

  /** Throws E_NOT_FOUND where there is no client, E_CONFIG, the signal's reason. */
  static async open(address: ServerAddress, signal: AbortSignal): Promise<RedisClient> {
    const user = await asUser(address.runAs, signal);
    for (const tool of TOOLS) {
      try {
        await runTool({ argv: [tool, "--version"], timeoutMs: ASK_TIMEOUT_MS, signal });
        return new RedisClient(address, user, tool);
      } catch (error) {
        if (!(error instanceof ColdkeepError) || error.code !== "E_NOT_FOUND") throw error;
      }
    }
    throw new ColdkeepError("E_NOT_FOUND", `there is no program "${TOOLS.join('" or "')}"`, { hint: "Install redis-tools, or what brings it." });
  }

  /** An order for the client. Throws E_CONFIG, E_REFUSED for the password's file. */
  order(args: readonly string[], timeoutMs: number, signal: AbortSignal): Omit<ToolOrder, "input"> & { signal: AbortSignal } {
    const { socket, host, port, user, passwordFile } = this.#address;
    const address = [["-s", socket], ["-h", host], ["-p", port], ["--user", user]].flatMap(([key, value]) => (value === null ? [] : [String(key), String(value)]));
    const password = passwordFile === null ? {} : { REDISCLI_AUTH: readSecretLine(passwordFile) };
    return { argv: withUser(this.#user, [this.#tool, ...address, "--no-auth-warning", ...args]), env: { ...this.#user.env, ...password }, cwd: this.#user.cwd, timeoutMs, signal };
  }

  /** The answer to a command, as text. Errors of the server are answers too. Throws E_DISK where it cannot be reached. */
  async ask(args: readonly string[], signal: AbortSignal): Promise<string> {
    const order = this.order(args, ASK_TIMEOUT_MS, signal);
    const result = await runTool(order);
    requireWell(order, result);
    return result.stdout;
  }

  /** The fields of `INFO section`. Throws E_DISK with what the server says instead. */
  async info(section: string, signal: AbortSignal): Promise<Map<string, string>> {
    const text = await this.ask(["INFO", section], signal);
    if (!text.startsWith("#")) throw new ColdkeepError("E_DISK", `the server does not say what it is: ${lastLines({ stdout: text, stderr: "" }, 2).join(" | ")}`);
    return new Map(text.split(/\r?\n/).flatMap((line) => (line.includes(":") ? [[line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)] as const] : [])));
  }

  /** Settings by name; none where the server does not tell them. */
  async settings(names: readonly string[], signal: AbortSignal): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const name of names) {
      const [key, value] = (await this.ask(["CONFIG", "GET", name], signal)).split(/\r?\n/);
      if (key === name && value !== undefined) found.set(name, value);
    }
    return found;
  }
}
