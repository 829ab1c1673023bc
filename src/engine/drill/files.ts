/** A drill of files: the restore of everything that `coldkeep restore` would make, into a folder that goes again. */
import { join } from "node:path";
import type { LoadedConfig } from "../../config/load.ts";
import type { Emit } from "../events.ts";
import type { FoundArchive, OpenVault } from "../open-vault.ts";
import { type RestoreReport, runRestore } from "../restore.ts";
import { type Compared, compareLive } from "./compare-live.ts";
import { DrillFault } from "./fault.ts";
import type { Stages } from "./stages.ts";

const NAMED_MAX = 10;

export type FilesOrder = {
  vault: OpenVault;
  found: FoundArchive;
  folder: string;
  /** The configuration of the host that is drilled, where this is its machine. */
  own: LoadedConfig | null;
  stages: Stages;
  emit: Emit;
  signal: AbortSignal;
};

export type FilesDrilled = { entries: number; bytes: number; /** What this machine could not give back, like owners for who is not root. */ notKept: string[]; damaged: string[]; compared: Compared | null };

/** Throws DrillFault when a file is lost, and as `runRestore`. */
export async function drillFiles({ vault, found, folder, own, stages, emit, signal }: FilesOrder): Promise<FilesDrilled> {
  const target = join(folder, "files");
  const report = await stages.run("restore", () => runRestore({ vault, archive: found, paths: [], target, merge: false, numericOwner: true, thaw: null, emit, signal }));
  requireWhole(report);
  const compared = own === null ? null : await stages.run("compare", async () => compareLive(target, signal));
  return { entries: report.entries, bytes: report.bytes, notKept: report.notKept.map(({ what, count }) => `${what} of ${count} entries`), damaged: report.damaged, compared };
}

function requireWhole({ lost }: RestoreReport): void {
  if (lost.length === 0) return;
  const named = lost.slice(0, NAMED_MAX).map((path) => `${path.toWellFormed()} is lost: no region has its bytes right`);
  throw new DrillFault([...named, ...(lost.length > NAMED_MAX ? [`${lost.length - NAMED_MAX} more files are lost`] : [])]);
}
