/** Another program on a terminal of its own (a pty by `script`), at which the same line is typed whenever it asks for a passphrase. */
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";

/** Resolves to what was shown. Throws, showing it, when the program does not exit 0 within `timeoutMs`. */
export function typeAt(command: readonly string[], line: string, timeoutMs = 60_000): Promise<string> {
  const child = spawn("bash", ["-c", 'exec script -qec "$(printf "%q " "$@")" /dev/null', "bash", ...command], { stdio: ["pipe", "pipe", "pipe"], cwd: tmpdir(), timeout: timeoutMs });
  let shown = "";
  let answered = 0;
  const look = (chunk: Buffer): void => {
    shown += chunk.toString();
    const prompts = shown.match(/passphrase[^\n]*: /gi)?.length ?? 0;
    for (; answered < prompts; answered++) child.stdin.write(`${line}\n`);
  };
  child.stdout.on("data", look);
  child.stderr.on("data", look);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => (status === 0 ? resolve(shown) : reject(new Error(`${command.join(" ")} ended with ${status ?? signal}:\n${shown}`))));
  });
}
