/** Which manifests a revoked signer's signature still counts on: the last good one, and what that follows (format §6). */
import type { VaultRecord } from "../format/record.ts";
import type { SeenArchive } from "./latest.ts";

/** Manifest → the one before it, both by the SHA-256 of line 1; null for the first of a chain. */
type Links = ReadonlyMap<string, string | null>;

function linksOf(archives: readonly SeenArchive[], records: readonly VaultRecord[]): Links {
  const links = new Map<string, string | null>();
  // An expired manifest may be gone; its record keeps the chain provable across it.
  for (const { kind, record } of records) if (kind === "expire") links.set(record.manifest, record.previous?.sha256 ?? null);
  for (const { sha256, header } of archives) links.set(sha256, header.previous?.sha256 ?? null);
  return links;
}

/** `last` and every manifest it follows, as far as that can be proven. */
function ancestry(last: string, links: Links): ReadonlySet<string> {
  const found = new Set<string>();
  for (let at = last; at !== "" && !found.has(at); at = links.get(at) ?? "") found.add(at);
  return found;
}

export type Judged<A extends SeenArchive> = { valid: A[]; void: A[] };

/**
 * Sorts verified archives by the `revoke` records among `records`. Where a signer was revoked twice, both count: a record
 * that somebody hides can only make more valid, never less.
 */
export function judgeRevoked<A extends SeenArchive>(archives: readonly A[], records: readonly VaultRecord[]): Judged<A> {
  const links = linksOf(archives, records);
  const limits = records.flatMap(({ kind, record }) => (kind === "revoke" ? [{ signer: record.revoked, good: ancestry(record.last.sha256, links) }] : []));
  const isVoid = ({ signer, sha256 }: SeenArchive): boolean => limits.some((limit) => limit.signer === signer && !limit.good.has(sha256));
  return { valid: archives.filter((archive) => !isVoid(archive)), void: archives.filter(isVoid) };
}

/** Public keys of the signers that records revoke. */
export function revokedSigners(records: readonly VaultRecord[]): Set<string> {
  return new Set(records.flatMap(({ kind, record }) => (kind === "revoke" ? [record.revoked] : [])));
}
