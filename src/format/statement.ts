/** What signed statements of one line have in common, whoever makes them: records and program notes (format §4). */
import { z } from "zod";
import { isId } from "./id.ts";
import { isHostLabel } from "./object-key.ts";
import { requireFormat } from "./format-version.ts";
import { parseJson, VAULT_ID } from "./vault-marker.ts";

/** Fields that each has beside those of its own. */
export const STATEMENT_FIELDS = {
  format: z.number().int(),
  vault: z.string().regex(VAULT_ID),
  host: z.string().refine(isHostLabel, "not a host label"),
  id: z.string().refine(isId, "not an id"),
  signer: z.string().max(64),
  at: z.iso.datetime(),
};

/** The value on line 1, of a format this version knows. Throws E_FORMAT. */
export function parseStatement(line: Buffer, what: string): unknown {
  const value = parseJson(line, what);
  if (typeof value === "object" && value !== null && "format" in value && typeof value.format === "number") requireFormat(value.format, what);
  return value;
}
