/** `coldkeep drift`: how this machine differs from what its newest archive says of it. */
import { driftHere } from "../engine/machine-profile.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { Drift } from "../policy/drift.ts";
import { formatLocalTime } from "../units.ts";
import type { CommandContext } from "./command.ts";
import { LinePrinter } from "./line-printer.ts";
import { openVault } from "./open.ts";
import { ownConfig } from "./own-config.ts";
import { printable } from "./printable.ts";
import type { DriftOptions } from "./verb-options.ts";

/** Longer lists are cut in JSON, and say so. */
const LISTED_MAX = 10_000;
const SIGNS: Record<Drift["change"], string> = { added: "+", removed: "-", changed: "M" };

function lineOf({ kind, change, name, before, after }: Drift): string {
  const values = change === "changed" && (before !== "" || after !== "") ? ` (${before || "nothing"} → ${after || "nothing"})` : after === "" && before === "" ? "" : ` (${change === "removed" ? before : after})`;
  return `${SIGNS[change]} ${kind.padEnd(13)} ${printable(name)}${printable(values === " ()" ? "" : values)}`;
}

export async function run(context: CommandContext, _args: readonly string[], options: DriftOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  const loaded = ownConfig(context, options.config);
  using vault = await openVault(context, { ...options, kit: undefined, region: undefined, signer: [], host: undefined });
  const { archive, takenAt, drift, gaps } = await driftHere(vault, loaded, options.archive, context.now(), signal);
  if (terminal.wantsJson) {
    terminal.json({ archive, takenAt, total: drift.length, drift: drift.slice(0, LISTED_MAX), gaps });
    return drift.length === 0 ? EXIT.done : EXIT.threshold;
  }
  const printer = new LinePrinter(terminal);
  for (const each of drift) printer.print(lineOf(each));
  printer.end();
  for (const { what, why } of gaps) terminal.detail(`not compared: ${what}: ${why}`);
  const atMs = Date.parse(takenAt);
  const since = Number.isNaN(atMs) ? "" : `, as of ${formatLocalTime(atMs)}`;
  terminal.say(drift.length === 0 ? `no drift from archive ${archive}${since}` : `${drift.length} ${drift.length === 1 ? "difference" : "differences"} from archive ${archive}${since}`);
  return drift.length === 0 ? EXIT.done : EXIT.threshold;
}
