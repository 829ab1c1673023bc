/** What a restore would read and thaw: looked up, and nothing written. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Emit } from "../events.ts";
import type { FoundArchive, OpenVault } from "../open-vault.ts";
import { bytesOf, findCold } from "./cold.ts";
import { RestoreJournal } from "./journal.ts";
import type { LeaveOut } from "./messages.ts";
import { planRestore } from "./plan.ts";
import { neededVolumes } from "./run.ts";

export type PreviewOrder = { vault: OpenVault; archive: string | undefined | FoundArchive; paths: string[]; leaveOut?: LeaveOut; emit: Emit; signal: AbortSignal };

/** Whole volumes: what a store thaws. A restore reads parts of them. */
type Volumes = { volumes: number; bytes: number };

export type RestorePreview = {
  archive: string;
  host: string;
  entries: number;
  files: number;
  /** Length of the files. */
  bytes: number;
  needed: Volumes;
  regions: { region: string; frozen: Volumes; thawing: Volumes }[];
  /** Readable in no region: what --thaw would ask for, or has asked for. */
  blocked: (Volumes & { region: string; ids: string[] })[];
};

/** Throws E_NOT_FOUND, E_IDENTITY, E_FORMAT, E_DISK, StoreError, E_INTERRUPTED. */
export async function previewRestore({ vault, archive, paths, leaveOut, emit, signal }: PreviewOrder): Promise<RestorePreview> {
  emit({ kind: "progress", text: "reading the catalog" });
  const { seen, manifest } = typeof archive === "object" ? archive : await vault.archive(archive);
  const { id, host } = seen.header;
  const catalog = await vault.catalog(seen, manifest);
  const segments = catalog.segmentsFor(paths);
  await catalog.fetch(segments);
  const scratch = mkdtempSync(join(tmpdir(), "coldkeep-plan-"));
  try {
    const journal = RestoreJournal.open(scratch, { vault: vault.trust.vault, host, archive: id, paths });
    const { plan, objects } = await planRestore({ catalog, manifest, catalogDir: vault.cache.directory, segments, paths, leaveOut, journal, signal });
    const needed = neededVolumes(plan, objects, new Set());
    const { regions, blocked } = await findCold(vault.reachable, host, needed, emit, signal);
    const inRegion = Map.groupBy(blocked, ({ region }) => region.name);
    return {
      archive: id,
      host,
      entries: plan.entries,
      files: plan.files,
      bytes: plan.bytes,
      needed: sumOf(needed.map((object) => ({ object }))),
      regions: regions.map(({ region, volumes }) => ({ region: region.name, frozen: sumOf(volumes.filter(({ access }) => access === "frozen")), thawing: sumOf(volumes.filter(({ access }) => access === "thawing")) })),
      blocked: [...inRegion].map(([region, volumes]) => ({ region, ...sumOf(volumes), ids: volumes.map(({ object }) => object.id) })),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function sumOf(volumes: Parameters<typeof bytesOf>[0]): Volumes {
  return { volumes: volumes.length, bytes: bytesOf(volumes) };
}
