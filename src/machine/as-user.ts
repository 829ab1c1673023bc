/** Tools that run as another user of this machine. */
import { ColdkeepError } from "../errors.ts";
import { runTool, type ToolOrder } from "./run-tool.ts";

const ID_TIMEOUT_MS = 30_000;

/** The part of an order that says as whom a tool runs, and where: a home that is root's is nothing to it. */
export type AsUser = Required<Pick<ToolOrder, "cwd" | "env">> & { prefix: readonly string[] };

/** How a tool runs as `user`; null is the user of this process. Throws E_CONFIG where there is none, E_NOT_FOUND, the signal's reason. */
export async function asUser(user: string | null, signal: AbortSignal): Promise<AsUser> {
  if (user === null || (process.geteuid?.() !== 0 && (await askId(["-un"], signal)) === user)) return { cwd: "/", env: {}, prefix: [] };
  const [uid, gid] = [await askId(["-u", "--", user], signal), await askId(["-g", "--", user], signal)];
  if (uid === null || gid === null) throw new ColdkeepError("E_CONFIG", `there is no user "${user}" on this machine`, { hint: "Correct `runAs` in the configuration." });
  return { cwd: "/", env: { HOME: "/", USER: user, LOGNAME: user }, prefix: ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--init-groups", "--"] };
}

async function askId(args: readonly string[], signal: AbortSignal): Promise<string | null> {
  const { status, stdout } = await runTool({ argv: ["id", ...args], timeoutMs: ID_TIMEOUT_MS, signal });
  return status === 0 ? stdout.trim() : null;
}

/** `argv` as that user. */
export function withUser({ prefix }: AsUser, argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const [first, ...more] = prefix;
  return first === undefined ? argv : [first, ...more, ...argv];
}
