/** Tools that health checks run, as another user where that is asked. */
import { ColdkeepError } from "../../errors.ts";
import { lastLines, runTool, type ToolOrder, type ToolResult } from "../run-tool.ts";

const SAID_MAX = 300;

/** Runs a tool as a system user. Throws E_NOT_FOUND, and E_REFUSED where this process may not become that user. */
export function runAs(user: string | null, order: ToolOrder): Promise<ToolResult> {
  if (user === null) return runTool(order);
  if (process.geteuid?.() !== 0) throw new ColdkeepError("E_REFUSED", `only root may run it as ${user}`, { hint: "Run as root." });
  // Without -l: the environment stays what a tool is given here.
  return runTool({ ...order, argv: ["runuser", "-u", user, "--", ...order.argv], cwd: order.cwd ?? "/" });
}

/** What a failed tool said last, short enough for a line. */
export function said(result: ToolResult): string {
  const text = lastLines(result, 3).join(" | ").trim();
  return text === "" ? "" : `: ${text.length > SAID_MAX ? `…${text.slice(-SAID_MAX)}` : text}`;
}

export function ending({ status, timedOut }: ToolResult): string {
  return timedOut ? "did not end in time" : status === null ? "was killed" : `ended with ${status}`;
}
