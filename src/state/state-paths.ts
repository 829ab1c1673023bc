/** Folders of a host's state, and of what readers elsewhere keep between two runs. */
import { join } from "node:path";

export function statePaths(stateDir: string): { catalogs: string; spool: string } {
  return { catalogs: join(stateDir, "catalog"), spool: join(stateDir, "spool") };
}

/** Where a reader who is no host keeps what spares questions (XDG base directory specification: relative values are ignored); undefined without a home. */
export function readerCache({ XDG_CACHE_HOME: caches, HOME: home }: Readonly<Record<string, string | undefined>>): string | undefined {
  const base = caches?.startsWith("/") ? caches : home?.startsWith("/") ? join(home, ".cache") : undefined;
  return base && join(base, "coldkeep");
}
