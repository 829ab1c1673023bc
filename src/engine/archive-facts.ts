/** What can be said of one archive: the facts of its manifest for anyone, those of its catalog where an identity opens it. */
import { ColdkeepError, messageOf } from "../errors.ts";
import type { Problem } from "../format/catalog-root.ts";
import type { ManifestHeader } from "../format/manifest.ts";
import type { ObjectKind } from "../format/object-key.ts";
import { regionStates, type ArchiveRegionState } from "./list-archives.ts";
import type { OpenVault } from "./open-vault.ts";

type Amount = { count: number; bytes: number };
type Listed<Item> = { total: number; items: Item[] };

/** Of the run, as its host wrote it down; what has another form than expected is left out. */
export type CatalogFacts = {
  sources: string[];
  segments: number;
  problems: Listed<Problem>;
  skippedMounts: Record<string, string>[];
  notKept: Listed<Record<string, string>>;
  notes: Record<string, string>[];
  counts: Record<string, number>;
};

export type ArchiveFacts = {
  header: ManifestHeader;
  volumes: Amount;
  catalogs: Amount;
  regions: Record<string, ArchiveRegionState>;
  receipt: string;
  catalog: CatalogFacts | null;
  /** Why the catalog is not shown. */
  closed: { isDamaged: boolean; message: string } | null;
};

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Texts of each item of a list. */
function textItems(value: unknown): Record<string, string>[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).map((item) => Object.fromEntries(Object.entries(item).flatMap(([name, text]) => (typeof text === "string" ? [[name, text]] : []))));
}

function numbersOf(value: unknown): Record<string, number> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(Object.entries(value).flatMap(([name, number]) => (typeof number === "number" ? [[name, number]] : [])));
}

function totalOf(value: unknown, items: readonly unknown[]): number {
  return isRecord(value) && typeof value["total"] === "number" ? value["total"] : items.length;
}

async function readCatalogFacts(vault: OpenVault, archive: Awaited<ReturnType<OpenVault["archive"]>>): Promise<CatalogFacts> {
  const { head, segments } = (await vault.catalog(archive.seen, archive.manifest)).root;
  const { run, sources, problems } = head;
  const notKept = run["notKept"];
  const items = textItems(isRecord(notKept) ? notKept["items"] : undefined);
  return {
    sources,
    segments: segments.length,
    problems,
    skippedMounts: textItems(run["skippedMounts"]),
    notKept: { total: totalOf(notKept, items), items },
    notes: textItems(run["notes"]),
    counts: numbersOf(run["counts"]),
  };
}

/** Throws E_NOT_FOUND, E_SIGNER, E_OBJECT; a catalog that does not open is told in `closed`. */
export async function readArchiveFacts(vault: OpenVault, wanted: string | undefined): Promise<ArchiveFacts> {
  const archive = await vault.archive(wanted);
  const { header, sha256, objects } = archive.manifest;
  const amountOf = (wantedKind: ObjectKind): Amount => {
    const sizes = objects.filter(({ kind }) => kind === wantedKind).map(({ sizeBytes }) => sizeBytes);
    return { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  };
  const facts: ArchiveFacts = {
    header,
    volumes: amountOf("volume"),
    catalogs: amountOf("catalog"),
    regions: regionStates(vault, archive.survey, archive.seen),
    receipt: `${header.host} ${header.id} ${header.sequence} ${sha256}`,
    catalog: null,
    closed: null,
  };
  try {
    return { ...facts, catalog: await readCatalogFacts(vault, archive) };
  } catch (error) {
    if (!(error instanceof ColdkeepError) || error.code === "E_INTERRUPTED") throw error;
    return { ...facts, closed: { isDamaged: error.code !== "E_IDENTITY", message: messageOf(error) } };
  }
}
