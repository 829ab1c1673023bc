/** `coldkeep doctor`: whether the next night can be expected to go well. */
import { configPath, loadConfig } from "../config/load.ts";
import type { Check, Verdict } from "../engine/doctor/check.ts";
import { examine } from "../engine/doctor/doctor.ts";
import { EXIT, type ExitStatus } from "../errors.ts";
import type { CommandContext } from "./command.ts";
import { emitTo } from "./emit.ts";
import { printable } from "./printable.ts";
import type { Tone, VerdictLine } from "./terminal-port.ts";
import type { DoctorOptions } from "./verb-options.ts";

const WORDS: Record<Verdict, string> = { ok: "OK", warn: "WARN", fail: "FAIL" };
const TONES: Record<Verdict, Tone> = { ok: "good", warn: "doubtful", fail: "bad" };

export async function run(context: CommandContext, _args: readonly string[], options: DoctorOptions): Promise<ExitStatus> {
  const { terminal, env, uid, signal } = context;
  const loaded = loadConfig(configPath(options.config, env, uid));
  const checks = await examine({ loaded, env, uid, program: context.program, nowMs: context.now(), emit: emitTo(terminal), signal });
  const count = (verdict: Verdict): number => checks.filter((check) => check.verdict === verdict).length;
  const counts = { ok: count("ok"), warn: count("warn"), fail: count("fail") };
  if (terminal.wantsJson) terminal.json({ counts, checks });
  else terminal.report([...checks.flatMap(linesOf), `${counts.ok} ok, ${counts.warn} to look at, ${counts.fail} failed`]);
  if (counts.fail > 0) return EXIT.failed;
  return counts.warn > 0 ? EXIT.threshold : EXIT.done;
}

function linesOf({ name, verdict, message, hint }: Check): (string | VerdictLine)[] {
  const word = WORDS[verdict];
  const line = { before: "", word, tone: TONES[verdict], after: `${" ".repeat(6 - word.length)}${printable(name)}: ${printable(message)}` };
  return hint === undefined || hint === "" ? [line] : [line, `      hint: ${printable(hint)}`];
}
