/** `coldkeep backup`: the nightly run. */
import { runBackup, type BackupReport } from "../engine/backup/run.ts";
import { EXIT } from "../errors.ts";
import { formatDuration, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import type { Outcome } from "./outcome.ts";
import { ownConfig } from "./own-config.ts";
import { uncoveredText } from "./profile-text.ts";
import type { BackupOptions } from "./verb-options.ts";

/** Longer lists are cut, and say so. */
const LISTED_MAX = 100;

const ACCEPT_HINT = "Look at `coldkeep diff`. The archive is kept, flagged, and the next one is compared with what was usual before; if it is as it should be, run once with --accept-changes.";

export async function run(context: CommandContext, _args: readonly string[], options: BackupOptions): Promise<Outcome> {
  const { terminal, env, signal } = context;
  const loaded = ownConfig(context, options.config);
  const { dryRun, takeOver, newChain, acceptChanges } = options;
  const report = await runBackup({ loaded, env, dryRun, takeOver, newChain, acceptChanges, inBackground: !terminal.isTerminal, emit: emitTo(terminal), signal });
  if (report.exitStatus === EXIT.failed) terminal.warn("fewer regions than `copies` hold the archive", "Run again when the others answer: they are brought up to date first.");
  for (const flag of report.flags) terminal.warn(`this archive ${flag.message} (${flag.kind})`, ACCEPT_HINT);
  if (terminal.wantsJson) terminal.json(documentOf(report));
  else tell(context, report);
  const { archive, regions, counts, bytesStored, archiveBytes, problemsTotal: problems, exitStatus } = report;
  const { entries, sourceBytes, bytesRead } = counts;
  return { exitStatus, summary: { archive, regions, counts: { entries, sourceBytes, bytesRead, bytesStored, archiveBytes, problems } } };
}

function documentOf(report: BackupReport): Record<string, unknown> {
  const { archive, status, flags, counts, bytesStored, regions, dumps, receipt, durationMs } = report;
  const { problems, problemsTotal, skippedMounts, notKept, notKeptTotal, notes, uncovered } = report;
  return {
    archive,
    status,
    flags,
    ...counts,
    bytesStored,
    regions,
    dumpsTotal: dumps.length,
    dumps: dumps.slice(0, LISTED_MAX),
    receipt,
    durationMs,
    problemsTotal,
    notKeptTotal,
    problems: problems.slice(0, LISTED_MAX),
    skippedMounts: skippedMounts.slice(0, LISTED_MAX),
    notKept: notKept.slice(0, LISTED_MAX),
    notes: notes.slice(0, LISTED_MAX),
    uncoveredTotal: uncovered.length,
    uncovered: uncovered.slice(0, LISTED_MAX),
  };
}

function tell({ terminal }: CommandContext, report: BackupReport): void {
  const { counts } = report;
  for (const mount of report.skippedMounts) terminal.detail(`skipped the mount ${mount.path} (${mount.fsType}): ${mount.reason}`);
  for (const loss of report.notKept) terminal.warn(`${loss.path}: ${loss.what}`);
  for (const note of report.notes) terminal.detail(`${note.path} ${note.message}`);
  const files = `${counts.filesNew} new, ${counts.filesChanged} changed, ${counts.filesUnchanged} unchanged`;
  if (report.archive === null) {
    for (const { path, name } of report.dumps) terminal.say(`would dump ${name} as ${path}`);
    terminal.say(`dry run: ${counts.entries} entries, ${formatSize(counts.sourceBytes)}; files: ${files}`);
    if (report.uncovered.length > 0) for (const line of ["data that no source covers:", ...uncoveredText(report.uncovered)]) terminal.say(line);
    return;
  }
  if (report.uncovered.length > 0) terminal.detail(`${report.uncovered.length} places hold data that no source covers: see \`coldkeep profile\``);
  const regions = Object.entries(report.regions).map(([name, state]) => `${name} ${state}`);
  terminal.status(`archive ${report.archive} ${report.status}: ${counts.entries} entries, ${formatSize(counts.sourceBytes)}; files: ${files}`);
  terminal.status(`read ${formatSize(counts.bytesRead)}, stored ${formatSize(report.bytesStored)} in each region, in ${formatDuration(report.durationMs)}; regions: ${regions.join(", ")}`);
  if (report.problemsTotal > 0) terminal.warn(`${report.problemsTotal} problems: the archive is partial`, "Read the lines above; what is named there is not in the archive.");
}
