/** Records: statements about a host's archives, signed by its operator (format §6). */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { isId } from "./id.ts";
import { isSignerKey } from "./kit.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseStatement, STATEMENT_FIELDS } from "./statement.ts";

export const RECORD_LINE_BYTES_MAX = 64 * 1024;
/** Line, signature, and their line feeds. */
export const RECORD_BYTES_MAX = RECORD_LINE_BYTES_MAX + 128;
/** So many ids fit into a line with room to spare. */
export const LOST_OBJECTS_MAX = 1000;

const id = z.string().refine(isId, "not an id");
const reason = z.string().max(1000);
/** A manifest by its id and the SHA-256 of its line 1. */
const link = z.object({ id, sha256: z.string().regex(/^[0-9a-f]{64}$/) });

const Head = z.object({
  type: z.literal("record"),
  ...STATEMENT_FIELDS,
  kind: z.string().max(32),
});

/** The archive is to go; `previous` is its manifest's, so that the chain stays provable across it. */
const Expire = Head.extend({ kind: z.literal("expire"), archive: id, manifest: link.shape.sha256, previous: link.nullable(), reason });
/** The archive stays, whatever the rule says, until this hold is released. */
const Hold = Head.extend({ kind: z.literal("hold"), archive: id, reason });
/** `hold` is the id of the record it ends. */
const Release = Head.extend({ kind: z.literal("release"), archive: id, hold: id, reason });
/** Objects that no region holds intact: nothing new may rely on them. */
const Lost = Head.extend({ kind: z.literal("lost"), objects: z.array(id).min(1).max(LOST_OBJECTS_MAX) });
/** A signer that somebody else may have: what it signed counts only up to `last`, its last good manifest, and what that follows. */
const Revoke = Head.extend({ kind: z.literal("revoke"), revoked: z.string().refine(isSignerKey, "not a signer's public key"), last: link, reason });
/** The host makes no more archives; what it made stays. */
const Retire = Head.extend({ kind: z.literal("retire"), reason });

/** What of the archive was proven to come back: that a kit opens it, its files, databases, or services. */
const Drill = Head.extend({ kind: z.literal("drill"), archive: id, depth: z.enum(["kit", "files", "databases", "services"]), result: z.enum(["passed", "failed"]), report: z.string().max(16_000) });

type Kinds = {
  expire: z.infer<typeof Expire>;
  hold: z.infer<typeof Hold>;
  release: z.infer<typeof Release>;
  lost: z.infer<typeof Lost>;
  retire: z.infer<typeof Retire>;
  drill: z.infer<typeof Drill>;
  revoke: z.infer<typeof Revoke>;
};

/** Any record this version writes. */
export type KnownRecord = Kinds[keyof Kinds];
export type ExpireRecord = Kinds["expire"];
export type HoldRecord = Kinds["hold"];
export type ReleaseRecord = Kinds["release"];
export type LostRecord = Kinds["lost"];
export type RetireRecord = Kinds["retire"];
export type RevokeRecord = Kinds["revoke"];
export type DrillRecord = Kinds["drill"];
export type RecordHead = z.infer<typeof Head>;
/** `other` is a kind that this version does not know: whoever deletes refuses to while there is one. */
export type VaultRecord = { [K in keyof Kinds]: { kind: K; record: Kinds[K] } }[keyof Kinds] | { kind: "other"; record: RecordHead };

/** Line 1, without its line feed. Throws E_FORMAT when it would be too long. */
export function encodeRecord(record: KnownRecord): Buffer {
  const line = Buffer.from(JSON.stringify(record));
  if (line.length > RECORD_LINE_BYTES_MAX) throw new ColdkeepError("E_FORMAT", `a record of ${line.length} bytes is over the ${RECORD_LINE_BYTES_MAX} it may have`);
  return line;
}

/** Line 1 of a record; who signed it is the caller's to check. Throws E_FORMAT. */
export function parseRecord(line: Buffer, what: string): VaultRecord {
  const value = parseStatement(line, what);
  const head = parseAs(Head, value, what);
  switch (head.kind) {
    case "expire":
      return { kind: "expire", record: parseAs(Expire, value, what) };
    case "hold":
      return { kind: "hold", record: parseAs(Hold, value, what) };
    case "release":
      return { kind: "release", record: parseAs(Release, value, what) };
    case "lost":
      return { kind: "lost", record: parseAs(Lost, value, what) };
    case "retire":
      return { kind: "retire", record: parseAs(Retire, value, what) };
    case "revoke":
      return { kind: "revoke", record: parseAs(Revoke, value, what) };
    case "drill":
      return { kind: "drill", record: parseAs(Drill, value, what) };
    default:
      return { kind: "other", record: head };
  }
}

function parseAs<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new ColdkeepError("E_FORMAT", `${what} is malformed: ${shapeFault(parsed.error)}`);
  return parsed.data;
}
