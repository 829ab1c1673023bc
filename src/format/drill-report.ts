/** What a drill says of itself: the note in the folder it works in, and the report in its record (format §6). */
import { z } from "zod";

/** How much a drill restores: files alone, databases loaded too, or the whole machine with its services and health checks. */
export const DRILL_DEPTHS = ["files", "databases", "services"] as const;
export type DrillDepth = (typeof DRILL_DEPTHS)[number];

/** Who works in a folder: a process by its number, when it began (clock ticks after boot), and the boot that both belong to. */
const FolderNote = z.object({ coldkeepDrill: z.literal(1), pid: z.int().positive(), began: z.string(), boot: z.string() });

export type DrillFolderNote = z.infer<typeof FolderNote>;

/** Throws for anything else. */
export function parseFolderNote(text: string): DrillFolderNote {
  return FolderNote.parse(JSON.parse(text));
}

const count = z.number().int().nonnegative();

const Facts = z.object({
  /** In their order, with the seconds each took. */
  stages: z.array(z.object({ name: z.string(), seconds: z.number().nonnegative() })),
  /** From the begin of fetching to the last health check, or to the last database where no services were started; null where that was not measured. */
  rtoMs: count.nullable(),
  /** How old the archive was, ms. */
  ageMs: z.number(),
  entries: count,
  bytes: count,
  /** What went wrong; of a long list the first. */
  why: z.array(z.string()),
  /** What was found after cleaning up. */
  cleanUp: z.object({ processesLeft: count, mountsLeft: count, folderLeft: z.boolean() }),
});

/** The report of a drill's record, where this version understands it. */
export type DrillFacts = z.infer<typeof Facts>;

/** Null for a report of another form, as of a checked kit, which has none. */
export function readDrillFacts(report: string): DrillFacts | null {
  return readDocument(Facts, report);
}

const Lines = z.array(z.string()).default([]);
const Plan = z.object({ packages: z.object({ install: z.array(z.object({ name: z.string(), version: z.string().nullable() })) }).nullable() });
const Rebuild = z.object({ steps: z.array(z.object({ step: z.string(), ms: z.number(), notes: Lines, lacks: Lines })), rtoMs: z.number().nullable(), rtoObjectiveMs: z.number().nullable() });

/** What a rebuild inside of a drill said. */
export type InnerRebuild = z.infer<typeof Rebuild>;

function readDocument<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** The document of `restore --machine --plan --json`; null for any other. */
export function readInnerPlan(text: string): z.infer<typeof Plan> | null {
  return readDocument(Plan, text);
}

/** The document of `restore --machine --json`; null for any other. */
export function readInnerRebuild(text: string): InnerRebuild | null {
  return readDocument(Rebuild, text);
}
