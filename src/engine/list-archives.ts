/** Which archives a vault holds, and which regions hold them whole. */
import { idTimeMs } from "../format/id.ts";
import { type Fates, holdReason } from "../policy/fates.ts";
import type { ChainFinding, SeenArchive } from "../policy/latest.ts";
import type { LivingSurvey } from "./living.ts";
import type { Survey } from "./survey.ts";
import type { OpenVault } from "./open-vault.ts";
import { type ManifestFault, RevokedFault } from "./trust.ts";

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
  /** Why it is held; null where it is not. */
  held: string | null;
};

/** What is wrong with a host's chain, or with a manifest in a region. */
export type ArchiveFinding = { kind: ChainFinding["kind"] | "unknown-signer" | "revoked-signer" | "damaged-manifest"; host: string; archive: string; region?: string; message: string };

/** `expired`: what records end, and a region still holds; no restore takes it. */
export type ArchiveList = { archives: ListedArchive[]; expired: ListedArchive[]; findings: ArchiveFinding[] };

/** Region name → state, for one archive of a survey. */
export function regionStates(vault: OpenVault, survey: Survey, archive: SeenArchive): Record<string, ArchiveRegionState> {
  const lost = new Set(survey.lost.map(({ region }) => region));
  const reachable = new Set(vault.reachable.filter((region) => !lost.has(region)).map(({ name }) => name));
  const stateOf = (name: string): ArchiveRegionState => (!reachable.has(name) ? "unreachable" : archive.regions.includes(name) ? "complete" : "behind");
  return Object.fromEntries(vault.regions.map(({ name }) => [name, stateOf(name)]));
}

export function listed(vault: OpenVault, survey: Survey & { fates?: Fates }, archive: SeenArchive): ListedArchive {
  const { id, host, sequence, startedAt, finishedAt, status, flags = [], totals } = archive.header;
  const { entries, sourceBytes, storedBytes } = totals;
  return { id, host, sequence, startedAt, finishedAt, status, flags, entries, sourceBytes, storedBytes, regions: regionStates(vault, survey, archive), held: survey.fates === undefined ? null : holdReason(survey.fates, id) };
}

function surveyFindings(vault: OpenVault, host: string, survey: LivingSurvey): ArchiveFinding[] {
  const kindOf = (fault: ManifestFault): ArchiveFinding["kind"] => (fault instanceof RevokedFault ? "revoked-signer" : fault.isUnknownSigner ? "unknown-signer" : "damaged-manifest");
  const faulty = survey.faulty.map(
    ({ id, region, fault }): ArchiveFinding => ({ kind: kindOf(fault), host, archive: id, region, message: fault.message }),
  );
  return [...vault.findings(host, survey).map(({ kind, id, message }): ArchiveFinding => ({ kind, host, archive: id, message })), ...faulty];
}

/** The archives of `hosts` over all regions that answer, newest first. Throws StoreError. */
export async function listArchives(vault: OpenVault, hosts: readonly string[]): Promise<ArchiveList> {
  const archives: ListedArchive[] = [];
  const expired: ListedArchive[] = [];
  const findings: ArchiveFinding[] = [];
  for (const host of hosts) {
    const survey = await vault.survey(host);
    archives.push(...survey.archives.map((archive) => listed(vault, survey, archive)));
    expired.push(...survey.expired.map((archive) => listed(vault, survey, archive)));
    findings.push(...surveyFindings(vault, host, survey));
  }
  findings.sort((a, b) => idTimeMs(b.archive) - idTimeMs(a.archive));
  const byTime = (a: ListedArchive, b: ListedArchive): number => b.sequence - a.sequence || (a.id < b.id ? 1 : -1);
  return { archives: archives.toSorted(byTime), expired: expired.toSorted(byTime), findings };
}
