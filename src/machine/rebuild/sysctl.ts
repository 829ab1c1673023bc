/** Settings of the kernel out of /etc/sysctl.conf and /etc/sysctl.d, which came with the files (sysctl.d(5)). */
import { lastLines, runTool } from "../run-tool.ts";

const SYSCTL_MS = 30_000;

/** Applies them. Returns what the kernel refused; nothing where the tool is not installed. */
export async function applySysctl(signal: AbortSignal): Promise<string[]> {
  const result = await runTool({ argv: ["sysctl", "--quiet", "--system"], timeoutMs: SYSCTL_MS, signal }).catch(() => null);
  signal.throwIfAborted();
  if (result === null || result.stderr.trim() === "") return [];
  return lastLines({ stdout: "", stderr: result.stderr }, 10).map((line) => `kernel setting refused: ${line}`);
}
