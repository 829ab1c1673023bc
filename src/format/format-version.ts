/** The version of the stored format that this program writes, and the only one it reads (format §1). */
import { ColdkeepError } from "../errors.ts";

export const FORMAT_VERSION = 1;

/** Throws E_FORMAT when `format` is one this program does not know. */
export function requireFormat(format: number, what: string): void {
  if (format === FORMAT_VERSION) return;
  throw new ColdkeepError("E_FORMAT", `${what} has format version ${format}; this program reads version ${FORMAT_VERSION}`, {
    hint: "Use a coldkeep release that reads it.",
  });
}
