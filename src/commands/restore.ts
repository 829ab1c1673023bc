/** `coldkeep restore`: files back from an archive, on any machine. */
import { resolve } from "node:path";
import { runRestore, type RestoreReport } from "../engine/restore/run.ts";
import { previewRestore } from "../engine/restore/preview.ts";
import { EXIT } from "../errors.ts";
import { formatDuration, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { openSealedVault } from "./open.ts";
import type { Outcome } from "./outcome.ts";
import { warnOfPassedOver } from "./passed-over.ts";
import { printable } from "./printable.ts";
import { showPlan } from "./restore-plan.ts";
import type { RestoreOptions } from "./verb-options.ts";

const LISTED_MAX = 1000;
const SHOWN_MAX = 20;

/** `/etc/` and `/etc` mean the same; relative paths are no entry paths and are refused later. */
function entryPath(given: string): string {
  return given.length > 1 ? given.replace(/\/+$/, "") : given;
}

export async function run(context: CommandContext, args: readonly string[], options: RestoreOptions): Promise<Outcome> {
  if (options.machine) return (await import("./restore-machine.ts")).runMachine(context, options);
  const { terminal, signal } = context;
  using vault = await openSealedVault(context, options);
  const asked = { vault, archive: options.archive, paths: args.map(entryPath), emit: emitTo(terminal), signal };
  if (options.plan || options.to === undefined) {
    const preview = await previewRestore(asked);
    showPlan(terminal, preview);
    return { exitStatus: EXIT.done, summary: { archive: preview.archive, regions: {}, counts: { entries: preview.entries } } };
  }
  const report = await runRestore({
    ...asked,
    target: resolve(context.cwd, options.to),
    merge: options.merge,
    numericOwner: options.numericOwner,
    thaw: options.thaw === undefined ? null : { tier: options.thaw, wait: options.wait },
  });
  if (terminal.wantsJson) terminal.json(documentOf(report));
  else tell(context, report);
  const { exitStatus, archive, entries, bytes, bytesWritten, lost } = report;
  return { exitStatus, summary: { archive, regions: {}, counts: { entries, sourceBytes: bytes, bytesStored: bytesWritten, problems: lost.length } } };
}

function documentOf({ exitStatus: _, lost, damaged, ...rest }: RestoreReport): Record<string, unknown> {
  return {
    ...rest,
    lostTotal: lost.length,
    // Never cut: whoever has to find these files elsewhere needs to know them all.
    lost: lost.map((path) => path.toWellFormed()),
    damagedTotal: damaged.length,
    damaged: damaged.slice(0, LISTED_MAX),
  };
}

function tell({ terminal }: CommandContext, report: RestoreReport): void {
  warnOfPassedOver(terminal, report.passedOver);
  for (const path of report.lost.slice(0, SHOWN_MAX)) terminal.warn(`${printable(path)} is lost: no region has its bytes right`);
  if (report.lost.length > SHOWN_MAX) terminal.warn(`${report.lost.length - SHOWN_MAX} more files are lost`, "Run the same command with --merge --json for the whole list.");
  for (const { what, count, examples } of report.notKept) {
    terminal.warn(`not given back: ${what} of ${count} ${count === 1 ? "entry" : "entries"}, like ${examples.slice(0, 3).join(", ")}`);
  }
  const proven = report.bytes - report.bytesWritten;
  const lost = report.lost.length === 0 ? "" : `, but for ${report.lost.length} files`;
  terminal.say(`restored ${report.entries - report.lost.length} entries of archive ${report.archive} of ${report.host}, ${formatSize(report.bytes)}, in ${formatDuration(report.durationMs)}${lost}`);
  if (report.resumed) terminal.say(`went on with an earlier restore: ${formatSize(Math.max(0, proven))} were there already`);
  if (report.damaged.length > 0) terminal.say(`${report.damaged.length} objects were bad or missing in a region; run \`coldkeep repair\``);
}
