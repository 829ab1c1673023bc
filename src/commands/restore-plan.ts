/** What a restore would read and thaw, as text and as a document. */
import type { RestorePreview } from "../engine/restore/preview.ts";
import { formatSize } from "../units.ts";
import type { Terminal } from "./terminal-port.ts";

/** Longer lists are cut, and say so. */
const LISTED_MAX = 1000;

function document({ blocked, ...rest }: RestorePreview): Record<string, unknown> {
  return { ...rest, blocked: blocked.map(({ ids, ...each }) => ({ ...each, idsTotal: ids.length, ids: ids.slice(0, LISTED_MAX) })) };
}

export function showPlan(terminal: Terminal, preview: RestorePreview): void {
  if (terminal.wantsJson) return terminal.json(document(preview));
  const { archive, host, entries, bytes, needed, regions, blocked } = preview;
  terminal.data(`archive ${archive} of ${host}: ${entries} entries, ${formatSize(bytes)}, out of ${needed.volumes} volumes (${formatSize(needed.bytes)})`);
  for (const { region, frozen, thawing } of regions) {
    const under = thawing.volumes === 0 ? "" : `, ${thawing.volumes} (${formatSize(thawing.bytes)}) being thawed`;
    terminal.data(`region "${region}": ${frozen.volumes} of them (${formatSize(frozen.bytes)}) frozen${under}`);
  }
  for (const { region, volumes, bytes: size } of blocked) terminal.data(`to be thawed in region "${region}", as no region has them readable: ${volumes} volumes (${formatSize(size)})`);
  if (blocked.length === 0) terminal.data("nothing has to be thawed");
}
