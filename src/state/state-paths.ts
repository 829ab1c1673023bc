/** Folders of a host's state. */
import { join } from "node:path";

export function statePaths(stateDir: string): { catalogs: string; spool: string } {
  return { catalogs: join(stateDir, "catalog"), spool: join(stateDir, "spool") };
}
