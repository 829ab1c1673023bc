/** What the operator's records mean for a host's archives (format §6). */
import type { ExpireRecord, HoldRecord, VaultRecord } from "../format/record.ts";

export type Fates = {
  /** By the digest of the manifest's line 1. */
  expired: ReadonlyMap<string, ExpireRecord>;
  /** Holds that nobody released, by archive, oldest first. */
  held: ReadonlyMap<string, readonly HoldRecord[]>;
};

/** An archive as records name it. */
export type NamedArchive = { header: { id: string }; sha256: string };

export function fatesOf(records: readonly VaultRecord[]): Fates {
  const released = new Set(records.flatMap(({ kind, record }) => (kind === "release" ? [`${record.archive} ${record.hold}`] : [])));
  const holds = records.flatMap(({ kind, record }) => (kind === "hold" && !released.has(`${record.archive} ${record.id}`) ? [record] : []));
  const expired = records.flatMap(({ kind, record }) => (kind === "expire" ? [record] : []));
  return { expired: new Map(expired.map((record) => [record.manifest, record])), held: Map.groupBy(holds, ({ archive }) => archive) };
}

/** Whether an archive is to go, whichever regions still hold it. A hold wins over that. */
export function isExpired({ expired, held }: Fates, { header, sha256 }: NamedArchive): boolean {
  return expired.get(sha256)?.archive === header.id && !held.has(header.id);
}

/** Ids of archives that are to go, for manifests of which nothing but the id can be told. */
export function expiredIds({ expired, held }: Fates): Set<string> {
  return new Set([...expired.values()].map(({ archive }) => archive).filter((id) => !held.has(id)));
}

/** Why an archive is held, in one line; null where it is not. */
export function holdReason({ held }: Fates, archive: string): string | null {
  return held.get(archive)?.map(({ reason }) => reason).join("; ") ?? null;
}
