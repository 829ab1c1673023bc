/** The demo's one temporary folder, and its end: whatever happens, Ctrl-C included, nothing of it stays. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Thrown when the demo was told to stop; carries the exit status that belongs to it. */
export class Stopped extends Error {
  readonly status = 130;
}

/** Removes a tree, also one with closed directories in it. */
function removeTree(dir: string): void {
  if (spawnSync("rm", ["-rf", "--", dir], { stdio: "ignore" }).status === 0) return;
  spawnSync("chmod", ["-R", "u+rwX", "--", dir], { stdio: "ignore" });
  spawnSync("rm", ["-rf", "--", dir], { stdio: ["ignore", "ignore", "inherit"] });
}

/** Runs `work` in a new folder with a signal that Ctrl-C gives, and removes the folder. Throws what `work` throws, or Stopped. */
export async function inWorkspace(work: (folder: string, signal: AbortSignal) => Promise<void>): Promise<void> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "coldkeep-demo-")));
  const controller = new AbortController();
  const stop = (): void => controller.abort(new Stopped("stopped"));
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) process.on(name, stop);
  try {
    await work(folder, controller.signal);
    controller.signal.throwIfAborted();
  } catch (error) {
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    removeTree(folder);
    for (const name of signals) process.off(name, stop);
  }
}
