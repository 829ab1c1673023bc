/** Records: statements about a host's archives, signed by its operator (format §6). */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseStatement, STATEMENT_FIELDS } from "./statement.ts";

export const RECORD_LINE_BYTES_MAX = 64 * 1024;
/** Line, signature, and their line feeds. */
export const RECORD_BYTES_MAX = RECORD_LINE_BYTES_MAX + 128;

const Head = z.object({
  type: z.literal("record"),
  ...STATEMENT_FIELDS,
  kind: z.string().max(32),
});

const Retire = Head.extend({ kind: z.literal("retire"), reason: z.string().max(1000) });

/** The host makes no more archives; what it made stays. */
export type RetireRecord = z.infer<typeof Retire>;
export type RecordHead = z.infer<typeof Head>;
/** `other` is a kind that this version does not know. */
export type VaultRecord = { kind: "retire"; record: RetireRecord } | { kind: "other"; record: RecordHead };

/** Line 1, without its line feed. */
export function encodeRecord(record: RetireRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

/** Line 1 of a record; who signed it is the caller's to check. Throws E_FORMAT. */
export function parseRecord(line: Buffer, what: string): VaultRecord {
  const value = parseStatement(line, what);
  const head = Head.safeParse(value);
  if (!head.success) throw new ColdkeepError("E_FORMAT", `${what} is malformed: ${shapeFault(head.error)}`);
  if (head.data.kind !== "retire") return { kind: "other", record: head.data };
  const retire = Retire.safeParse(value);
  if (!retire.success) throw new ColdkeepError("E_FORMAT", `${what} is malformed: ${shapeFault(retire.error)}`);
  return { kind: "retire", record: retire.data };
}
