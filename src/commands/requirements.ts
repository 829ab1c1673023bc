/** `coldkeep requirements`: whether this machine can take the place of the archived one. */
import { readRequirements } from "../engine/requirements.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { Adequacy, Finding } from "../policy/adequacy.ts";
import type { CommandContext } from "./command.ts";
import { openSealedVault } from "./open.ts";
import { printable } from "./printable.ts";
import type { Tone, VerdictLine } from "./terminal-port.ts";
import type { RequirementsOptions } from "./verb-options.ts";

const EXITS: Record<Adequacy["verdict"], ExitStatus> = { adequate: EXIT.done, "adequate with waivers": EXIT.threshold, "not adequate": EXIT.refused };

export async function run(context: CommandContext, _args: readonly string[], options: RequirementsOptions): Promise<ExitStatus> {
  const { terminal, signal } = context;
  using vault = await openSealedVault(context, options);
  const { archive, host, here, adequacy } = await readRequirements(vault, options.archive, options.accept, signal);
  if (terminal.wantsJson) terminal.json({ archive, host, ...adequacy, here });
  else terminal.report([`archive ${archive} of ${host}, against this machine`, ...adequacyText(adequacy)]);
  return EXITS[adequacy.verdict];
}

function wordOf({ verdict, isWaived }: Finding): { word: string; tone: Tone } {
  if (isWaived) return { word: "WAIVED", tone: "doubtful" };
  switch (verdict) {
    case "ok":
      return { word: "OK", tone: "good" };
    case "note":
      return { word: "NOTE", tone: "good" };
    case "waivable":
      return { word: "LACKS", tone: "bad" };
    case "fatal":
      return { word: "FAIL", tone: "bad" };
  }
}

/** A line for each finding, the way out under what stands in the way, and the verdict. */
export function adequacyText({ verdict, waived, findings }: Adequacy): (string | VerdictLine)[] {
  const lines = findings.flatMap((finding): (string | VerdictLine)[] => {
    const { word, tone } = wordOf(finding);
    const line = { before: "", word, tone, after: `${" ".repeat(8 - word.length)}${printable(`${finding.id}: needs ${finding.need}, has ${finding.have}`)}` };
    const why = finding.why === "" ? [] : [`        ${printable(finding.why)}`];
    const hint = finding.waiver === null || finding.isWaived ? [] : [`        hint: --accept ${finding.waiver} goes on all the same`];
    return [line, ...why, ...hint];
  });
  return [...lines, verdict === "adequate with waivers" ? `adequate with ${waived} ${waived === 1 ? "waiver" : "waivers"}` : verdict];
}
