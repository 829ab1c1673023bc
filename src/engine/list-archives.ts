/** Which archives a vault holds, and which regions hold them whole. */
import { idTimeMs } from "../format/id.ts";
import type { ChainFinding, SeenArchive } from "../policy/latest.ts";
import type { Survey } from "./manifests.ts";
import type { OpenVault } from "./open-vault.ts";

/** `behind` stands for anything short of a whole, properly signed manifest. */
export type ArchiveRegionState = "complete" | "behind" | "unreachable";

export type ListedArchive = {
  id: string;
  host: string;
  sequence: number;
  startedAt: string;
  finishedAt: string;
  status: string;
  /** What its host found unusual about it. */
  flags: string[];
  entries: number;
  /** Bytes. */
  sourceBytes: number;
  storedBytes: number;
  regions: Record<string, ArchiveRegionState>;
};

/** What is wrong with a host's chain, or with a manifest in a region. */
export type ArchiveFinding = { kind: ChainFinding["kind"] | "unknown-signer" | "damaged-manifest"; host: string; archive: string; region?: string; message: string };

export type ArchiveList = { archives: ListedArchive[]; findings: ArchiveFinding[] };

/** Region name → state, for one archive of a survey. */
export function regionStates(vault: OpenVault, survey: Survey, archive: SeenArchive): Record<string, ArchiveRegionState> {
  const lost = new Set(survey.lost.map(({ region }) => region));
  const reachable = new Set(vault.reachable.filter((region) => !lost.has(region)).map(({ name }) => name));
  const stateOf = (name: string): ArchiveRegionState => (!reachable.has(name) ? "unreachable" : archive.regions.includes(name) ? "complete" : "behind");
  return Object.fromEntries(vault.regions.map(({ name }) => [name, stateOf(name)]));
}

export function listed(vault: OpenVault, survey: Survey, archive: SeenArchive): ListedArchive {
  const { id, host, sequence, startedAt, finishedAt, status, flags = [], totals } = archive.header;
  const { entries, sourceBytes, storedBytes } = totals;
  return { id, host, sequence, startedAt, finishedAt, status, flags, entries, sourceBytes, storedBytes, regions: regionStates(vault, survey, archive) };
}

function surveyFindings(vault: OpenVault, host: string, survey: Survey): ArchiveFinding[] {
  const faulty = survey.faulty.map(
    ({ id, region, fault }): ArchiveFinding => ({ kind: fault.isUnknownSigner ? "unknown-signer" : "damaged-manifest", host, archive: id, region, message: fault.message }),
  );
  return [...vault.findings(host, survey).map(({ kind, id, message }): ArchiveFinding => ({ kind, host, archive: id, message })), ...faulty];
}

/** The archives of `hosts` over all regions that answer, newest first. Throws StoreError. */
export async function listArchives(vault: OpenVault, hosts: readonly string[]): Promise<ArchiveList> {
  const seen: { archive: SeenArchive; survey: Survey }[] = [];
  const findings: ArchiveFinding[] = [];
  for (const host of hosts) {
    const survey = await vault.survey(host);
    seen.push(...survey.archives.map((archive) => ({ archive, survey })));
    findings.push(...surveyFindings(vault, host, survey));
  }
  findings.sort((a, b) => idTimeMs(b.archive) - idTimeMs(a.archive));
  const listedArchives = seen.map(({ archive, survey }) => listed(vault, survey, archive));
  return { archives: listedArchives.toSorted((a, b) => b.sequence - a.sequence || (a.id < b.id ? 1 : -1)), findings };
}
