/** What is usual for a host's archives: kept in the catalog root's facts of the run, from archive to archive (format §8.1). */
import { z } from "zod";

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

const Usual = z.object({
  sizes: z.array(z.object({ entries: count, sourceBytes: count })).max(16),
  sources: z.array(z.object({ path: z.string(), entries: count })),
});

/** `sizes` of the last archives that were not flagged, oldest first; `sources` as they last held anything. */
export type Usual = z.infer<typeof Usual>;
export type SourceEntries = Usual["sources"][number];

/** From the facts of a run; null where an archive keeps none, or nothing that can be read. */
export function usualOf(run: Readonly<Record<string, unknown>>): Usual | null {
  const parsed = Usual.safeParse(run["usual"]);
  return parsed.success ? parsed.data : null;
}
