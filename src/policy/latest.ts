/** Which archive is the latest, and what is wrong with a chain (format §5.3). */
import { idTimeMs } from "../format/id.ts";
import type { ManifestHeader } from "../format/manifest.ts";
import type { Fates } from "./fates.ts";

/** An archive whose manifest verified, and the regions that hold the manifest. */
export type SeenArchive = {
  header: ManifestHeader;
  /** SHA-256 of line 1. */
  sha256: string;
  /** The pinned key that signed it, `ed25519:…`. */
  signer: string;
  /** Names of the regions whose listing shows the manifest at its full size. */
  regions: string[];
  /** The whole manifest, unchecked behind its head, where it came along. */
  bytes?: Buffer | undefined;
};

/** Highest sequence first. */
export function newestFirst<Link extends ChainLink>(archives: readonly Link[]): Link[] {
  return archives.toSorted((a, b) => b.header.sequence - a.header.sequence || (a.header.id < b.header.id ? 1 : -1));
}

/** The newest complete archive; without one, the newest partial. */
export function latestArchive(archives: readonly SeenArchive[]): SeenArchive | undefined {
  const sorted = newestFirst(archives);
  return sorted.find((archive) => archive.header.status === "complete") ?? sorted[0];
}

export type ChainFinding = { kind: "gap" | "fork" | "mix" | "rollback"; id: string; message: string };

/** What is known of a host beside its chain: the regions that answered, and the archive its own state remembers as the newest. */
export type ChainView = { regions: readonly string[]; remembered: { id: string; sequence: number } | undefined };

/** Regions at different states, none of which holds all that live (mix), and a chain that ends before what was already seen (rollback). */
export function viewFindings(archives: readonly SeenArchive[], chain: readonly ChainLink[], { regions, remembered }: ChainView): ChainFinding[] {
  const findings: ChainFinding[] = [];
  const [newest] = newestFirst(archives);
  const lacking = regions.map((name) => ({ name, count: archives.filter((archive) => !archive.regions.includes(name)).length }));
  if (newest !== undefined && regions.length > 1 && lacking.every(({ count }) => count > 0)) {
    const each = lacking.map(({ name, count }) => `${name} lacks ${count}`).join(", ");
    findings.push({ kind: "mix", id: newest.header.id, message: `mix: no region holds every archive: ${each} of ${archives.length}` });
  }
  if (remembered !== undefined && chain.every(({ header }) => header.sequence < remembered.sequence)) {
    findings.push({ kind: "rollback", id: remembered.id, message: `rollback: this host committed archive ${remembered.id}, and no region that answers holds it` });
  }
  return findings;
}

/** What a chain is made of: archives, and what records keep of those that have expired. */
export type ChainLink = { header: Pick<ManifestHeader, "id" | "sequence" | "previous">; sha256: string };

/** The links that the records of expired archives keep. */
export function expiredLinks({ expired }: Fates): ChainLink[] {
  return [...expired.values()].map(({ archive, manifest, previous }) => ({ header: { id: archive, sequence: idTimeMs(archive), previous }, sha256: manifest }));
}

/** Gaps (a previous archive nobody holds) and forks (two archives with one previous) of one host's chain. */
export function chainFindings(archives: readonly ChainLink[]): ChainFinding[] {
  const findings: ChainFinding[] = [];
  const links = new Map(archives.map((link) => [link.sha256, link]));
  const known = new Set(links.keys());
  const children = new Map<string, string>();
  for (const { header } of newestFirst([...links.values()]).toReversed()) {
    const parent = header.previous;
    const key = parent?.sha256 ?? "none";
    const sibling = children.get(key);
    if (sibling !== undefined) {
      findings.push({ kind: "fork", id: header.id, message: `fork: ${header.id} and ${sibling} both follow ${parent?.id ?? "nothing"}` });
    }
    children.set(key, header.id);
    if (parent !== null && !known.has(parent.sha256)) {
      findings.push({ kind: "gap", id: header.id, message: `gap: ${header.id} follows ${parent.id}, which no region holds` });
    }
  }
  return findings;
}
