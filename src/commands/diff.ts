/** `coldkeep diff`: what changed from one archive to another. */
import { diffCatalogs, type Difference } from "../engine/diff.ts";
import { loadManifest } from "../engine/manifests.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { pathField } from "./entry-text.ts";
import { LinePrinter } from "./line-printer.ts";
import { openSealedVault } from "./open.ts";
import { printable } from "./printable.ts";
import type { DiffOptions } from "./verb-options.ts";

/** Longer lists are cut in JSON, and say so. */
const LISTED_MAX = 10_000;

function lineOf(difference: Difference): string {
  const path = printable(difference.path);
  switch (difference.change) {
    case "added":
      return `+ ${path}`;
    case "removed":
      return `- ${path}`;
    case "changed":
      return `M ${path} (${difference.what.join(", ")})`;
  }
}

export async function run(context: CommandContext, _args: readonly string[], options: DiffOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  using vault = await openSealedVault(context, options);
  const survey = await vault.survey(vault.host());
  const [from, to] = [vault.choose(survey, options.archive), vault.choose(survey, options.with)];
  const open = async (seen: typeof from) => vault.catalog(seen, await loadManifest(vault.reachable, seen, vault.trust));
  const [before, after] = [await open(from), await open(to)];
  const totals = { added: 0, removed: 0, changed: 0 };
  const listed: Record<string, unknown>[] = [];
  const printer = new LinePrinter(terminal);
  let total = 0;
  for await (const difference of diffCatalogs(before, after)) {
    if (++total % 1000 === 0) signal.throwIfAborted();
    totals[difference.change]++;
    if (!terminal.wantsJson) printer.print(lineOf(difference));
    else if (listed.length < LISTED_MAX) listed.push({ ...difference, path: undefined, ...pathField(difference.path) });
  }
  printer.end();
  if (terminal.wantsJson) terminal.json({ archive: from.header.id, with: to.header.id, totals, total, differences: listed });
  else terminal.say(`${totals.added} added, ${totals.removed} removed, ${totals.changed} changed`);
  return EXIT.done;
}
