/** Where a reader who is no host keeps what spares questions. */
import { join } from "node:path";

/** By the XDG base directory specification, which has relative values ignored; undefined without a home. */
export function readerCache({ XDG_CACHE_HOME: caches, HOME: home }: Readonly<Record<string, string | undefined>>): string | undefined {
  const base = caches?.startsWith("/") ? caches : home?.startsWith("/") ? join(home, ".cache") : undefined;
  return base && join(base, "coldkeep");
}
