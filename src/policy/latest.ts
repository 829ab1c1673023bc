/** Which archive is the latest, and what is wrong with a chain (format §5.3). */
import type { ManifestHeader } from "../format/manifest.ts";

/** An archive whose manifest verified, and the regions that hold the manifest. */
export type SeenArchive = {
  header: ManifestHeader;
  /** SHA-256 of line 1. */
  sha256: string;
  /** Names of the regions whose listing shows the manifest at its full size. */
  regions: string[];
  /** The whole manifest, unchecked behind its head, where it came along. */
  bytes?: Buffer | undefined;
};

/** Highest sequence first. */
export function newestFirst(archives: readonly SeenArchive[]): SeenArchive[] {
  return archives.toSorted((a, b) => b.header.sequence - a.header.sequence || (a.header.id < b.header.id ? 1 : -1));
}

/** The newest complete archive; without one, the newest partial. */
export function latestArchive(archives: readonly SeenArchive[]): SeenArchive | undefined {
  const sorted = newestFirst(archives);
  return sorted.find((archive) => archive.header.status === "complete") ?? sorted[0];
}

export type ChainFinding = { kind: "gap" | "fork" | "mix" | "rollback"; id: string; message: string };

/** What is known of a host beside the archives themselves: the regions that answered, and the archive its own state remembers as the newest. */
export type ChainView = { regions: readonly string[]; remembered: { id: string; sequence: number } | undefined };

/** Regions at different states, none of which holds all (mix), and an end before what was already seen (rollback). */
export function viewFindings(archives: readonly SeenArchive[], { regions, remembered }: ChainView): ChainFinding[] {
  const findings: ChainFinding[] = [];
  const [newest] = newestFirst(archives);
  const lacking = regions.map((name) => ({ name, count: archives.filter((archive) => !archive.regions.includes(name)).length }));
  if (newest !== undefined && regions.length > 1 && lacking.every(({ count }) => count > 0)) {
    const each = lacking.map(({ name, count }) => `${name} lacks ${count}`).join(", ");
    findings.push({ kind: "mix", id: newest.header.id, message: `mix: no region holds every archive: ${each} of ${archives.length}` });
  }
  if (remembered !== undefined && (newest?.header.sequence ?? -1) < remembered.sequence) {
    findings.push({ kind: "rollback", id: remembered.id, message: `rollback: this host committed archive ${remembered.id}, and no region that answers holds it` });
  }
  return findings;
}

/** Gaps (a previous archive nobody holds) and forks (two archives with one previous) of one host's chain. */
export function chainFindings(archives: readonly SeenArchive[]): ChainFinding[] {
  const findings: ChainFinding[] = [];
  const known = new Set(archives.map((archive) => archive.sha256));
  const children = new Map<string, string>();
  const ordered = newestFirst(archives).reverse();
  for (const { header } of ordered) {
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
