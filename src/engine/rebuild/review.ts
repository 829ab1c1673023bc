/** Files the rebuild leaves alone, as they were archived, beside a diff to what is there: for a person to decide. */
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runTool } from "../../machine/run-tool.ts";

export const REVIEW_DIR = "/root/coldkeep-review";
const DIFF_MS = 30_000;

export type ReviewOrder = { /** Paths the archive holds. */ present: readonly string[]; /** Folder with them, by full path. */ from: string; archive: string; signal: AbortSignal };

function filesBelow(path: string): string[] {
  if (!existsSync(path) || !lstatSync(path).isDirectory()) return existsSync(path) ? [path] : [];
  return readdirSync(path, { recursive: true, withFileTypes: true }).filter((each) => !each.isDirectory()).map((each) => join(each.parentPath, each.name));
}

/** Keeps those that differ in /root/coldkeep-review, with their differences, and says so. */
export async function layOutReview({ present, from, archive, signal }: ReviewOrder): Promise<string[]> {
  const differing: string[] = [];
  let differences = "";
  for (const file of present.flatMap((path) => filesBelow(join(from, path)))) {
    const path = file.slice(from.length);
    const result = await runTool({ argv: ["diff", "-u", "--no-dereference", "--label", `${path} (here)`, "--label", `${path} (archived)`, "--new-file", path, file], timeoutMs: DIFF_MS, signal });
    if (result.status === 0) continue;
    differing.push(path);
    differences += result.stdout === "" ? `${path}: ${result.stderr}` : result.stdout;
    const to = join(REVIEW_DIR, archive, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
    cpSync(file, to, { verbatimSymlinks: true });
  }
  rmSync(from, { recursive: true, force: true });
  if (differing.length === 0) return [];
  writeFileSync(join(REVIEW_DIR, archive, "differences.diff"), differences, { mode: 0o600 });
  return [`left as they are here, though archived otherwise: ${differing.join(", ")}; compare with ${join(REVIEW_DIR, archive, "differences.diff")}`];
}
