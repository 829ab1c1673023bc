/** Manifests and checkpoints: a signed header and a list of every object an archive needs (format §5). */
import { z } from "zod";
import { ColdkeepError } from "../errors.ts";
import { idTimeMs, isId } from "./id.ts";
import { isHostLabel, type ObjectKind } from "./object-key.ts";
import { shapeFault } from "./shape-fault.ts";
import { parseStatement } from "./statement.ts";
import { parseJson, VAULT_ID } from "./vault-marker.ts";

export const MANIFEST_HEADER_BYTES_MAX = 4096;
/** Enough for header and signature. */
export const MANIFEST_HEAD_BYTES = 8192;
/** A ceiling far above what a writer makes (8,000 objects are 2 MB). */
export const OBJECT_LIST_BYTES_MAX = 64 * 1024 * 1024;
export const RECIPIENT_SETS_MAX = 8;

const id = z.string().refine(isId, "not an id");
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const time = z.iso.datetime();

const Header = z.object({
  type: z.enum(["manifest", "checkpoint"]),
  format: z.number().int(),
  vault: z.string().regex(VAULT_ID),
  host: z.string().refine(isHostLabel, "not a host label"),
  id,
  writer: z.string().regex(/^[0-9a-f]{32}$/),
  signer: z.string().max(64),
  sequence: count,
  previous: z.object({ id, sha256 }).nullable(),
  startedAt: time,
  finishedAt: time,
  tool: z.string().max(100),
  status: z.enum(["complete", "partial", "unfinished"]),
  root: z.object({ object: id, offset: count, length: count, size: count, sha256 }),
  totals: z.object({ entries: count, sourceBytes: count, storedBytes: count, addedBytes: count }),
  /** What its host found unusual about it (policy/safety.ts). */
  flags: z.array(z.string().regex(/^[a-z]{1,16}$/)).max(8).optional(),
  recipientSets: z.array(z.array(z.string().regex(/^[0-9a-f]{16}$/)).max(32)).max(RECIPIENT_SETS_MAX),
  objects: z.object({ count, size: count.max(OBJECT_LIST_BYTES_MAX), sha256 }),
});

export type ManifestHeader = z.infer<typeof Header>;
export type RootReference = ManifestHeader["root"];

/** One object of an archive's list. */
export type ListedObject = {
  id: string;
  kind: ObjectKind;
  sizeBytes: number;
  sha256: string;
  /** The age header and payload nonce: what a range read checks first. */
  head: { lengthBytes: number; sha256: string };
  /** Index into the header's recipient sets. */
  set: number;
};

/** Line 1, without its line feed. Throws E_FORMAT when it would be too long. */
export function encodeManifestHeader(header: ManifestHeader): Buffer {
  const line = Buffer.from(JSON.stringify(header));
  if (line.length > MANIFEST_HEADER_BYTES_MAX) {
    throw new ColdkeepError("E_FORMAT", `the manifest's header of ${line.length} bytes is over the ${MANIFEST_HEADER_BYTES_MAX} it may have`);
  }
  return line;
}

/** Checks line 1 by itself; who signed it, and for which key it stands, is the caller's to check. Throws E_FORMAT. */
export function parseManifestHeader(line: Buffer, what: string): ManifestHeader {
  const parsed = Header.safeParse(parseStatement(line, `the header of ${what}`));
  if (!parsed.success) throw new ColdkeepError("E_FORMAT", `the header of ${what} is malformed: ${shapeFault(parsed.error)}`);
  const header = parsed.data;
  if (header.sequence !== idTimeMs(header.id)) throw new ColdkeepError("E_FORMAT", `the sequence of ${what} does not fit its id`);
  if ((header.status === "unfinished") !== (header.type === "checkpoint")) {
    throw new ColdkeepError("E_FORMAT", `${what} is a ${header.type} with status "${header.status}"`);
  }
  return header;
}

/** The object list as stored, sorted by id. */
export function encodeObjectList(objects: readonly ListedObject[]): Buffer {
  const sorted = objects.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const lines = sorted.map((o) =>
    JSON.stringify({ id: o.id, kind: o.kind, size: o.sizeBytes, sha256: o.sha256, head: [o.head.lengthBytes, o.head.sha256], set: o.set }),
  );
  return Buffer.from(lines.map((line) => `${line}\n`).join(""));
}

const ListLine = z.object({
  id,
  kind: z.enum(["volume", "catalog"]),
  size: count,
  sha256,
  head: z.tuple([count.max(65536), sha256]),
  set: count,
});

/** Parses an object list whose digest was already compared with the header's. Throws E_FORMAT. */
export function parseObjectList(bytes: Buffer, header: ManifestHeader, what: string): ListedObject[] {
  const objects: ListedObject[] = [];
  let start = 0;
  while (start < bytes.length) {
    const end = bytes.indexOf(10, start);
    if (end < 0) throw new ColdkeepError("E_FORMAT", `the object list of ${what} ends within a line`);
    objects.push(parseListLine(bytes.toString("utf8", start, end), objects.at(-1)?.id ?? "", header, what));
    start = end + 1;
  }
  if (objects.length !== header.objects.count) {
    throw new ColdkeepError("E_FORMAT", `${what} lists ${objects.length} objects and announces ${header.objects.count}`);
  }
  return objects;
}

function parseListLine(text: string, before: string, header: ManifestHeader, what: string): ListedObject {
  const parsed = ListLine.safeParse(parseJson(text, `a line of the object list of ${what}`));
  if (!parsed.success || parsed.data.id <= before || parsed.data.set >= header.recipientSets.length) {
    throw new ColdkeepError("E_FORMAT", `the object list of ${what} is malformed after "${before}"`);
  }
  const line = parsed.data;
  return {
    id: line.id,
    kind: line.kind,
    sizeBytes: line.size,
    sha256: line.sha256,
    head: { lengthBytes: line.head[0], sha256: line.head[1] },
    set: line.set,
  };
}
