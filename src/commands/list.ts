/** `coldkeep list`: which archives there are, and where. */
import { listArchives, type ListedArchive } from "../engine/list-archives.ts";
import { ID_TIME_LENGTH } from "../format/id.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import { formatLocalTime, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { openVault } from "./open.ts";
import { table } from "./table.ts";
import type { ListOptions } from "./verb-options.ts";

/** Longer lists are cut in JSON, and say so. */
const LISTED_MAX = 1000;

export async function run(context: CommandContext, _args: readonly string[], options: ListOptions): Promise<ExitStatus> {
  const { terminal } = context;
  using vault = await openVault(context, options);
  const usesKit = options.kit !== undefined || options.signer.length > 0;
  const isOneHost = options.host !== undefined || !usesKit || vault.hosts().length === 0;
  const { archives, expired, findings } = await listArchives(vault, isOneHost ? [vault.host()] : vault.hosts());
  if (terminal.wantsJson) {
    terminal.json({ total: archives.length, archives: archives.slice(0, LISTED_MAX), expiredTotal: expired.length, expired: expired.slice(0, LISTED_MAX), findingsTotal: findings.length, findings: findings.slice(0, LISTED_MAX) });
  } else if (archives.length + expired.length === 0) terminal.say("there is no archive yet");
  else terminal.data(tableOf([...archives.map(shown), ...expired.map((archive) => ({ ...archive, words: ["expired"] }))], terminal.columns).join("\n"));
  return EXIT.done;
}

type ShownArchive = ListedArchive & { /** What its status column says. */ words: string[] };

function shown(archive: ListedArchive): ShownArchive {
  return { ...archive, words: [archive.status, ...archive.flags, ...(archive.held === null ? [] : ["held"])] };
}

function tableOf(archives: readonly ShownArchive[], width: number | undefined): string[] {
  const severalHosts = new Set(archives.map(({ host }) => host)).size > 1;
  const columns = [
    { title: "TIME", of: (archive: ListedArchive) => formatLocalTime(Date.parse(archive.finishedAt)) },
    ...(severalHosts ? [{ title: "HOST", of: (archive: ListedArchive) => archive.host }] : []),
    { title: "ARCHIVE", of: (archive: ListedArchive) => archive.id, narrow: (archive: ListedArchive) => archive.id.slice(0, ID_TIME_LENGTH) },
    { title: "STATUS", of: ({ words }: ShownArchive) => words.join(", ") },
    { title: "ENTRIES", right: true, narrow: "leave out" as const, of: (archive: ListedArchive) => String(archive.entries) },
    { title: "SIZE", right: true, narrow: "leave out" as const, of: (archive: ListedArchive) => formatSize(archive.sourceBytes) },
    { title: "STORED", right: true, of: (archive: ListedArchive) => formatSize(archive.storedBytes) },
    { title: "REGIONS", of: (archive: ListedArchive) => regionsText(archive.regions) },
  ];
  return table(archives, columns, width);
}

/** `north, usb (behind)` */
export function regionsText(regions: ListedArchive["regions"]): string {
  return Object.entries(regions)
    .map(([name, state]) => (state === "complete" ? name : `${name} (${state})`))
    .join(", ");
}
