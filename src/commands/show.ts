/** `coldkeep show`: one archive at a glance. */
import { readArchiveFacts, type ArchiveFacts, type CatalogFacts } from "../engine/archive-facts.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import { formatDuration, formatLocalTime, formatSize } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { regionsText } from "./list.ts";
import { openSealedVault, openVault } from "./open.ts";
import { canOpen, requireKitAt } from "./passphrase.ts";
import { printable } from "./printable.ts";
import type { ShowOptions } from "./verb-options.ts";

/** Longer lists are cut, and say so. */
const LISTED_MAX = 1000;

export async function run(context: CommandContext, _args: readonly string[], options: ShowOptions): Promise<ExitStatus> {
  const { terminal } = context;
  // The facts of the manifest need no identity.
  const opens = options.kit === undefined || canOpen(context, requireKitAt(context, options.kit), options);
  using vault = await (opens ? openSealedVault(context, options) : openVault(context, options));
  const facts = await readArchiveFacts(vault, options.archive);
  if (terminal.wantsJson) terminal.json(documentOf(facts));
  else terminal.data([...describeHeader(facts), ...(facts.catalog === null ? [] : describeCatalog(facts.catalog)), row("receipt", facts.receipt)].join("\n"));
  if (facts.closed?.isDamaged === true) {
    terminal.warn(`the catalog cannot be read: ${facts.closed.message}`, "Run `coldkeep verify` to see what is damaged, and in which region.");
    return EXIT.failed;
  }
  if (facts.closed !== null) terminal.say(`without the catalog: ${facts.closed.message}`);
  return EXIT.done;
}

function documentOf({ header, volumes, catalogs, regions, receipt, catalog, closed }: ArchiveFacts): Record<string, unknown> {
  const { totals, ...rest } = header;
  return {
    archive: { ...rest, type: undefined, ...totals, volumes, catalogs, regions, receipt },
    catalog: catalog === null ? null : capped(catalog),
    ...(closed !== null && { catalogClosed: closed.message }),
  };
}

function capped(catalog: CatalogFacts): Record<string, unknown> {
  const { problems, skippedMounts, notKept, notes, ...rest } = catalog;
  return {
    ...rest,
    problems: { total: problems.total, items: problems.items.slice(0, LISTED_MAX) },
    skippedMounts: { total: skippedMounts.length, items: skippedMounts.slice(0, LISTED_MAX) },
    notKept: { total: notKept.total, items: notKept.items.slice(0, LISTED_MAX) },
    notes: { total: notes.length, items: notes.slice(0, LISTED_MAX) },
  };
}

function row(name: string, value: string): string {
  return `${name.padEnd(12)}  ${printable(value)}`;
}

function describeHeader({ header, volumes, catalogs, regions }: ArchiveFacts): string[] {
  const startedMs = Date.parse(header.startedAt);
  const finishedMs = Date.parse(header.finishedAt);
  const { totals, previous } = header;
  return [
    row("archive", header.id),
    row("host", header.host),
    row("status", [header.status, ...(header.flags ?? [])].join(", ")),
    row("started", formatLocalTime(startedMs)),
    row("finished", `${formatLocalTime(finishedMs)}, after ${formatDuration(Math.max(0, finishedMs - startedMs))}`),
    row("entries", `${totals.entries}, ${formatSize(totals.sourceBytes)}`),
    row("stored", `${formatSize(totals.storedBytes)} in each region, of which ${formatSize(totals.addedBytes)} by this run`),
    row("objects", `${volumes.count} volumes (${formatSize(volumes.bytes)}), ${catalogs.count} catalog objects (${formatSize(catalogs.bytes)})`),
    row("regions", regionsText(regions)),
    ...header.recipientSets.map((set) => row("recipients", set.join(" "))),
    row("signer", header.signer),
    row("written by", `${header.tool}, instance ${header.writer}`),
    row("follows", previous === null ? "nothing: it begins its chain" : previous.id),
  ];
}

function describeCatalog(catalog: CatalogFacts): string[] {
  const { counts, problems, skippedMounts, notKept, notes } = catalog;
  const files = ["filesNew", "filesChanged", "filesUnchanged"].map((name) => `${counts[name] ?? 0} ${name.slice(5).toLowerCase()}`);
  return [
    ...catalog.sources.map((source) => row("source", source)),
    row("files", files.join(", ")),
    ...rows("problem", problems.total, problems.items.map(({ path, message }) => `${path}: ${message}`)),
    ...rows("skipped", skippedMounts.length, skippedMounts.map(({ path, fsType, reason }) => `${path} (${fsType}): ${reason}`)),
    ...rows("not kept", notKept.total, notKept.items.map(({ path, what }) => `${path}: ${what}`)),
    ...rows("note", notes.length, notes.map(({ path, message }) => `${path} ${message}`)),
  ];
}

function rows(name: string, total: number, values: readonly string[]): string[] {
  const shown = values.slice(0, LISTED_MAX).map((value) => row(name, value));
  return total > shown.length ? [...shown, row(name, `… ${total - shown.length} more`)] : shown;
}
