/** A host's status for Nagios and its kin (the plugin guidelines' exit codes, one line, performance data). */
import type { HostStatus } from "../engine/status.ts";
import type { ExitStatus } from "../errors.ts";
import type { Objectives } from "../policy/readiness.ts";
import { formatDuration } from "../units.ts";
import { printable } from "./printable.ts";
import { ageMs } from "./status-text.ts";

const NAGIOS = { ok: 0, warning: 1, critical: 2 } as const;
export const NAGIOS_UNKNOWN = 3;

/** A bar would begin the performance data. */
function plain(text: string): string {
  return printable(text).replaceAll("|", "/");
}

export function nagiosLine({ host, archives, findings, newestGood, retired }: HostStatus, { rpoMs }: Objectives, nowMs: number): { line: string; exitStatus: ExitStatus } {
  const [worst] = findings;
  const good = archives.find(({ id }) => id === newestGood);
  const exitStatus = worst === undefined ? NAGIOS.ok : worst.severity === "critical" ? NAGIOS.critical : NAGIOS.warning;
  const word = (["OK", "WARNING", "CRITICAL"] as const)[exitStatus];
  const fine = retired !== null ? "retired" : good === undefined ? "no archive" : `newest good archive ${formatDuration(ageMs(good, nowMs))} old`;
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : "";
  const seconds = (ms: number): number => Math.round(ms / 1000);
  const data = [
    ...(good === undefined ? [] : [`age=${seconds(ageMs(good, nowMs))}s;;${seconds(rpoMs)};0`, `stored=${good.storedBytes}B`]),
    `archives=${archives.length}`,
  ];
  return { line: `COLDKEEP ${word} - ${plain(host)}: ${worst === undefined ? fine : plain(worst.message) + more} | ${data.join(" ")}`, exitStatus };
}
