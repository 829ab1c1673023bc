/** Which entries a restore of a machine leaves out: what stays as the machine has it, and what its packages brought. */
import { compileExcludes } from "../../policy/exclude.ts";
import { packagedFiles } from "../../machine/packaged-files.ts";
import type { LeaveOut } from "./messages.ts";

/** Paths are byte text. A directory that a package brought is still restored: other things lie in it. */
export function leftOut({ patterns, packaged }: LeaveOut): (path: string) => boolean {
  const excluded = compileExcludes(patterns, "/");
  const files = packaged ? packagedFiles() : new Set<string>();
  return (path) => files.has(path) || excluded(path, false).excluded;
}
