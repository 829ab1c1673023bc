/** The note by which a host publishes the single executable: signed, it names the object by its digest (format §12). */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseStatement, STATEMENT_FIELDS } from "./statement.ts";

export const PROGRAM_NOTE_LINE_BYTES_MAX = 4096;
/** Both lines. */
export const PROGRAM_NOTE_BYTES_MAX = PROGRAM_NOTE_LINE_BYTES_MAX + 128;

/** What `--version` of a release prints. */
export const PROGRAM_VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]{1,40})?$/;

// recover.sh takes the values out with sed, which their forms here allow for.
const Note = z.object({
  type: z.literal("program"),
  ...STATEMENT_FIELDS,
  version: z.string().regex(PROGRAM_VERSION),
  platform: z.string().regex(/^[a-z0-9]+-[a-z0-9]+$/),
  size: z.number().int().positive().max(Number.MAX_SAFE_INTEGER),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type ProgramNote = z.infer<typeof Note>;

/** Line 1, without its line feed. */
export function encodeProgramNote(note: ProgramNote): Buffer {
  return Buffer.from(JSON.stringify(note));
}

/** Parses line 1. Throws E_FORMAT. */
export function parseProgramNote(line: Buffer, what: string): ProgramNote {
  const parsed = Note.safeParse(parseStatement(line, what));
  if (!parsed.success) throw new ColdkeepError("E_FORMAT", `${what} is malformed: ${shapeFault(parsed.error)}`);
  return parsed.data;
}
