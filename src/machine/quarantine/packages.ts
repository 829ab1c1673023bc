/** Packages for a machine that will have no network: fetched by apt, from the archived sources too, and not yet installed. */
import { join } from "node:path";
import { ColdkeepError } from "../../errors.ts";
import type { Profile } from "../../format/profile.ts";
import { missingAptFiles, writeAptFile } from "../apt.ts";
import { lastLines, type ToolResult } from "../run-tool.ts";
import type { Quarantine } from "./quarantine.ts";

/** Where they lie, inside. */
export const PACKAGES_INSIDE = "/var/cache/apt/archives";
const UPDATE_MS = 10 * 60_000;
const DOWNLOAD_MS = 3 * 3_600_000;
const QUIET = { DEBIAN_FRONTEND: "noninteractive" };

export type Wanted = { name: string; /** Null: whichever apt takes. */ version: string | null };

function requireDone(doing: string, result: ToolResult): void {
  if (result.status === 0 && !result.timedOut) return;
  throw new ColdkeepError("E_NOT_FOUND", `${doing} failed: ${lastLines(result, 5).join(" | ")}`, { hint: "Is the mirror reachable from here? Nothing was said of the archive." });
}

/** Nothing runs of what is fetched. Throws E_NOT_FOUND where apt cannot have it. */
export async function downloadPackages(quarantine: Quarantine, aptFiles: Profile["packages"]["aptFiles"], wanted: readonly Wanted[], signal: AbortSignal): Promise<void> {
  if (wanted.length === 0) return;
  for (const file of missingAptFiles(aptFiles, quarantine.root)) writeAptFile(join(quarantine.root, file.path), file);
  // A single source that does not answer is no reason to stop: what is missing shows below.
  await quarantine.run({ argv: ["apt-get", "update"], env: QUIET, timeoutMs: UPDATE_MS, signal });
  const specs = wanted.map(({ name, version }) => (version === null ? name : `${name}=${version}`));
  const argv: [string, ...string[]] = ["apt-get", "--yes", "--download-only", "--no-install-recommends", "--allow-downgrades", "install", "--", ...specs];
  requireDone("fetching packages", await quarantine.run({ argv, env: QUIET, timeoutMs: DOWNLOAD_MS, signal }));
}
