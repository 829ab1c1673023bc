/** How MariaDB and MySQL are asked: by whichever of their tools this machine has. */
import { readSecretLine } from "../../config/private-file.ts";
import { ColdkeepError } from "../../errors.ts";
import { type AsUser, asUser, withUser } from "../as-user.ts";
import { requireWell, runTool, type ToolOrder } from "../run-tool.ts";
import type { ServerAddress } from "./postgresql-client.ts";

const ASK_TIMEOUT_MS = 60_000;
const TOOLS = { client: ["mariadb", "mysql"], dump: ["mariadb-dump", "mysqldump"] } as const;

/** As a name in SQL. */
export function mysqlName(text: string): string {
  return `\`${text.replaceAll("`", "``")}\``;
}

export class MysqlClient {
  readonly #address: ServerAddress;
  readonly #user: AsUser;
  readonly #tools: Record<keyof typeof TOOLS, string>;

  private constructor(address: ServerAddress, user: AsUser, tools: Record<keyof typeof TOOLS, string>) {
    this.#address = address;
    this.#user = user;
    this.#tools = tools;
  }

  /** Throws E_NOT_FOUND where there are no tools, E_CONFIG for a user that is not there, the signal's reason. */
  static async open(address: ServerAddress, signal: AbortSignal): Promise<MysqlClient> {
    const tools = { client: await firstOf(TOOLS.client, signal), dump: await firstOf(TOOLS.dump, signal) };
    return new MysqlClient(address, await asUser(address.runAs, signal), tools);
  }

  /** An order for one of the tools. Throws E_CONFIG, E_REFUSED for the password's file. */
  order(tool: keyof typeof TOOLS, args: readonly string[], timeoutMs: number, signal: AbortSignal): Omit<ToolOrder, "input"> & { signal: AbortSignal } {
    const { socket, host, port, user, passwordFile } = this.#address;
    const address = [["socket", socket], ["host", host], ["port", port], ["user", user]].flatMap(([key, value]) => (value === null ? [] : [`--${key}=${value}`]));
    const password = passwordFile === null ? {} : { MYSQL_PWD: readSecretLine(passwordFile) };
    return { argv: withUser(this.#user, [this.#tools[tool], ...address, "--default-character-set=utf8mb4", ...args]), env: { ...this.#user.env, ...password }, cwd: this.#user.cwd, timeoutMs, signal };
  }

  /** Runs SQL; returns the lines it answers. Throws E_DISK with the client's last lines. */
  async ask(sql: string, signal: AbortSignal): Promise<string[]> {
    const order = { ...this.order("client", ["--batch", "--raw", "--skip-column-names"], ASK_TIMEOUT_MS, signal), input: sql };
    const result = await runTool(order);
    requireWell(order, result);
    return result.stdout.split("\n").filter((line) => line !== "");
  }
}

async function firstOf(names: readonly string[], signal: AbortSignal): Promise<string> {
  for (const name of names) {
    try {
      await runTool({ argv: [name, "--version"], timeoutMs: ASK_TIMEOUT_MS, signal });
      return name;
    } catch (error) {
      if (!(error instanceof ColdkeepError) || error.code !== "E_NOT_FOUND") throw error;
    }
  }
  throw new ColdkeepError("E_NOT_FOUND", `there is no program "${names.join('" or "')}"`, { hint: "Install mariadb-client, or what brings it." });
}
